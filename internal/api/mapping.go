package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// Generation is one state of the metrics mapping.
type Generation struct {
	Number   int64 // 0: the built-in default before any change
	Default  bool
	Document []byte // canonical JSON as it was posted, also of the default
	// Effective is what workers get, as canonical JSON: of an overlay the built-in document with the overlay's changes, else Document. Only
	// Current fills it in.
	Effective []byte
	At        time.Time // when it became active; zero: not known
	Note
}

// Note is what is kept of a change besides the document.
type Note struct {
	Author, Comment string
	RestoredFrom    *int64 // the generation whose document it has again, 0 the built-in default; nil: none
}

// Entry is a generation in the history.
type Entry struct {
	Generation // without its document in a list
	Active     bool
	Extends    string // as the document says
	Metrics    int    // unified metrics that it defines, built-in ones included; 0: not known
	Problem    string // why the document cannot be used; empty if it can
}

// ChangeRequest says how and why the mapping is changed.
type ChangeRequest struct {
	// IfGeneration is the generation that must be active, or AnyGeneration.
	IfGeneration int64
	Note
}

// Change is the result of a change of the mapping.
type Change struct {
	Generation int64 // active now
	Before     int64 // active before
	Changed    bool  // false: the document was active before
	Workers    int   // open watch streams that were notified
}

// ErrGeneration is the error of a change of a Mapping whose condition on the active generation does not hold, ErrNoGeneration that of
// Generation for one that is not stored.
var (
	ErrGeneration   = errors.New("another generation is active")
	ErrNoGeneration = errors.New("there is no such generation")
)

// AnyGeneration makes a change unconditional.
const AnyGeneration int64 = -1

// Mapping is the active metrics mapping.
type Mapping interface {
	// Current returns the active generation. It is called for each read and must not block.
	Current() Generation
	// Builtin returns the built-in default as canonical JSON.
	Builtin() []byte
	// Check returns the canonical JSON of a document that Publish would accept, or the error of Publish.
	Check(doc *mapping.Document) ([]byte, error)
	// Publish and Reset return when the change is durable. They fail with ErrGeneration when another generation is active than the request
	// requires, and Publish fails with mapping.Faults for a faulty document.
	Publish(ctx context.Context, doc *mapping.Document, r ChangeRequest) (Change, error)
	Reset(ctx context.Context, r ChangeRequest) (Change, error)
	// History returns how many generations there are, with the built-in default as number 0, and of the newest first those after skip, at
	// most limit, without documents.
	History(ctx context.Context, skip, limit int) (list []Entry, total int, err error)
	// Generation returns a generation with its document, of which Problem says whether it can be used.
	Generation(ctx context.Context, number int64) (Entry, error)
	// Subscribe returns a channel that gets a value after each change, and a function that ends the subscription. Several changes may
	// give one value.
	Subscribe() (changed <-chan struct{}, cancel func())
}

const (
	configPath      = "/v2/metrics/config"
	setConfigID     = "set-metrics-config"
	generationsPath = configPath + "/generations"
	generationPath  = generationsPath + "/{generation}"

	conditionDescription = "If-Match makes it conditional on the active generation. The ETag of the answer is the generation that is active then. "
	vanishingDescription = "Before the change, connected workers have 2 s to count the live series that vanish with it. "
	formsDescription     = "YAML for Accept: application/yaml, else JSON. effective=1 gives what workers use: of a document that extends the built-in one, with the built-in entries. If-None-Match with the answer's ETag is answered with 304. "
)

// registerMapping adds the routes of the mapping and of its history.
func (a *API) registerMapping(h huma.API, tag string) {
	const configBytes = mapping.MaxDocumentBytes + 1 // huma refuses a body of the limit itself
	changeErrors := []int{http.StatusPreconditionFailed, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	register(a, h, route{
		id: "get-metrics-config", method: "GET", path: configPath, access: viewer, tag: tag,
		summary: "The active metrics mapping", description: formsDescription + "JSON is in the document's own order. The ETag is the generation; of another form it has more after a hyphen.",
		errors: []int{http.StatusUnprocessableEntity},
	}, a.getConfig)
	register(a, h, route{
		id: setConfigID, method: "POST", path: configPath, access: admin, tag: tag, maxBody: configBytes,
		summary: "Activate a metrics mapping for all workers",
		description: "JSON or YAML, whatever the Content-Type says. " + conditionDescription + "A faulty document is refused with every fault. " +
			vanishingDescription + dryRunDescription,
		errors: append([]int{http.StatusRequestEntityTooLarge}, changeErrors...),
	}, a.setConfig)
	register(a, h, route{
		id: "reset-metrics-config", method: "DELETE", path: configPath, access: admin, tag: tag,
		summary:     "Activate the built-in metrics mapping for all workers",
		description: "The history keeps what was active. " + conditionDescription + vanishingDescription + dryRunDescription, errors: changeErrors,
	}, a.resetConfig)
	register(a, h, route{
		id: "get-default-metrics-config", method: "GET", path: "/v2/metrics/default-config", access: viewer, tag: tag,
		summary: "The built-in metrics mapping",
	}, a.getDefaultConfig)
	register(a, h, route{
		id: "post-default-metrics-config", method: "POST", path: "/v2/metrics/default-config", access: viewer, tag: tag,
		summary: "The built-in metrics mapping", description: "The same as GET; changes nothing.",
	}, a.getDefaultConfig)
	register(a, h, route{
		id: "list-metrics-config-generations", method: "GET", path: generationsPath, access: viewer, tag: tag,
		summary:     "The history of the metrics mapping, the newest first",
		description: "The last one is number 0, the built-in mapping. A page of 100 at most; without page and perPage the first one. author is only told to admins.",
		errors:      []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, a.listGenerations)
	register(a, h, route{
		id: "get-metrics-config-generation", method: "GET", path: generationPath, access: viewer, tag: tag,
		summary: "A metrics mapping of the history", description: formsDescription + "YAML is the document alone. 0 is the built-in mapping.",
		errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, a.getGeneration)
	register(a, h, route{
		id: "diff-metrics-config-generations", method: "GET", path: generationPath + "/diff", access: viewer, tag: tag,
		summary: "What would turn a metrics mapping of the history into another", description: "Built-in entries are included: it compares what workers would use.",
		errors: []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, a.diffGenerations)
	register(a, h, route{
		id: "restore-metrics-config-generation", method: "POST", path: generationPath + "/restore", access: admin, tag: tag,
		summary:     "Activate a metrics mapping of the history for all workers",
		description: "It becomes a new generation. 0 is the built-in mapping. " + conditionDescription + vanishingDescription + dryRunDescription,
		errors:      append([]int{http.StatusNotFound}, changeErrors...),
	}, a.restoreGeneration)

	paths := h.OpenAPI().Paths
	for _, op := range []*huma.Operation{paths[configPath].Get, paths["/v2/metrics/default-config"].Get, paths["/v2/metrics/default-config"].Post} {
		op.Responses["200"] = configResponse()
	}
	paths[configPath].Post.RequestBody = configBody() // set after registration, or huma would validate bodies by it
	document := paths[generationPath].Get
	document.Responses["200"] = configResponse()
	document.Responses["200"].Content["application/json"] = &huma.MediaType{Schema: h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.GenerationDocument](), true, "")}
}

// noGeneration is the problem of a generation that is not there.
func noGeneration(number int64) *Problem {
	return &Problem{Status: http.StatusNotFound, Detail: fmt.Sprintf("there is no generation %d of the metrics mapping, or none any more; %s lists those that there are", number, generationsPath)}
}
