// Package exporter serves a worker's metrics: those of its engines under unified names, fetched when the worker is scraped, those
// of its collectors, whether each engine and collector could be read, and those of the worker's own process.
package exporter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/metricspage"
	"github.com/stackscope/stackscope/internal/base/routes"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
)

// Page is an engine's metrics page. Body is valid until Release, which is called once and may be nil.
type Page struct {
	Body        []byte
	ContentType string
	Release     func()
	// Translated is called with what the active mapping made of the page, at most once and before Release. It may be nil and must not block.
	Translated func(Translation)
}

// Translation says what a mapping made of a page.
type Translation struct {
	Samples int // under unified names
	// Of the metrics that count for coverage: how many the page has, and how many there are.
	Fed, Countable int
}

// Instance has the labels of an engine's samples. An unknown field is empty, and its label is left out.
type Instance struct {
	ID, Name string
	ModelID  string
	Model    string
	Runtime  string
	Role     fleet.Role // empty: prefill and decode, no label
	Version  string     // chooses the mapping
	// Gateway says that it is a proxy in front of engines, whose page may name users.
	Gateway bool
	// Models are those of a page that names several; nil: all samples are of Model.
	Models *Models
}

// Models are the models of an engine whose page names several. It is immutable: a change is a new one.
type Models struct {
	// ByLabel has the labels of a sample by the value of its label. An Instance without a Model stands for
	// samples that belong to none.
	ByLabel map[string]ModelInstance
	// Other has those of samples with any other value; nil: they belong to none.
	Other *ModelInstance
	// Folded is how many models of the page have no instance of their own and are part of Other.
	Folded int
	// Labels are the native labels that name the model of a sample, in order: the first one that a sample has counts.
	Labels []string
}

// ModelInstance has the labels of one of several models of an engine.
type ModelInstance struct {
	ID, Name string
	ModelID  string
	Model    string
	Role     fleet.Role
}

// Of returns the instance of one of its models.
func (in Instance) Of(m ModelInstance) Instance {
	in.ID, in.Name, in.ModelID, in.Model, in.Role, in.Models = m.ID, m.Name, m.ModelID, m.Model, m.Role, nil
	return in
}

// Engine is an inference engine. It must be a pointer: the Exporter keeps state for each. Its methods are called from several
// goroutines, Fetch from one at a time.
type Engine interface {
	// Fetch gets the engine's page. It returns before ctx' deadline or soon after it.
	Fetch(ctx context.Context) (Page, error)
	// Instance says what the engine is. It is called after Fetch and must not block.
	Instance() Instance
}

// Emit takes one sample of a collector: its metric, the suffix of its name ("" or, for a histogram, _bucket, _sum or _count), its
// value, and its labels except the worker's.
type Emit = func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)

// Collector reads a part of the machine on a timer of its own.
type Collector interface {
	// Name is the value of label collector.
	Name() string
	// Collect calls emit for each sample of the last reading, a metric's samples one after the other. Two collectors may have samples
	// of the same metric. It must not block. It returns how long that reading took, negative if there was none yet, and its error.
	Collect(emit Emit) (took time.Duration, err error)
}

// MappingSource returns the active mapping.
type MappingSource interface {
	Current() (compiled *mapping.Compiled, generation int64)
}

// Identity has the worker's labels. An unknown field is empty.
type Identity struct {
	WorkerID, WorkerName   string
	ClusterID, ClusterName string
}

// Options configure an Exporter. All but Collectors, MaxSeries, NewSeries, UserKey, Memory and Logger are required.
type Options struct {
	// Engines returns the engines in the order of their samples. The series of an engine end when it is no longer returned.
	Engines    func() []Engine
	Collectors []Collector
	Mapping    MappingSource
	Identity   func() Identity
	// MaxSeries bounds the series of an engine's page under unified names; 0: translate.MaxSamples, which it cannot exceed.
	MaxSeries int
	// NewSeries bounds the new series of an engine in an hour, see translate.SeriesLimiter; 0: unlimited.
	NewSeries int
	// UserLimit is how many users of each engine or gateway have series of their own, see translate.Users. With a UserKey
	// their names are hashed, and the native metrics of gateways are not shown.
	UserLimit int
	UserKey   []byte
	// Memory is for results that need more than translate.OwnMemory, which each result has. Nil: 12 MiB.
	Memory *budget.Pool
	Logger *slog.Logger // nil: silent
}

