package simgrafana

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// role is a user's role; a higher one includes the lower ones.
type role int

const (
	nobody role = iota
	viewer
	editor
	admin
	serverAdmin
)

var roles = map[string]role{"Viewer": viewer, "Editor": editor, "Admin": admin}

// user is the sender of a request; without a login it is anonymous.
type user struct {
	login string
	role  role
}

// sessions are the logins, by cookie.
type sessions struct {
	mu     sync.Mutex
	logins map[string]string
}

func (s *sessions) begin(login string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	s.logins[id] = login
	return id
}

func (s *sessions) login(r *http.Request, cookie string) (login string) {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins[c.Value]
}

func (s *sessions) end(r *http.Request, cookie string) {
	if c, err := r.Cookie(cookie); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.logins, c.Value)
	}
}

// identify returns the sender of a request, or why it is refused.
func (h *handler) identify(r *http.Request) (u user, refused string) {
	if login, password, ok := r.BasicAuth(); ok && h.settings.on("auth.basic", "enabled") {
		if !h.db.knows(login, password) {
			return user{}, "Invalid username or password"
		}
		return h.signedIn(login), ""
	}
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		return user{}, "Invalid API key" // there are no API keys
	}
	if name := r.Header.Get(h.settings.get("auth.proxy", "header_name")); name != "" && h.settings.on("auth.proxy", "enabled") {
		return h.signedIn(name), ""
	}
	if login := h.sessions.login(r, h.settings.get("auth", "login_cookie_name")); login != "" {
		return h.signedIn(login), ""
	}
	if h.settings.on("auth.anonymous", "enabled") {
		return user{role: roles[h.settings.get("auth.anonymous", "org_role")]}, ""
	}
	return user{}, "Unauthorized"
}

func (h *handler) signedIn(login string) user {
	if h.db.isAdmin(login) {
		return user{login, serverAdmin}
	}
	return user{login, viewer}
}

// may passes on requests of users who have at least the role.
func (h *handler) may(least role, f func(w http.ResponseWriter, r *http.Request, u user)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, refused := h.identify(r)
		switch {
		case refused != "":
			say(w, http.StatusUnauthorized, refused)
		case u.role < least:
			say(w, http.StatusForbidden, "You'll need additional permissions to perform this action")
		default:
			f(w, r, u)
		}
	}
}

// known passes on requests of users who have logged in.
func (h *handler) known(f func(w http.ResponseWriter, r *http.Request, u user)) http.HandlerFunc {
	return h.may(nobody, func(w http.ResponseWriter, r *http.Request, u user) {
		if u.login == "" {
			say(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		f(w, r, u)
	})
}

func (h *handler) logIn(w http.ResponseWriter, r *http.Request) {
	var given struct{ User, Password string }
	if err := json.NewDecoder(r.Body).Decode(&given); err != nil {
		say(w, http.StatusBadRequest, "bad login data")
		return
	}
	if h.settings.on("auth", "disable_login_form") || !h.db.knows(given.User, given.Password) {
		say(w, http.StatusUnauthorized, "Invalid username or password")
		return
	}
	h.setCookie(w, h.settings.get("auth", "login_cookie_name"), h.sessions.begin(given.User), 0)
	answer(w, http.StatusOK, map[string]string{"message": "Logged in", "redirectUrl": h.subPath + "/"})
}

func (h *handler) logOut(w http.ResponseWriter, r *http.Request) {
	name := h.settings.get("auth", "login_cookie_name")
	h.sessions.end(r, name)
	h.setCookie(w, name, "", -1)
	http.Redirect(w, r, h.subPath+"/login", http.StatusFound)
}

func (h *handler) setCookie(w http.ResponseWriter, name, value string, age int) {
	path := h.subPath
	if path == "" {
		path = "/"
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: h.settings.on("security", "cookie_secure"),
	})
}

// sameSite reports whether a request that changes something with a session's cookie comes from a page of the same host. A request
// without the header Origin does not come from a page.
func (h *handler) sameSite(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if _, err := r.Cookie(h.settings.get("auth", "login_cookie_name")); err != nil || origin == "" {
		return true
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	from, err := url.Parse(origin)
	to := url.URL{Host: r.Host}
	return err == nil && (strings.EqualFold(from.Hostname(), to.Hostname()) ||
		strings.Contains(" "+h.settings.get("security", "csrf_trusted_origins")+" ", " "+from.Host+" "))
}
