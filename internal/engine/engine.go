// Package engine follows the state of one inference engine: its health, identity, restarts and stalls. Package fetch gets its metrics
// page, package runtimes knows the kinds of engines, and package process decides whether a process is new.
package engine

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/process"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

// identityWait is how long the first page waits for the engine's version.
const identityWait = 500 * time.Millisecond

// Identity is what an engine is.
type Identity = runtimes.Identity

// History is what survives a restart of the worker.
type History struct {
	Identity
	// State is the state when the history was taken, Since when it began.
	State         fleet.InstanceState `json:"state,omitempty"`
	Since         time.Time           `json:"since,omitzero"`
	RestartCount  int                 `json:"restart_count,omitempty"`
	LastRestartAt time.Time           `json:"last_restart_at,omitzero"`
	LastProgress  time.Time           `json:"last_progress,omitzero"`
}

// Status is an engine at one moment.
type Status struct {
	Name string // the instance's name
	URL  string // without credentials
	Identity
	// Role is what it does where prefill and decode are separate engines; empty: both, or unknown.
	Role fleet.Role
	// Group is as declared or found; empty: none.
	Group string
	// Connector is what passes the KV cache between it and engines of the other role, as the runtime names it; empty: unknown, or no role.
	Connector string
	// Upstreams are the addresses of a router's engines, host:port with spaces between them.
	Upstreams string
	// Source and SourceKey are where its model comes from; empty: unknown.
	Source, SourceKey string
	State             fleet.InstanceState
	Message           string    // why it is not running, has no model, gives no metrics or counts as stalled
	Since             time.Time // when State began
	RestartCount      int
	LastRestartAt     time.Time // zero: never
	Stalled           bool      // it has work and makes no progress
	// PageModels are the models that its page names; nil: no page yet, or it is a gateway. With two or more of them, Model is not
	// the model of all samples.
	PageModels *PageModels
}

// Options configure an Engine.
type Options struct {
	Declaration Declaration // with its Instance filled in
	Fetcher     *fetch.Fetcher
	History     History // of an earlier run
	// StallAfter is how long the engine may have work and make no progress before it counts as stalled; 0:
	// DefaultStallAfter, negative: never.
	StallAfter time.Duration
	// OnChange is called after each change of the Status, from any goroutine. It must neither block nor call the Engine.
	OnChange func()
	Logger   *slog.Logger
}

// Engine is one engine, declared or discovered. It is safe for concurrent use.
type Engine struct {
	target      fetch.Target
	declared    Declaration
	fetcher     *fetch.Fetcher
	onChange    func()
	logger      *slog.Logger
	askIdentity chan struct{} // makes Run request version and model
	askModels   chan struct{} // makes Run request the list of models
	wake        chan struct{} // makes Run compute the time of the next read again
	fetched     chan struct{} // closed when the first fetch has ended, with a page or without

	mu         sync.Mutex
	status     Status // its Message without those of missing and stall
	fetches    uint64 // number of the last fetch that began
	lastEnded  uint64 // number of the latest fetch that ended; results of earlier ones are ignored
	lastFetch  time.Time
	retryPause time.Duration    // between reads while it does not answer
	readNow    bool             // Run reads it at once
	hadWork    bool             // it had work at the last update; a change wakes Run
	runtime    runtimes.Runtime // of the last page
	process    process.Tracker
	// firstAnswer is when the first page of the process came.
	firstAnswer     time.Time
	firstAnswerWait firstAnswerWait
	failure         noMetrics // why the state is error or unreachable
	missing         missingMetrics
	start           startup
	phases          [phases]durations
	transitions     transitionCounts
	renames         renames
	stall           stallDetector
	rendered        []*rendered
	// starts counts the starts of the engine. identified is closed when version and model were requested after the last one.
	starts     uint64
	identified chan struct{}
	modelLabel string // model name in the labels of its page
	models     models
	described  Description
	pageRole   pageRole
	// earlier is the state of an earlier run until the engine's own is known: if it is the same, it began then.
	earlier earlierState
	naming  naming
}

