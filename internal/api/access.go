package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/base/paths"
)

// access is the right that a route needs.
type access int

const (
	open   access = iota // everybody
	viewer               // read: everybody, unless DisableAnonymousViewer is set
	admin                // change
	join                 // register a worker
	self                 // act as the worker whose id is in the path
)

// String is the right's name in the table of routes and rights.
func (a access) String() string { return [...]string{"open", "viewer", "admin", "join", "self"}[a] }

const adminUser = "admin"

// authorizer checks whether a request has the right that its route needs.
type authorizer struct {
	admin, join, read   [sha256.Size]byte
	hasReadToken        bool
	adminPath, joinPath string
	authenticate        func(workerID int64, credential string) bool
	registered          func(workerID int64) bool
	anonymousViewer     bool
	loopback            *loopbackTrust
	trustLoopback       bool
	crossOrigin         *http.CrossOriginProtection
	failures            *failures
}

func newAuthorizer(o Options, failures *failures) *authorizer {
	auth := &authorizer{
		admin: sha256.Sum256([]byte(o.AdminToken)), join: sha256.Sum256([]byte(o.WorkerToken)),
		read: sha256.Sum256([]byte(o.ReadToken)), hasReadToken: o.ReadToken != "",
		adminPath: o.AdminTokenPath, joinPath: o.WorkerTokenPath,
		authenticate:    o.Inventory.Authenticate,
		registered:      o.Inventory.Registered,
		anonymousViewer: !o.DisableAnonymousViewer,
		loopback:        newLoopbackTrust(o),
		trustLoopback:   !o.NoTrustLoopback,
		crossOrigin:     http.NewCrossOriginProtection(),
		failures:        failures,
	}
	auth.adminPath, auth.joinPath = cmp.Or(auth.adminPath, "admin-token"), cmp.Or(auth.joinPath, "worker-token")
	return auth
}

// check returns nil if r has the right, or the problem to answer with.
func (auth *authorizer) check(r *http.Request, need access) *Problem {
	if need == open || (need == viewer && auth.anonymousViewer) {
		return nil
	}
	if err := auth.checkSite(r); err != nil {
		return &Problem{Status: http.StatusForbidden, Detail: "refused because a page of another site sent it (" + err.Error() + "); use this server's own pages or a command-line program"}
	}
	switch need {
	case join:
		if token, ok := bearer(r); !ok || !equalToken(token, auth.join) {
			return auth.failures.wrongToken(r, neededJoin, &Problem{Status: http.StatusUnauthorized, Detail: fmt.Sprintf("joining needs the join token: send Authorization: Bearer with the content of the file %s on the server", dataDirPath(auth.joinPath))})
		}
		return nil
	case self:
		token, ok := bearer(r)
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if !ok || err != nil || !auth.authenticate(id, token) {
			needed := neededWorker
			if err == nil && !auth.registered(id) {
				needed = neededUnknown
			}
			return auth.failures.wrongToken(r, needed, &Problem{Status: http.StatusUnauthorized, Detail: "this needs the credential that the worker got when it registered, and the worker may have been removed since: register again"})
		}
		return nil
	}
	return auth.refuseAdmin(r, need)
}

// checkSite returns an error if a page of another site made a browser send the request. Such a request has the rights of the browser: a
// loopback address, a stored password. Navigation, such as a link to this server, is allowed.
func (auth *authorizer) checkSite(r *http.Request) error {
	if err := auth.crossOrigin.Check(r); err != nil {
		return err
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "none", "same-origin":
		return nil
	default:
		if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
			return nil
		}
		return fmt.Errorf("its Sec-Fetch-Site is %.20q", site)
	}
}

