package simgrafana

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// handler serves the part of Grafana's HTTP API that we use, and one page.
type handler struct {
	home        string
	settings    settings
	db          *database
	provisioned *provisioned
	log         logger
	root        *url.URL
	subPath     string // path prefix of its links, such as /grafana
	sessions    sessions
}

func newHandler(home string, s settings, db *database, p *provisioned, l logger) http.Handler {
	h := &handler{home: home, settings: s, db: db, provisioned: p, log: l, root: s.rootURL(), sessions: sessions{logins: map[string]string{}}}
	h.subPath = h.root.Path
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/health", h.health)
	mux.HandleFunc("POST /login", h.logIn)
	mux.HandleFunc("GET /logout", h.logOut)
	mux.HandleFunc("GET /api/user", h.known(h.self))
	mux.HandleFunc("PUT /api/user/preferences", h.known(changed("Preferences updated")))
	mux.HandleFunc("GET /api/frontend/settings", h.may(viewer, h.frontendSettings))
	mux.HandleFunc("GET /api/admin/settings", h.may(serverAdmin, h.adminSettings))
	mux.HandleFunc("POST /api/admin/users", h.may(serverAdmin, changed("User created")))
	mux.HandleFunc("POST /api/folders", h.may(editor, changed("Folder created")))
	mux.HandleFunc("POST /api/datasources", h.may(admin, changed("Datasource added")))
	mux.HandleFunc("GET /api/datasources/uid/{uid}", h.may(admin, h.datasource))
	mux.HandleFunc("GET /api/datasources/uid/{uid}/health", h.may(viewer, h.datasourceHealth))
	mux.HandleFunc("GET /api/datasources/proxy/uid/{uid}/{path...}", h.may(viewer, h.passOn))
	mux.HandleFunc("POST /api/ds/query", h.may(viewer, h.query))
	mux.HandleFunc("GET /api/search", h.may(viewer, h.search))
	mux.HandleFunc("GET /api/dashboards/home", h.may(viewer, h.homeDashboard))
	mux.HandleFunc("GET /api/dashboards/uid/{uid}", h.may(viewer, h.dashboard))
	mux.HandleFunc("POST /api/dashboards/db", h.may(editor, h.saveDashboard))
	mux.HandleFunc("GET /api/live/ws", h.may(viewer, h.live))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusNotFound, "Not found") })
	mux.Handle("GET /public/", http.StripPrefix("/public/", http.FileServer(http.Dir(filepath.Join(home, "public")))))
	mux.HandleFunc("/", h.page)
	return h.outer(mux)
}

// outer handles what applies to every route: the allowed host, the path prefix, and the origin of the request.
func (h *handler) outer(next http.Handler) http.Handler {
	prefix := ""
	if h.settings.on("server", "serve_from_sub_path") {
		prefix = h.subPath
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := url.URL{Host: r.Host}
		switch {
		case h.settings.on("server", "enforce_domain") && host.Hostname() != h.settings.get("server", "domain"):
			http.Redirect(w, r, h.root.String()+"/", http.StatusMovedPermanently)
		case prefix != "" && r.URL.Path == prefix:
			http.Redirect(w, r, prefix+"/", http.StatusMovedPermanently)
		case !strings.HasPrefix(r.URL.Path, prefix+"/"):
			http.Redirect(w, r, h.root.String()+r.URL.RequestURI(), http.StatusMovedPermanently)
		case !h.sameSite(r):
			say(w, http.StatusForbidden, "origin not allowed")
		default:
			http.StripPrefix(prefix, next).ServeHTTP(w, r)
		}
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message":"Internal server error"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func say(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message})
}

// changed answers a write whose content is not kept.
func changed(message string) func(http.ResponseWriter, *http.Request, user) {
	return func(w http.ResponseWriter, r *http.Request, _ user) {
		if !json.NewDecoder(r.Body).More() {
			say(w, http.StatusBadRequest, "bad request data")
			return
		}
		say(w, http.StatusOK, message)
	}
}

func (h *handler) play() Play {
	p, _ := readPlay(h.home) // it was readable at the start
	return p
}

func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	p := h.play()
	if p.Unresponsive {
		<-r.Context().Done()
		return
	}
	if p.Warns != "" {
		h.log.line("warn", "server", p.Warns)
	}
	status, state := http.StatusOK, "ok"
	if p.Unhealthy {
		status, state = http.StatusServiceUnavailable, "failing"
	}
	answer(w, status, map[string]string{"commit": "stand-in", "database": state, "version": p.Version})
	if p.Dies != "" {
		_ = http.NewResponseController(w).Flush()
		h.log.line("error", "server", "A service failed", "error", p.Dies)
		os.Exit(3)
	}
}