// New makes an Engine. It does not connect before Run or Fetch.
func New(o Options) (*Engine, error) {
	target, err := o.Declaration.target(o.History.Runtime)
	if err != nil {
		return nil, err
	}
	if o.OnChange == nil {
		o.OnChange = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := o.Declaration
	e := &Engine{
		target: target, declared: d, fetcher: o.Fetcher, onChange: o.OnChange, askIdentity: make(chan struct{}, 1), askModels: make(chan struct{}, 1), wake: make(chan struct{}, 1), fetched: make(chan struct{}),
		earlier:     earlierState{o.History.State, o.History.Since},
		logger:      o.Logger.With(logging.KeyComponent, "engine", "instance", d.Instance, "url", target.String()),
		identified:  make(chan struct{}),
		models:      newModels(),
		transitions: newTransitionCounts(),
		stall:       newStallDetector(o.StallAfter, o.History.LastProgress),
	}
	e.status = Status{
		Name: d.Instance, URL: target.URL(), State: fleet.InstanceStarting, Since: stateBegins(time.Now()),
		Identity: Identity{
			Version: fleet.Spelled(cmp.Or(d.Version, o.History.Version), fleet.MaxVersion),
			Weights: o.History.Weights,
		},
		RestartCount: o.History.RestartCount, LastRestartAt: o.History.LastRestartAt,
	}
	e.status.Runtime, _ = fleet.Fitted(cmp.Or(d.Runtime, o.History.Runtime), fleet.MaxKind)
	e.setModel(cmp.Or(d.Model, o.History.Model))
	e.naming.ownName = d.Model == "" && o.History.Model == d.Instance
	e.resume(fleet.InstanceStarting)
	e.dropGatewayModel()
	e.applyDescription()
	return e, nil
}

// Status returns the engine's state and identity.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.status
	s.PageModels = e.models.page
	also := func(message string) {
		if s.Message != "" {
			s.Message += "; "
		}
		s.Message += message
	}
	if e.missing.message != "" && s.State == fleet.InstanceRunning {
		also(e.missing.message)
	}
	if s.Stalled = e.stall.stalled; s.Stalled {
		also(e.stall.message)
	}
	if fault := e.naming.message(&s); fault != "" {
		also(fault)
	}
	if s.Model == "" && s.Message == "" {
		s.Message = noModelMessage(&s)
	}
	return s
}

// FirstFetchDone returns a channel that is closed when the first fetch has ended, with a page or an error. Status then shows its result.
func (e *Engine) FirstFetchDone() <-chan struct{} { return e.fetched }

// History returns what New takes.
func (e *Engine) History() History {
	e.mu.Lock()
	defer e.mu.Unlock()
	return History{e.status.Identity, e.status.State, e.status.Since, e.status.RestartCount, e.status.LastRestartAt, e.stall.lastProgress}
}

// Fetch gets the engine's page within ctx. After a start of the engine it waits up to identityWait for the engine's version, because the
// mapping depends on it, and for its list of models if the page newly names several.
func (e *Engine) Fetch(ctx context.Context) (Page, error) {
	number := e.beginFetch()
	fetched, err := e.fetcher.Fetch(ctx, e.target)
	if err != nil {
		e.fetchFailed(number, err)
		return Page{}, err
	}
	page := Page{fetched, number}
	identified := e.pageFetched(number, page.Body)
	models := e.modelsKnown()
	if isClosed(identified) && isClosed(models) {
		return page, nil
	}
	wait := identityWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/4)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for _, known := range [...]<-chan struct{}{identified, models} {
		select {
		case <-known:
		case <-timer.C:
			return page, nil
		case <-ctx.Done():
			return page, nil
		}
	}
	return page, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// PageURL is the address of the engine's metrics page, without credentials.
func (e *Engine) PageURL() string { return e.target.String() }