func (auth *authorizer) refuseAdmin(r *http.Request, need access) *Problem {
	doing := "this"
	switch {
	case need == viewer:
		doing = "reading this"
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		doing = "changing this"
	}
	hint := fmt.Sprintf("send Authorization: Bearer with the content of the file %s on the server, or that as the password of the user %s (Basic)", dataDirPath(auth.adminPath), adminUser)
	if r.Header.Get("Authorization") != "" {
		// A wrong token is refused on the server's own machine, too, where none is needed: it is a mistake of the user.
		if auth.isAdmin(r) || (need == viewer && auth.isReader(r)) {
			return nil
		}
		return auth.failures.wrongToken(r, neededAdmin, &Problem{Status: http.StatusUnauthorized, Detail: "the token is not the admin token: " + hint, basic: true, ofScript: ofScript(r)})
	}
	if auth.trustLoopback {
		reason := auth.loopback.refusalReason(r)
		if reason == "" {
			return nil
		}
		hint += "; only the server's own user on its own machine needs none, with a direct request to http://localhost"
		if fromLoopback(r) {
			hint += ", and this request does not qualify: " + reason
		}
	}
	return &Problem{Status: http.StatusUnauthorized, Detail: doing + " needs the admin token: " + hint, basic: true, ofScript: ofScript(r)}
}

// ofScript reports whether the script of a page sent r, as far as can be seen. Browsers tell it only over TLS and on their own machine;
// the console's scripts accept JSON or events alone.
func ofScript(r *http.Request) bool {
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" {
		return dest == "empty"
	}
	accept := r.Header.Get("Accept")
	return accept == "application/json" || accept == "text/event-stream"
}

type adminKey struct{}

// withClient returns a context for r that tells handlers whether its client may see file paths, and which admin it is.
func (auth *authorizer) withClient(ctx context.Context, r *http.Request) context.Context {
	ctx = context.WithValue(ctx, adminKey{}, sync.OnceValue(func() string { return auth.adminName(r) }))
	return paths.WithClient(ctx, func() bool {
		if r.Header.Get("Authorization") != "" {
			return auth.isAdmin(r)
		}
		return auth.loopback.refusalReason(r) == ""
	})
}

// adminName says by what the client of r has the right admin, empty if it does not have it. A wrong token is not counted.
func (auth *authorizer) adminName(r *http.Request) string {
	switch {
	case auth.checkSite(r) != nil:
	case r.Header.Get("Authorization") != "":
		if auth.isAdmin(r) {
			return "admin token"
		}
	case auth.trustLoopback && auth.loopback.refusalReason(r) == "":
		return "local user"
	}
	return ""
}

// adminOf returns adminName of the client of a request.
func adminOf(ctx context.Context) string {
	if name, ok := ctx.Value(adminKey{}).(func() string); ok {
		return name()
	}
	return ""
}

// dataDirPath names a file of the data directory without telling where that is. The text goes to a client that is refused, which may
// come through a proxy on the server's machine.
func dataDirPath(path string) string {
	return "DATA_DIR/" + filepath.Base(path)
}

func (auth *authorizer) isAdmin(r *http.Request) bool {
	if token, ok := bearer(r); ok {
		return equalToken(token, auth.admin)
	}
	user, password, ok := r.BasicAuth()
	return ok && user == adminUser && equalToken(password, auth.admin)
}

func (auth *authorizer) isReader(r *http.Request) bool {
	token, ok := bearer(r)
	return ok && auth.hasReadToken && equalToken(token, auth.read)
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// equalToken compares in constant time. Hashing hides the length.
func equalToken(token string, want [sha256.Size]byte) bool {
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// Names of the security schemes in the OpenAPI document.
const (
	schemeAdmin      = "adminToken"
	schemeAdminBasic = "adminBasic"
	schemeJoin       = "workerToken"
	schemeWorker     = "workerCredential"
)

func securitySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		schemeAdmin:      {Type: "http", Scheme: "bearer", Description: "Content of DATA_DIR/admin-token. The server's own user needs none on its own machine, with a direct request to http://localhost."},
		schemeAdminBasic: {Type: "http", Scheme: "basic", Description: "User admin, the admin token as password."},
		schemeJoin:       {Type: "http", Scheme: "bearer", Description: "Content of DATA_DIR/worker-token."},
		schemeWorker:     {Type: "http", Scheme: "bearer", Description: "The credential from the worker's registration."},
	}
}

func (a access) security(viewersNeedToken bool) []map[string][]string {
	switch {
	case a == admin, a == viewer && viewersNeedToken:
		return []map[string][]string{{schemeAdmin: {}}, {schemeAdminBasic: {}}}
	case a == join:
		return []map[string][]string{{schemeJoin: {}}}
	case a == self:
		return []map[string][]string{{schemeWorker: {}}}
	}
	return nil
}
