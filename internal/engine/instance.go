package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	// checkInterval is how long an engine may go unread before it is read for its state's sake.
	checkInterval = 30 * time.Second
	checkTimeout  = 10 * time.Second
	// firstRetry and lastRetry bound the pauses between reads of an engine that never answered.
	firstRetry = time.Second
	lastRetry  = 15 * time.Second
	// firstAsk and lastAsk bound the pauses between questions for a version or model that is not known.
	firstAsk = 5 * time.Second
	lastAsk  = 5 * time.Minute
	// identityWait bounds how long a first page waits for the engine's version.
	identityWait = 500 * time.Millisecond
	// startTolerance is by how much one process' start time may differ between two pages.
	startTolerance = 2.0
)

// Identity is what an engine is. Empty: not known.
type Identity struct {
	Runtime string `json:"runtime,omitempty"`
	Version string `json:"version,omitempty"`
	Model   string `json:"model,omitempty"`
}

// History is what is worth keeping about an engine when the worker ends.
type History struct {
	Identity
	RestartCount  int       `json:"restart_count,omitempty"`
	LastRestartAt time.Time `json:"last_restart_at,omitzero"`
}

// Status is an engine at one moment.
type Status struct {
	Name string // the instance's name
	URL  string // without credentials
	Identity
	State         fleet.InstanceState
	Message       string // why it is not running
	RestartCount  int
	LastRestartAt time.Time // zero: never
}

// Options configure an Engine.
type Options struct {
	Declaration Declaration // with its Instance filled in
	Fetcher     *Fetcher
	History     History // of an earlier run
	// OnChange is called after each change of the Status, from any goroutine. It must neither block nor call the Engine.
	OnChange func()
	Logger   *slog.Logger
}

// Engine is one declared engine: it fetches its page, finds out what it is and follows its state. It is safe for
// concurrent use.
type Engine struct {
	target   Target
	declared Declaration
	fetcher  *Fetcher
	onChange func()
	logger   *slog.Logger
	ask      chan struct{} // Run is to find out what the engine is

	mu      sync.Mutex
	status  Status
	started uint64 // fetches begun
	seen    uint64 // the latest begun of the fetches that ended
	lastTry time.Time
	answers bool // it has answered at least once
	refused bool // it was down since its last answer
	last    sighting
	// epoch counts the engine's starts; identified is closed when the question what it is was answered for this epoch.
	epoch      uint64
	identified chan struct{}
	labelled   string // model name in the labels of its page
}

// sighting is what a page tells about the process that wrote it.
type sighting struct {
	runtime string
	start   float64 // Unix seconds; 0: not on the page
	witness float64
}

// New makes an Engine. It does not connect before Run or Fetch.
func New(o Options) (*Engine, error) {
	target, err := o.Declaration.Target()
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
		target: target, declared: d, fetcher: o.Fetcher, onChange: o.OnChange, ask: make(chan struct{}, 1),
		logger:     o.Logger.With(logging.KeyComponent, "engine", "instance", d.Instance, "url", target.String()),
		identified: make(chan struct{}),
	}
	e.status = Status{
		Name: d.Instance, URL: target.URL(), State: fleet.InstanceStarting,
		Identity: Identity{
			Runtime: cmp.Or(d.Runtime, o.History.Runtime),
			Version: cmp.Or(d.Version, o.History.Version),
			Model:   cmp.Or(d.Model, o.History.Model),
		},
		RestartCount: o.History.RestartCount, LastRestartAt: o.History.LastRestartAt,
	}
	return e, nil
}

// Status returns the engine's state and identity.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// History returns what is worth keeping for New.
func (e *Engine) History() History {
	s := e.Status()
	return History{s.Identity, s.RestartCount, s.LastRestartAt}
}

