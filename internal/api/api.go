// Package api is the server's HTTP API: the routes under /v2, the probes, the OpenAPI document, and the metrics listener's pages. It
// authorizes requests. The inventory and the metrics mapping are interfaces.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sync/semaphore"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/paths"
	"github.com/stackscope/stackscope/internal/base/routes"
	"github.com/stackscope/stackscope/internal/doctor"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Inventory is the fleet. Its errors are the fleet package's.
type Inventory interface {
	Register(ctx context.Context, r fleet.Registration) (fleet.Joined, error)
	// Report returns ids in the order of the report's instances.
	Report(ctx context.Context, workerID int64, r fleet.Report) ([]fleet.ReportedIDs, error)
	Authenticate(workerID int64, credential string) bool
	Registered(workerID int64) bool
	// RemoveWorker removes a worker. If it is alive, it is revoked until Allow. Revoked returns the revoked workers, sorted by id.
	RemoveWorker(ctx context.Context, workerID int64) error
	Revoked() []fleet.RevokedWorker
	Allow(ctx context.Context, workerID int64) error
	// Snapshot returns the whole inventory; it is immutable.
	Snapshot() *fleet.Snapshot
	// Changed returns a channel that gets a value after the snapshot changed, and a function that ends the subscription. Several changes
	// may give one value.
	Changed() (changed <-chan struct{}, cancel func())
}

// Options configure the API. Those without a default are required.
type Options struct {
	Mapping   Mapping
	Inventory Inventory
	// AdminToken authorises changes, WorkerToken joining. The paths are those of their files, for error messages.
	AdminToken, WorkerToken         string
	AdminTokenPath, WorkerTokenPath string
	// DisableAnonymousViewer makes reading need the admin token.
	DisableAnonymousViewer bool
	// NoTrustLoopback makes changes need the admin token also on the server's own machine. Otherwise requests there need no token if
	// they come from the user UID, which is the server's own, or with TrustLoopbackRoot from root. OwnerUID returns the user of a
	// connection; nil: as the system knows it.
	NoTrustLoopback   bool
	TrustLoopbackRoot bool
	UID               int
	OwnerUID          func(client, server netip.AddrPort) (uint32, error)
	// ReportInterval is how often workers are told to report, 10 s by default.
	ReportInterval time.Duration
	// Version is the server's, which registrations and reports are answered with; empty: none is told.
	Version string
	// Dashboards configures the redirects to dashboards.
	Dashboards Dashboards
	// ReadToken is a token with which the embedded Grafana can read although DisableAnonymousViewer is set. Empty: none.
	ReadToken string
	// Ready returns why the server is not ready, or nil. A nil function means always ready.
	Ready func() error
	// DataDir is the directory that answers to unauthenticated clients show as a name. Other paths are always removed. May be nil.
	DataDir *paths.Hidden
	// Doctor gathers what GET /v2/doctor looks at. May be nil.
	Doctor doctor.Sources
	// Mounts are further handlers by ServeMux pattern, such as "/prometheus/". They need the right viewer.
	Mounts map[string]http.Handler
	// OpenMounts are the same for everybody, such as pages without data.
	OpenMounts map[string]http.Handler
	// Bundle is what GET /v2/doctor/bundle has besides what the API knows itself.
	Bundle BundleParts
	// Backup copies what a backup holds, with or without samples, and returns what removes the copies. It is called for one backup at a
	// time. The errors are those of package backup, or others. May be nil.
	Backup func(ctx context.Context, samples bool) (_ *backup.Archive, remove func() error, err error)
	Logger *slog.Logger // nil: silent
}

// API is the HTTP handler of the main listener.
type API struct {
	opts         Options
	logger       *slog.Logger
	authorizer   *authorizer
	mux          *routes.Mux
	openapi      []byte
	streams      streams
	readers      chan struct{} // a place for each stream of changes
	dryRuns      dryRuns
	pages        *pageReads
	checks       checks
	answers      *answer.Store
	examinations examinations
	parsing      *semaphore.Weighted
	bundling     chan struct{} // the place of the one bundle at a time
	backups      backups
	stopping     chan struct{}
	stop         func()
	forms        forms
	previews     chan struct{} // a place for each that is computed
	rendering    chan struct{} // a place for each document that is read or encoded for a request
}

