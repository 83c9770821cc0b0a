// Package exporter makes a worker's metrics pages: the unified families of its engines, which are fetched when somebody
// asks, the families of its collectors, a verdict for each of both, and its own process.
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
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/metricspage"
	"github.com/stackscope/stackscope/internal/base/routes"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// Page is an engine's metrics page. Body may be read until Release, which is called once and may be nil.
type Page struct {
	Body        []byte
	ContentType string
	Release     func()
}

// Instance is what an engine's samples are labelled with. Fields that are not known are empty and leave their label out.
type Instance struct {
	ID, Name string
	ModelID  string
	Model    string
	Runtime  string
	Version  string // chooses the mapping
	// Gateway: it is no engine but what stands before engines, and its page may name users.
	Gateway bool
}

// Engine is an inference engine, a pointer, since state is kept by it. Its methods are called from several goroutines,
// Fetch at most once at a time.
type Engine interface {
	// Fetch gets the engine's page. It returns before ctx' deadline or soon after it.
	Fetch(ctx context.Context) (Page, error)
	// Instance says what the engine is. It is asked after Fetch and does not wait.
	Instance() Instance
}

// Emit takes one sample of a collector: its family, what follows the family's name on the line ("" or, for a histogram,
// _bucket, _sum or _count), its value and its labels but for the worker's.
type Emit = func(m *catalog.Metric, suffix string, value float64, labels exposition.Labels)

// Collector samples something of the machine on a timer of its own.
type Collector interface {
	// Name is the value of label collector.
	Name() string
	// Collect calls emit for each sample of the last reading. A family's samples come one after the other; another collector
	// may have more of them. It must not wait. It returns how long that reading took, negative if there was none yet, and
	// what was wrong with it.
	Collect(emit Emit) (took time.Duration, err error)
}

// MappingSource holds the mapping in force.
type MappingSource interface {
	Current() (compiled *mapping.Compiled, generation int64)
}

// Identity is the worker as its samples are labelled. What is not known is empty.
type Identity struct {
	WorkerID, WorkerName   string
	ClusterID, ClusterName string
}

// Options configure an Exporter. All but Collectors, MaxSeries, NewSeries, UserKey, LargeBytes and Logger are required.
type Options struct {
	// Engines returns the engines in the order in which they are exported. An engine that is no longer there leaves no
	// series behind.
	Engines    func() []Engine
	Collectors []Collector
	Mapping    MappingSource
	Identity   func() Identity
	// MaxSeries bounds the series of an engine's page in the unified vocabulary; 0: translate.MaxSamples, which it cannot
	// exceed.
	MaxSeries int
	// NewSeries bounds the series of an engine that are new in an hour, see translate.SeriesLimiter; 0: they are not bounded.
	NewSeries int
	// UserLimit is how many users of each engine or gateway have series of their own, see translate.Users. With a UserKey
	// their names are hashed, and the native families of gateways are not shown.
	UserLimit int
	UserKey   []byte
	// LargeBytes bounds the memory of what large pages become, and of what is remembered about them for the next scrape,
	// together. Each engine has 2 MiB of its own. 0: 12 MiB.
	LargeBytes int
	Logger     *slog.Logger // nil: silent
}

const (
	// maxScrapes bounds the pages that are made at a time.
	maxScrapes = 32
	// maxHeldBytes bounds the pages that are being read, but for the newest one, and maxReaders their readers.
	maxHeldBytes = 24 << 20
	maxReaders   = 256
)

// Exporter makes metrics pages. It is safe for concurrent use.
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
	turns      *turns
	writers    sync.Pool // of *exposition.Writer
	gathered   sync.Pool // of *gathering
	buffers    sync.Pool // of *bytes.Buffer
	answers    *answer.Store
	room       *room

	mu      sync.Mutex
	tracked map[Engine]*tracked
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
		engines: o.Engines, collectors: o.Collectors, mapping: o.Mapping, identity: o.Identity, maxSeries: o.MaxSeries, newSeries: o.NewSeries, userLimit: o.UserLimit, userKey: o.UserKey,
		logger:   o.Logger.With(logging.KeyComponent, "exporter"),
		process:  process,
		scrapes:  make(chan struct{}, maxScrapes),
		dryRuns:  make(chan struct{}, maxDryRunTranslations),
		turns:    newTurns(),
		writers:  sync.Pool{New: func() any { return new(exposition.Writer) }},
		gathered: sync.Pool{New: func() any { return new(gathering) }},
		buffers:  sync.Pool{New: func() any { return new(bytes.Buffer) }},
		answers:  answer.NewStore(answer.Options{MaxBytes: maxHeldBytes, MaxReaders: maxReaders}),
		tracked:  map[Engine]*tracked{},
	}
	e.room = &room{free: cmp.Or(o.LargeBytes, defaultLargeBytes), trim: e.trim}
	return e, nil
}

// Handler serves /metrics and /metrics/raw, both also with a slash at their end, /healthz and a page with links.
func (e *Exporter) Handler() http.Handler {
	mux := routes.NewMux()
	unified, raw := e.page(e.writeUnified), e.page(e.writeRaw)
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
<li><a href="metrics">/metrics</a>: engines in one vocabulary, this machine, this worker
<li><a href="metrics/raw">/metrics/raw</a>: the engines' own families
<li><a href="metrics/raw?unmapped=1">/metrics/raw?unmapped=1</a>: those of them that the mapping does not take
<li><a href="healthz">/healthz</a>
</ul>
</html>
`

// track returns the state kept for each engine that is there, in order, and forgets the others'.
func (e *Exporter) track() []*tracked {
	engines := e.engines()
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*tracked, len(engines))
	for i, engine := range engines {
		t, ok := e.tracked[engine]
		if !ok {
			t = &tracked{engine: engine, maxSeries: e.maxSeries, newSeries: e.newSeries, room: e.room, users: translate.NewUsers(e.userLimit, e.userKey)}
			e.tracked[engine] = t
		}
		list[i] = t
	}
	if len(e.tracked) > len(engines) {
		there := make(map[Engine]*tracked, len(list))
		for _, t := range list {
			there[t.engine] = t
		}
		for engine, t := range e.tracked {
			if there[engine] == nil {
				t.forget()
			}
		}
		e.tracked = there
	}
	return list
}