// Fetch gets the engine's page within ctx. After the engine's first answer, and after a restart, it waits a moment for the
// engine's version, so that the page is translated as it should be.
func (e *Engine) Fetch(ctx context.Context) (Page, error) {
	begun := e.begin()
	page, err := e.fetcher.Fetch(ctx, e.target)
	if err != nil {
		e.failed(begun, err)
		return Page{}, err
	}
	identified := e.answered(begun, page.Body)
	select {
	case <-identified:
		return page, nil
	default:
	}
	wait := identityWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/4)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-identified:
	case <-timer.C:
	case <-ctx.Done():
	}
	return page, nil
}

// failed notes a fetch without a page.
func (e *Engine) failed(begun uint64, err error) {
	kind, message := Silent, err.Error()
	if fe, ok := errors.AsType[*Error](err); ok {
		kind = fe.Kind
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if kind == Cancelled || begun < e.seen {
		return
	}
	e.seen = begun
	state := fleet.InstanceUnreachable
	switch {
	case kind == Wrong:
		state = fleet.InstanceError
	case !e.answers:
		state = fleet.InstanceStarting
	}
	e.refused = e.refused || kind == Refused
	if e.status.State == state && e.status.Message == message {
		return
	}
	e.status.State, e.status.Message = state, message
	e.logger.Warn("engine cannot be read", "state", string(state), "reason", message)
	e.onChange()
}

// answered notes a page and returns the channel that is closed when it is known what the engine is.
func (e *Engine) answered(begun uint64, page []byte) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if begun < e.seen {
		return e.identified
	}
	e.seen = begun
	now := e.sight(page)
	again := e.answers && e.restarted(now)
	if again {
		e.status.RestartCount++
		e.status.LastRestartAt = time.Now()
		if now.start > 0 {
			e.status.LastRestartAt = time.Unix(0, int64(now.start*1e9))
		}
		e.logger.Info("engine was restarted", "restarts", e.status.RestartCount, "at", e.status.LastRestartAt)
	}
	recognised := now.runtime != "" && now.runtime != e.status.Runtime
	// An engine that was away may be another one, unless its page says that it is the same process.
	back := e.answers && e.status.State == fleet.InstanceUnreachable && now.start == 0
	if again || recognised || back || !e.answers {
		e.epoch++
		e.settle()
		e.identified = make(chan struct{})
		if now.runtime != "" {
			e.status.Runtime = now.runtime
		}
		e.labelled = ""
		select {
		case e.ask <- struct{}{}:
		default:
		}
	}
	if e.labelled == "" {
		e.labelled = e.modelLabel(page)
	}
	changed := again || recognised || !e.answers || e.status.State != fleet.InstanceRunning
	if e.status.State != fleet.InstanceRunning {
		e.logger.Info("engine is read", "runtime", e.status.Runtime)
	}
	e.answers, e.refused, e.last = true, false, now
	e.status.State, e.status.Message = fleet.InstanceRunning, ""
	if changed {
		e.onChange()
	}
	return e.identified
}

// settle closes identified and reports whether it was open.
func (e *Engine) settle() bool {
	select {
	case <-e.identified:
		return false
	default:
		close(e.identified)
		return true
	}
}

// sight looks on a page for what tells one process from the next.
func (e *Engine) sight(page []byte) sighting {
	s := sighting{runtime: e.declared.Runtime}
	if s.runtime == "" {
		if r, ok := byName(e.status.Runtime); ok && r.wrote(page) {
			s.runtime = r.Name
		} else {
			s.runtime = Recognise(page)
		}
	}
	s.start = sumSamples(page, "process_start_time_seconds")
	if r, ok := byName(cmp.Or(s.runtime, e.status.Runtime)); ok {
		for _, name := range r.witness {
			s.witness += sumSamples(page, name)
		}
	}
	return s
}

// restarted reports whether the page was written by another process than the page before: one with another start time or,
// where pages have none, one whose counters fell or that took the place of one that was down.
func (e *Engine) restarted(now sighting) bool {
	if now.runtime != "" && e.last.runtime != "" && now.runtime != e.last.runtime {
		return true
	}
	if now.start > 0 && e.last.start > 0 {
		return math.Abs(now.start-e.last.start) > startTolerance
	}
	const rounding = 1e-9
	return e.refused || now.witness < e.last.witness*(1-rounding)
}

