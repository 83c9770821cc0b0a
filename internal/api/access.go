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

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/base/paths"
)

// access is the right that a route needs.
type access int

const (
	open   access = iota // everybody, always
	viewer               // reading: everybody, unless anonymous viewers are shut out
	admin                // changing
	join                 // registering a worker
	self                 // speaking as the worker whose id is in the path
)

// String is the right's name in the table of who may ask what.
func (a access) String() string { return [...]string{"open", "viewer", "admin", "join", "self"}[a] }

const adminUser = "admin"

// gate decides who may do what.
type gate struct {
	admin, join, read   [sha256.Size]byte
	hasRead             bool
	adminPath, joinPath string
	authenticate        func(workerID int64, credential string) bool
	registered          func(workerID int64) bool
	anonymousViewer     bool
	loopback            *loopbackTrust
	trustLoopback       bool
	crossOrigin         *http.CrossOriginProtection
	failures            *failures
}

func newGate(o Options, failures *failures) *gate {
	g := &gate{
		admin: sha256.Sum256([]byte(o.AdminToken)), join: sha256.Sum256([]byte(o.WorkerToken)),
		read: sha256.Sum256([]byte(o.ReadToken)), hasRead: o.ReadToken != "",
		adminPath: o.AdminTokenPath, joinPath: o.WorkerTokenPath,
		authenticate:    o.Inventory.Authenticate,
		registered:      o.Inventory.Registered,
		anonymousViewer: !o.DisableAnonymousViewer,
		loopback:        newLoopbackTrust(o),
		trustLoopback:   !o.NoTrustLoopback,
		crossOrigin:     http.NewCrossOriginProtection(),
		failures:        failures,
	}
	g.adminPath, g.joinPath = cmp.Or(g.adminPath, "admin-token"), cmp.Or(g.joinPath, "worker-token")
	return g
}

// refuse returns nil when r has the right, or the problem to answer with.
func (g *gate) refuse(r *http.Request, need access) *Problem {
	if need == open || (need == viewer && g.anonymousViewer) {
		return nil
	}
	if err := g.otherSite(r); err != nil {
		return &Problem{Status: http.StatusForbidden, Detail: "refused because a page of another site sent it (" + err.Error() + "); use this server's own pages or a command-line program"}
	}
	switch need {
	case join:
		if token, ok := bearer(r); !ok || !same(token, g.join) {
			return g.failures.wrongToken(r, neededJoin, &Problem{Status: http.StatusUnauthorized, Detail: fmt.Sprintf("joining needs the join token: send Authorization: Bearer with the content of the file %s on the server", where(g.joinPath))})
		}
		return nil
	case self:
		token, ok := bearer(r)
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if !ok || err != nil || !g.authenticate(id, token) {
			needed := neededWorker
			if err == nil && !g.registered(id) {
				needed = neededUnknown
			}
			return g.failures.wrongToken(r, needed, &Problem{Status: http.StatusUnauthorized, Detail: "this needs the credential that the worker got when it registered, and the worker may have been removed since: register again"})
		}
		return nil
	}
	return g.refuseAdmin(r, need)
}

// otherSite says why a request is one that a page of another site had a browser send, with what the browser knows: its place on this
// machine, a password. Such a page may lead to an address of ours, and that is all.
func (g *gate) otherSite(r *http.Request) error {
	if err := g.crossOrigin.Check(r); err != nil {
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

func (g *gate) refuseAdmin(r *http.Request, need access) *Problem {
	doing := "this"
	switch {
	case need == viewer:
		doing = "reading this"
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		doing = "changing this"
	}
	hint := fmt.Sprintf("send Authorization: Bearer with the content of the file %s on the server, or that as the password of the user %s (Basic)", where(g.adminPath), adminUser)
	if r.Header.Get("Authorization") != "" {
		// A wrong token is a mistake that should show, so it isn't overlooked on the server's own machine either.
		if g.isAdmin(r) || (need == viewer && g.isReader(r)) {
			return nil
		}
		return g.failures.wrongToken(r, neededAdmin, &Problem{Status: http.StatusUnauthorized, Detail: "the token is not the admin token: " + hint, basic: true})
	}
	if g.trustLoopback {
		reason := g.loopback.refuse(r)
		if reason == "" {
			return nil
		}
		hint += "; only a request of the server's own user on its own machine, straight to http://localhost, needs none"
		if fromLoopback(r) {
			hint += ", and this one is not taken for one: " + reason
		}
	}
	return &Problem{Status: http.StatusUnauthorized, Detail: doing + " needs the admin token: " + hint, basic: true}
}

// asker returns a context for r, in which is known whether its sender may learn where files lie.
func (g *gate) asker(ctx context.Context, r *http.Request) context.Context {
	return paths.WithClient(ctx, func() bool {
		if r.Header.Get("Authorization") != "" {
			return g.isAdmin(r)
		}
		return g.loopback.refuse(r) == ""
	})
}

// where names a file of the server without its directory. Who is refused is a stranger, be it on the server's machine: a proxy there
// lends its place.
func where(path string) string {
	return "DATA_DIR/" + filepath.Base(path)
}

func (g *gate) isAdmin(r *http.Request) bool {
	if token, ok := bearer(r); ok {
		return same(token, g.admin)
	}
	user, password, ok := r.BasicAuth()
	return ok && user == adminUser && same(password, g.admin)
}

func (g *gate) isReader(r *http.Request) bool {
	token, ok := bearer(r)
	return ok && g.hasRead && same(token, g.read)
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// same compares in constant time; hashing hides the length.
func same(token string, want [sha256.Size]byte) bool {
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
		schemeAdmin:      {Type: "http", Scheme: "bearer", Description: "Content of DATA_DIR/admin-token. The server's own user needs none on its own machine, straight to http://localhost."},
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