const (
	// maxScrapes bounds the scrapes in progress.
	maxScrapes = 32
	// maxHeldBytes bounds the pages that are being sent, except the newest one, and maxReaders their readers.
	maxHeldBytes = 24 << 20
	maxReaders   = 256
	// defaultMemory is for results of large pages.
	defaultMemory = 12 << 20
)

// Exporter serves a worker's metrics. It is safe for concurrent use.
type Exporter struct {
	engines    func() []Engine
	collectors []Collector
	mapping    MappingSource
	identity   func() Identity
	maxSeries  int
	newSeries  int
	userLimit  int
	userKey    []byte
	logger     *slog.Logger
	process    *metricspage.Process
	scrapes    chan struct{}
	dryRuns    chan struct{}
	pages      chan struct{}
	queue      *translationQueue
	writers    sync.Pool // of *exposition.Writer
	samples    sync.Pool // of *sampleBuffer
	buffers    sync.Pool // of *bytes.Buffer
	answers    *answer.Store
	memory     *budget.Pool

	mu       sync.Mutex
	byEngine map[Engine]*engineState
}

// New makes an Exporter.
func New(o Options) (*Exporter, error) {
	if o.Engines == nil || o.Mapping == nil || o.Identity == nil {
		return nil, errors.New("exporter: Engines, Mapping and Identity are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	process, err := metricspage.NewProcess()
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		engines: o.Engines, collectors: o.Collectors, mapping: o.Mapping, identity: o.Identity,
		maxSeries: o.MaxSeries, newSeries: o.NewSeries, userLimit: o.UserLimit, userKey: o.UserKey,
		logger:   o.Logger.With(logging.KeyComponent, "exporter"),
		process:  process,
		scrapes:  make(chan struct{}, maxScrapes),
		dryRuns:  make(chan struct{}, maxDryRunTranslations),
		pages:    make(chan struct{}, maxPages),
		queue:    newTranslationQueue(),
		writers:  sync.Pool{New: func() any { return new(exposition.Writer) }},
		samples:  sync.Pool{New: func() any { return new(sampleBuffer) }},
		buffers:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
		answers:  answer.NewStore(answer.Options{MaxBytes: maxHeldBytes, MaxReaders: maxReaders}),
		memory:   cmp.Or(o.Memory, budget.NewPool(defaultMemory)),
		byEngine: map[Engine]*engineState{},
	}
	e.memory.OnShortage(e.reclaim)
	return e, nil
}

// Handler serves /metrics and /metrics/raw, both also with a slash at their end, /healthz and a page with links.
func (e *Exporter) Handler() http.Handler {
	mux := routes.NewMux()
	unified, raw := e.metricsHandler(e.writeUnified), e.metricsHandler(e.writeRaw)
	mux.Handle("GET /metrics", unified)
	mux.Handle("GET /metrics/{$}", unified)
	mux.Handle("GET /metrics/raw", raw)
	mux.Handle("GET /metrics/raw/{$}", raw)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(rootPage))
	})
	for _, r := range mux.Routes() {
		mux.Needs(r.Pattern, "open")
	}
	return mux
}

const rootPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>stackscope worker</title>
<h1>stackscope worker</h1>
<ul>
<li><a href="metrics">/metrics</a>: engines under unified names, this machine, this worker
<li><a href="metrics/raw">/metrics/raw</a>: engines under their own names
<li><a href="metrics/raw?unmapped=1">/metrics/raw?unmapped=1</a>: of those, the metrics that the mapping does not use
<li><a href="healthz">/healthz</a>
</ul>
</html>
`