// New builds the routes.
func New(o Options) (*API, error) {
	if o.Mapping == nil || o.Inventory == nil {
		return nil, errors.New("api: Options.Mapping and Options.Inventory are required")
	}
	if o.AdminToken == "" || o.WorkerToken == "" {
		return nil, errors.New("api: Options.AdminToken and Options.WorkerToken are required")
	}
	if o.ReportInterval <= 0 {
		o.ReportInterval = 10 * time.Second
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{
		opts:       o,
		logger:     o.Logger.With(logging.KeyComponent, "api"),
		authorizer: newAuthorizer(o, newFailures(o.Logger.With(logging.KeyComponent, "api"), o.Inventory)),
		mux:        routes.NewMux(),
		parsing:    semaphore.NewWeighted(maxParsing),
		readers:    make(chan struct{}, maxChangeStreams),
		previews:   make(chan struct{}, maxPreviews),
		rendering:  make(chan struct{}, maxRendering),
		bundling:   make(chan struct{}, 1),
		stopping:   make(chan struct{}),
	}
	a.stop = sync.OnceFunc(func() { close(a.stopping) })
	a.answers = answer.NewStore(answer.Options{MaxBytes: maxListHold, MaxReaders: maxListReaders, Refuse: func(w http.ResponseWriter, why string) {
		a.write(w, &Problem{Status: http.StatusServiceUnavailable, Detail: why})
	}})
	a.pages = newPageReads(a)
	a.checks = newChecks()
	a.routes()
	for pattern, h := range o.Mounts {
		a.reading(pattern, h)
	}
	for pattern, h := range o.OpenMounts {
		a.mux.Needs(pattern, open.String())
		a.mux.Handle(pattern, h)
	}
	return a, nil
}

// EndStreams ends every stream of events, now and in future, so that the server's shutdown need not wait for them.
func (a *API) EndStreams() { a.stop() }

// ServeHTTP implements http.Handler. Unknown paths and methods are answered with a problem document, too.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := a.mux.Handler(r); pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	var recorder headerOnly
	a.mux.ServeHTTP(&recorder, r)
	if allow := recorder.Header().Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		a.write(w, &Problem{Status: http.StatusMethodNotAllowed, Detail: fmt.Sprintf("%s is not possible here; allowed: %s", r.Method, allow)})
		return
	}
	a.write(w, &Problem{Status: http.StatusNotFound, Detail: "this path does not exist; /openapi.json lists those that do"})
}

// headerOnly is a ResponseWriter that keeps the header alone.
type headerOnly struct{ header http.Header }