func (h *handler) self(w http.ResponseWriter, _ *http.Request, u user) {
	answer(w, http.StatusOK, map[string]any{"id": 1, "login": u.login, "orgId": 1, "isGrafanaAdmin": u.role == serverAdmin})
}

func (h *handler) frontendSettings(w http.ResponseWriter, _ *http.Request, _ user) {
	datasources, first := map[string]any{}, ""
	for _, d := range h.provisioned.datasources {
		datasources[d.Name] = map[string]any{"uid": d.UID, "type": d.Type, "access": d.Access, "url": h.subPath + "/api/datasources/proxy/uid/" + d.UID, "isDefault": d.IsDefault}
		if d.IsDefault {
			first = d.Name
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"appUrl": h.root.String() + "/", "appSubUrl": h.subPath, "anonymousEnabled": h.settings.on("auth.anonymous", "enabled"),
		"auth": map[string]any{"disableLogin": false}, "disableLoginForm": h.settings.on("auth", "disable_login_form"),
		"buildInfo": map[string]string{"version": h.play().Version}, "datasources": datasources, "defaultDatasource": first,
	})
}

func (h *handler) adminSettings(w http.ResponseWriter, _ *http.Request, _ user) {
	answer(w, http.StatusOK, h.settings.redacted())
}

func (h *handler) search(w http.ResponseWriter, r *http.Request, _ user) {
	uids := r.URL.Query()["dashboardUIDs"]
	hits := []map[string]any{}
	for _, d := range h.provisioned.search(h.play().Takes) {
		if len(uids) > 0 && !slices.Contains(uids, d.head.UID) {
			continue
		}
		hits = append(hits, map[string]any{"uid": d.head.UID, "title": d.head.Title, "type": "dash-db", "url": h.urlOf(d.head.UID), "tags": d.head.Tags})
	}
	answer(w, http.StatusOK, hits)
}

func (h *handler) urlOf(uid string) string { return h.subPath + "/d/" + uid + "/" + uid }

func (h *handler) homeDashboard(w http.ResponseWriter, _ *http.Request, u user) {
	path := h.settings.get("dashboards", "default_home_dashboard_path")
	if path == "" {
		answer(w, http.StatusOK, map[string]any{"meta": map[string]any{"isHome": true}, "dashboard": map[string]any{"title": "Home"}})
		return
	}
	d, err := readDashboard(path)
	if err != nil {
		h.log.line("error", "context", "Failed to load home dashboard", "error", err.Error())
		say(w, http.StatusInternalServerError, "Failed to load home dashboard")
		return
	}
	answer(w, http.StatusOK, map[string]any{"meta": map[string]any{"isHome": true, "canSave": false, "canEdit": u.role >= editor}, "dashboard": d.text})
}

func (h *handler) dashboard(w http.ResponseWriter, r *http.Request, u user) {
	uid := r.PathValue("uid")
	meta := map[string]any{"type": "db", "canSave": u.role >= editor, "canEdit": u.role >= editor, "slug": uid, "url": h.urlOf(uid), "provisioned": false}
	if d, ok := h.provisioned.dashboard(uid, h.play().Takes); ok {
		meta["provisioned"], meta["provisionedExternalId"] = true, filepath.Base(d.file)
		answer(w, http.StatusOK, map[string]any{"meta": meta, "dashboard": d.text})
		return
	}
	if text, ok := h.db.dashboard(uid); ok {
		answer(w, http.StatusOK, map[string]any{"meta": meta, "dashboard": text})
		return
	}
	answer(w, http.StatusNotFound, map[string]string{"message": "Dashboard not found", "status": "not-found"})
}

func (h *handler) saveDashboard(w http.ResponseWriter, r *http.Request, _ user) {
	var given struct{ Dashboard json.RawMessage }
	var head struct{ UID, Title string }
	if err := json.NewDecoder(r.Body).Decode(&given); err != nil || json.Unmarshal(given.Dashboard, &head) != nil {
		say(w, http.StatusBadRequest, "bad request data")
		return
	}
	if head.Title == "" {
		answer(w, http.StatusBadRequest, map[string]string{"message": "Dashboard title cannot be empty", "status": "empty-name"})
		return
	}
	if head.UID == "" {
		head.UID = fmt.Sprintf("saved%d", len(h.db.state.Dashboards)+1)
	}
	if _, ok := h.provisioned.dashboard(head.UID, h.play().Takes); ok {
		say(w, http.StatusBadRequest, "Cannot save provisioned dashboard")
		return
	}
	if err := h.db.saveDashboard(head.UID, given.Dashboard); err != nil {
		say(w, http.StatusInternalServerError, "Failed to save dashboard")
		return
	}
	answer(w, http.StatusOK, map[string]any{"uid": head.UID, "status": "success", "version": 1, "url": h.urlOf(head.UID)})
}