func (e *Engine) modelLabel(page []byte) string {
	r, ok := byName(e.status.Runtime)
	if !ok {
		return ""
	}
	if label := labelValue(page, "model_name", r.prefixes); len(label) <= maxModelBytes {
		return label
	}
	return ""
}

// Run keeps the engine's state and identity up to date until ctx ends: it reads an engine that nobody scrapes now and
// then, and asks it what it is after each start.
func (e *Engine) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := firstRetry
	asks := askPauses{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.ask:
			asks.reset()
			asks.next(e.identify(ctx))
		case <-asks.due():
			asks.next(e.identify(ctx))
		case <-timer.C:
			wait := e.checkDue()
			if wait <= 0 {
				e.check(ctx)
				wait = checkInterval
			}
			if !e.everAnswered() {
				wait = min(wait, retry)
				retry = min(2*retry, lastRetry)
			}
			timer.Reset(wait)
		}
	}
}

// checkDue returns in how long the engine is to be read if nobody else reads it.
func (e *Engine) checkDue() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.answers {
		return 0
	}
	return checkInterval - time.Since(e.lastTry)
}

func (e *Engine) everAnswered() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answers
}

// begin counts a try and returns its number.
func (e *Engine) begin() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.started++
	e.lastTry = time.Now()
	return e.started
}

// check reads the page for its state's sake and does not wait for the identity, which the caller finds out itself.
func (e *Engine) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	begun := e.begin()
	page, err := e.fetcher.Fetch(ctx, e.target)
	if err != nil {
		e.failed(begun, err)
		return
	}
	e.answered(begun, page.Body)
	page.Release()
}

// identify asks the engine for its version and model where these were not declared. It reports whether all is known.
func (e *Engine) identify(ctx context.Context) bool {
	e.mu.Lock()
	epoch, runtimeName, labelled := e.epoch, e.status.Runtime, e.labelled
	e.mu.Unlock()

	p := prober{e.fetcher, e.target}
	found := Identity{Version: e.declared.Version, Model: e.declared.Model}
	var errs []error
	r, known := byName(runtimeName)
	var wg sync.WaitGroup
	var versionErr, modelErr error
	if known && found.Version == "" {
		wg.Go(func() { found.Version, versionErr = r.version(ctx, p) })
	}
	if found.Model == "" {
		wg.Go(func() { found.Model, modelErr = p.model(ctx) })
	}
	wg.Wait()
	if modelErr != nil && labelled != "" {
		found.Model, modelErr = labelled, nil
	}
	if runtimeName == "" {
		errs = append(errs, errors.New("its page shows no known engine: declare runtime="))
	}
	errs = append(errs, versionErr, modelErr)
	err := errors.Join(errs...)

	e.mu.Lock()
	defer e.mu.Unlock()
	if epoch != e.epoch || ctx.Err() != nil {
		return true // another question is under way
	}
	was := e.status.Identity
	e.status.Version = cmp.Or(found.Version, was.Version)
	// An engine whose model has no name anywhere goes by the name of its instance.
	e.status.Model = cmp.Or(found.Model, was.Model, e.status.Name)
	if e.settle() {
		e.logger.Info("engine is known", "runtime", e.status.Runtime, "version", e.status.Version, "model", e.status.Model)
		if err != nil {
			e.logger.Warn("engine does not tell all about itself", "missing", clip(err.Error(), 500))
		}
	}
	if e.status.Identity != was {
		e.onChange()
	}
	return err == nil
}

// askPauses is when to ask again for what is not known.
type askPauses struct {
	pause time.Duration
	timer <-chan time.Time
}

func (a *askPauses) reset() { *a = askPauses{} }

func (a *askPauses) due() <-chan time.Time { return a.timer }

func (a *askPauses) next(done bool) {
	if done {
		a.timer = nil
		return
	}
	a.pause = min(max(2*a.pause, firstAsk), lastAsk)
	a.timer = time.After(a.pause)
}