func (h *headerOnly) Header() http.Header {
	if h.header == nil {
		h.header = make(http.Header)
	}
	return h.header
}
func (*headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (*headerOnly) WriteHeader(int)             {}

// route is an OpenAPI operation with the right that it needs.
type route struct {
	id, method, path string
	access           access
	tag, summary     string
	description      string
	maxBody          int64
	status           int // of success; 0: 200
	errors           []int
	answer           *huma.Response // of success, where it is no JSON
	// slots bounds the concurrent requests; nil: unbounded. A request takes a slot once its body is read. Without a free slot it is refused.
	slots chan struct{}
}

// routes registers the routes of the API.
func (a *API) routes() {
	const (
		mappingTag   = "Metrics mapping"
		workersTag   = "Workers"
		inventoryTag = "Inventory"
		probesTag    = "Probes"
	)
	config := huma.DefaultConfig("stackscope", buildinfo.Get().Version)
	config.CreateHooks = nil // no $schema members: answers are GPUStack's
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.AllowAdditionalPropertiesByDefault = true // newer peers may send more fields
	config.Transformers = []huma.Transformer{problems}
	config.Components.SecuritySchemes = securitySchemes()
	h := humago.New(a.mux, config)

	a.registerMapping(h, mappingTag)
	a.registerPreview(h, mappingTag)

	register(a, h, route{
		id: "register-worker", method: "POST", path: "/v2/workers/register", access: join, tag: workersTag, maxBody: 1 << 20,
		summary: "Join the fleet", description: "The address must be a host name or a unicast IP address that is not link-local. A loopback one is taken only from this machine.",
		errors: []int{http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, a.register)
	register(a, h, route{
		id: "report-worker", method: "PUT", path: "/v2/workers/{id}/report", access: self, tag: workersTag, maxBody: 16 << 20,
		summary: "Report the whole truth about a worker", description: "A report that is refused changes nothing. One that brings news is answered when they are stored; 503 says that they are not, and is to be answered by reporting again.",
		errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, a.report)
	register(a, h, route{
		id: "watch-worker", method: "GET", path: "/v2/workers/{id}/watch", access: self, tag: workersTag,
		summary: "Follow the metrics mapping", description: watchDescription, answer: eventsResponse("Events named mapping, dry-run, page and check; see MappingEvent, DryRunEvent, PageEvent and CheckEvent"),
	}, a.watch)
	register(a, h, route{
		id: "answer-dry-run", method: "POST", path: "/v2/workers/{id}/dry-runs/{run}", access: self, tag: workersTag, maxBody: maxDryRunBody,
		status: http.StatusNoContent, summary: "Say what a mapping would change on a worker",
		errors: []int{http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
	}, a.answerDryRun)
	register(a, h, route{
		id: "remove-worker", method: "DELETE", path: "/v2/workers/{id}", access: admin, tag: workersTag,
		summary:     "Take a worker out of the inventory and out of the scrape targets",
		description: "One that is alive is revoked: the server refuses it until DELETE /v2/revoked-workers/{id}. It is alive if it is ready, or joined or reported within the grace period, and has not said that it stops. Others may join again. Samples stay.",
		errors:      []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}, a.removeWorker)
	a.registerRevoked(h, workersTag)
	a.registerPages(h, inventoryTag, workersTag)
	a.registerChecks(h, workersTag)

	a.registerLists(h, inventoryTag)
	a.registerChanges(h, inventoryTag)
	a.registerDashboards(h, inventoryTag)
	a.registerDoctor(h, inventoryTag)
	a.registerBundle(h, inventoryTag)
	a.registerBackup(h, "Backup")

	register(a, h, route{id: "healthz", method: "GET", path: "/healthz", access: open, tag: probesTag, summary: "Whether the process is alive"}, a.healthz)
	register(a, h, route{
		id: "readyz", method: "GET", path: "/readyz", access: open, tag: probesTag,
		summary: "Whether the server is ready", errors: []int{http.StatusServiceUnavailable},
	}, a.readyz)
	register(a, h, route{id: "version", method: "GET", path: "/version", access: open, tag: probesTag, summary: "Which build this is"}, a.version)

	document := h.OpenAPI()
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} {
		delete(document.Components.Schemas.Map(), unused)
	}
	var err error
	if a.openapi, err = json.Marshal(document); err != nil {
		panic(fmt.Sprintf("api: OpenAPI document: %v", err)) // a bug in the routes above
	}
	a.reading("GET /openapi.json", http.HandlerFunc(a.serveOpenAPI))
}

// register adds a route to the mux and to the OpenAPI document.
func register[I, O any](a *API, h huma.API, r route, handler func(context.Context, *I) (*O, error)) {
	problem := problemResponse(h.OpenAPI().Components.Schemas)
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Tags: []string{r.tag}, Summary: r.summary, Description: r.description,
		DefaultStatus: r.status, MaxBodyBytes: r.maxBody, BodyReadTimeout: -1, // prepare has read the body
		Security:  r.access.security(a.opts.DisableAnonymousViewer),
		Responses: map[string]*huma.Response{"default": problem("Any other problem")},
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
			req, w := humago.Unwrap(ctx)
			if p := a.authorizer.check(req, r.access); p != nil {
				a.writeRefusal(w, p)
				return
			}
			a.markTrusted(req, r.access)
			done, p := a.prepare(req, r)
			if p != nil {
				w.Header().Set("Retry-After", "1")
				a.write(w, p)
				return
			}
			defer done()
			ctx = huma.WithContext(ctx, a.authorizer.withClient(ctx.Context(), req))
			if r.access == join {
				ctx = &registering{baseContext: ctx, failures: a.authorizer.failures}
			}
			next(ctx)
		}},
	}
	codes := r.errors
	if r.access != open && len(op.Security) > 0 {
		codes = append(slices.Clone(codes), http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	}
	for _, code := range codes {
		op.Responses[fmt.Sprint(code)] = problem(http.StatusText(code))
	}
	if r.answer != nil {
		op.Responses["200"] = r.answer
	}
	a.mux.Needs(r.method+" "+r.path, r.access.String())
	huma.Register(h, op, handler)
}

// Routes returns the routes with the right that each needs.
func (a *API) Routes() []routes.Route { return a.mux.Routes() }

// reading registers a handler that needs the right viewer.
func (a *API) reading(pattern string, h http.Handler) {
	a.mux.Needs(pattern, viewer.String())
	a.mux.Handle(pattern, a.Reading(h))
}

// Reading returns next behind a check of the right viewer. It lists next's routes.
func (a *API) Reading(next http.Handler) routes.Lister {
	return routes.Under(viewer.String(), next, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := a.authorizer.check(r, viewer); p != nil {
			a.writeRefusal(w, p)
			return
		}
		a.markTrusted(r, viewer)
		next.ServeHTTP(w, r.WithContext(a.authorizer.withClient(r.Context(), r)))
	}))
}

// markTrusted marks the connection of r as trusted if the right, which r has, needs a credential.
func (a *API) markTrusted(r *http.Request, need access) {
	if need != open && (need != viewer || a.opts.DisableAnonymousViewer) {
		inbound.Trust(r.Context())
	}
}

func (a *API) write(w http.ResponseWriter, p *Problem) {
	if err := httpjson.WriteProblem(w, httpjson.Problem{Status: p.Status, Detail: p.Detail}); err != nil {
		a.logger.Debug("answer not delivered", "error", err)
	}
}

// writeRefusal answers with p and says how to authenticate.
func (a *API) writeRefusal(w http.ResponseWriter, p *Problem) {
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", seconds(p.retryAfter))
	}
	challenge := `Bearer realm="stackscope"`
	if p.wrongToken {
		challenge += `, error="invalid_token"` // workers distinguish a 429 for a wrong credential by it
	}
	if p.wrongToken || p.Status == http.StatusUnauthorized {
		w.Header().Add("WWW-Authenticate", challenge)
	}
	if p.basic && p.Status == http.StatusUnauthorized && !p.ofScript {
		w.Header().Add("WWW-Authenticate", `Basic realm="stackscope", charset="UTF-8"`)
	}
	a.write(w, p)
}

func (a *API) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(a.openapi)
}
