// Package instances manages a worker's model instances: the engines that the user declared and those that discovery finds. It names
// them, carries their history from one process to the next, keeps those that ended for a while, and stores what must survive a restart
// of the worker.
package instances

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// MaxEngines bounds the engines of a worker.
const MaxEngines = 512

const (
	// reconcileInterval is how often the instances are compared with what discovery finds.
	reconcileInterval = time.Second
	// saveRetryInterval is when the state is saved again after that failed.
	saveRetryInterval = 30 * time.Second
)

// Discovery finds engines. *discovery.Discovery implements it.
type Discovery interface {
	// Engines returns the engines that run now, declared ones among them.
	Engines() []discovery.Found
	// FirstRoundDone is closed when the first round has ended.
	FirstRoundDone() <-chan struct{}
}

// GPUs shows the presence of instances on GPUs. key is the instance's key in discovery.
type GPUs interface {
	Presence(key string) GPUPresence
	CollectInstance(key string, emit exporter.Emit, labels exposition.Labels)
}

// GPUPresence is the presence of an instance on GPUs.
type GPUPresence struct {
	Known bool // the driver of some GPU lists processes
	Holds bool // processes of the instance hold memory of a GPU
	Busy  bool // they are at work there
}

// Options configure a Manager. All but OnChange, OnCount and Unreported are required.
type Options struct {
	// Worker is the worker's name, which is part of generated instance names.
	Worker  string
	Store   *Store
	Fetcher *fetch.Fetcher
	GPUs    GPUs
	// Declared are the engines that the user declared, as engine.CheckDeclarations returns them.
	Declared []engine.Declaration
	// Sources are the sources of discovery.
	Sources []discovery.Source
	// Retention is how long a discovered engine is kept after it ended.
	Retention time.Duration
	// StallAfter is after how long without progress an engine with work counts as stalled; negative: never.
	StallAfter time.Duration
	// OnChange is called when there is something to report, from any goroutine. It must not block.
	OnChange func()
	// OnCount is called with the number of engines whenever it may have changed.
	OnCount func(engines int)
	// Unreported returns how many instances reports leave out; nil: there are no reports.
	Unreported func() int
	Logger     *slog.Logger
}

// Manager holds the instances of a worker. It is safe for concurrent use.
type Manager struct {
	opts   Options
	store  *Store
	logger *slog.Logger
	began  time.Time

	refresh    signal        // what discovery finds may have changed
	saves      signal        // the state may have changed
	firstRound chan struct{} // closed after reconcile with discovery's first round
	ready      chan struct{}

	mu    sync.Mutex
	byKey map[string]*Instance
	max   int  // MaxEngines, but in tests
	full  bool // there were more engines than max
	// routed is the model of each router's engines as the server knows it, by the router's name.
	routed map[string]string
	wg     sync.WaitGroup

	list     atomic.Pointer[[]*Instance]
	exported atomic.Pointer[[]exporter.Engine]
}

// signal wakes one goroutine. Signals that are sent before it wakes count as one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// New makes a Manager with the declared engines. It connects to nothing before Run.
func New(o Options) (*Manager, error) {
	if o.OnChange == nil {
		o.OnChange = func() {}
	}
	if o.OnCount == nil {
		o.OnCount = func(int) {}
	}
	m := &Manager{
		opts: o, store: o.Store, logger: o.Logger, began: time.Now(), byKey: map[string]*Instance{}, max: MaxEngines,
		refresh: newSignal(), saves: newSignal(), firstRound: make(chan struct{}), ready: make(chan struct{}),
	}
	if err := m.declare(o.Declared); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Manager) declare(declared []engine.Declaration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range declared {
		if err := m.add(d.Instance, d, m.store.engine(d.Instance).History, true); err != nil {
			return err
		}
	}
	m.publish()
	return nil
}

// Instances returns the instances in order. The slice is shared and not changed.
func (m *Manager) Instances() []*Instance { return *m.list.Load() }

// Engines returns the instances as the exporter takes them.
func (m *Manager) Engines() []exporter.Engine { return *m.exported.Load() }

// Refresh makes Run ask discovery soon. It never blocks.
func (m *Manager) Refresh() { m.refresh.send() }

// Save writes the state and reports whether the file holds it. If not, Run retries.
func (m *Manager) Save() bool {
	saved := m.store.save(m.Instances())
	if !saved {
		m.saves.send()
	}
	return saved
}

// SetIDs stores the ids that the server gave an instance for a report with that model.
func (m *Manager) SetIDs(name, model string, instanceID, modelID int64) {
	if m.store.setIDs(name, ids{model, instanceID, modelID}) {
		m.saves.send()
	}
}

// Reported returns the instances to report: the current ones and those that are still awaited. Gateways, and engines whose model is not known,
// have none.
func (m *Manager) Reported() []fleet.ReportedInstance {
	var out []fleet.ReportedInstance
	for _, in := range m.Instances() {
		s, p := in.models()
		s.Message = joinMessages(in.nameFault, s.Message)
		if p.areSeveral() {
			for _, model := range p.all() {
				of := s
				of.Name, of.Model = model.name, model.model
				of.Role = in.roleOf(&s, model.model)
				if listed, key := p.sourceOf(model.model); listed != "" || model.name != s.Name {
					of.Source, of.SourceKey = listed, key // those of the engine are its own model's
				}
				of.State, of.Message, of.Since = p.stateOf(model, &s)
				out = append(out, reported(&of))
			}
			continue
		}
		s.Role = in.roleOf(&s, s.Model)
		out = append(out, reported(&s))
	}
	return append(out, m.missing()...)
}

func reported(s *engine.Status) fleet.ReportedInstance {
	return fleet.ReportedInstance{
		Name: s.Name, Model: s.Model, URL: s.URL, Runtime: s.Runtime, RuntimeVersion: s.Version,
		Role: s.Role, Group: s.Group, Connector: s.Connector, Upstreams: s.Upstreams, Source: s.Source, SourceKey: s.SourceKey,
		State: s.State, StateMessage: s.Message, RestartCount: s.RestartCount, LastRestartAt: s.LastRestartAt, Since: s.Since,
	}
}

// Run follows what discovery finds, reads the engines and saves the state, until ctx ends.
func (m *Manager) Run(ctx context.Context, found Discovery) {
	var wg sync.WaitGroup
	wg.Go(func() { m.keepSaved(ctx) })
	wg.Go(func() { m.awaitReady(ctx) })
	m.follow(ctx, found)
	wg.Wait()
	m.wg.Wait()
}

func (m *Manager) follow(ctx context.Context, found Discovery) {
	ticker := time.NewTicker(reconcileInterval)
	defer ticker.Stop()
	firstRound := found.FirstRoundDone()
	for ctx.Err() == nil {
		first := false
		select {
		case <-firstRound:
			first, firstRound = true, nil
		default:
		}
		m.reconcile(ctx, found.Engines())
		if first {
			close(m.firstRound)
		}
		select {
		case <-ctx.Done():
		case <-firstRound:
		case <-m.refresh:
		case <-ticker.C:
		}
	}
}

// keepSaved saves the state after each change, and at the end.
func (m *Manager) keepSaved(ctx context.Context) {
	retry := time.NewTicker(saveRetryInterval)
	defer retry.Stop()
	saved := m.store.save(m.Instances())
	for {
		select {
		case <-m.saves:
			saved = m.store.save(m.Instances())
		case <-retry.C:
			if !saved {
				saved = m.store.save(m.Instances())
			}
		case <-ctx.Done():
			m.store.save(m.Instances())
			return
		}
	}
}

// reconcile adds, replaces and drops instances according to found, and updates the process status of each.
func (m *Manager) reconcile(ctx context.Context, found []discovery.Found) {
	m.mu.Lock()
	changed := false
	there := make(map[string]bool, len(found))
	for _, f := range found {
		there[f.Key] = true
	}
	for _, f := range found {
		changed = m.take(f, there) || changed
	}
	changed = m.expire(there) || changed
	for _, in := range m.byKey {
		m.start(ctx, in)
		in.describe()
		in.observe(m.opts.GPUs)
		if s := in.engine.Status(); in.currentModels().areSeveral() || s.PageModels != in.currentModels().page {
			changed = m.followModels(in, &s) || changed
		}
	}
	changed = m.followFrontends() || changed
	m.route()
	if changed {
		m.publish()
	}
	m.mu.Unlock()
	if changed {
		m.changed()
	}
}

// changed saves the state soon and announces that there is something to report.
func (m *Manager) changed() {
	m.saves.send()
	m.opts.OnChange()
}

// expire drops discovered engines that ended at least Retention ago, and reports whether there were any.
func (m *Manager) expire(there map[string]bool) (dropped bool) {
	now := time.Now()
	for key, in := range m.byKey {
		switch {
		case there[key]:
			in.gone = time.Time{}
		case in.declared:
		case in.gone.IsZero():
			in.gone = now
		case now.Sub(in.gone) >= m.opts.Retention:
			m.logger.Info("engine that ended is forgotten", "instance", in.engine.Status().Name, "after", m.opts.Retention)
			in.stop()
			delete(m.byKey, key)
			dropped = true
		}
	}
	return dropped
}

// take adds an engine that was found, unless it is known and unchanged, and reports whether it did. there has the keys of all engines that
// were found.
func (m *Manager) take(f discovery.Found, there map[string]bool) bool {
	before, known := m.byKey[f.Key]
	if known && (before.declared || (before.found.URL == f.URL && before.found.Path == f.Path && !before.replacedBy(f))) {
		before.found = f
		return false
	}
	if !known {
		before = m.foundOtherwise(f, there)
	}
	if before == nil && len(m.byKey) >= m.max {
		if !m.full {
			m.full = true
			m.logger.Error("there are more engines than a worker takes; the others are left out", "most", m.max)
		}
		return false
	}
	d := engine.Declaration{URL: f.URL, Path: f.Path, Model: f.Model}
	history, fault := m.inherit(before, f, &d)
	history.Runtime = cmp.Or(f.Runtime, history.Runtime)
	checked, err := engine.CheckDeclarations([]engine.Declaration{d}, m.opts.Worker)
	if err == nil {
		err = m.add(f.Key, checked[0], history, false)
	}
	if err != nil {
		m.logger.Warn("engine that was found cannot be used", "source", string(f.Source), "runtime", f.Runtime, "error", err)
		return false
	}
	if before == nil || before.engine.Status().Name != d.Instance {
		m.logger.Info("engine is found", "source", string(f.Source), "runtime", f.Runtime, "instance", d.Instance, "url", f.URL, "pid", f.PID, "container", f.Container)
	}
	if before != nil && before.key != f.Key {
		delete(m.byKey, before.key)
	}
	m.byKey[f.Key].found, m.byKey[f.Key].nameFault = f, fault
	return true
}

// add makes the instance of a key, or replaces it. start makes it run.
func (m *Manager) add(key string, d engine.Declaration, history engine.History, declared bool) error {
	e, err := engine.New(engine.Options{
		Declaration: d, Fetcher: m.opts.Fetcher, History: history, StallAfter: m.opts.StallAfter, Logger: m.logger, OnChange: m.changed,
	})
	if err != nil {
		return err
	}
	order := 0
	if old, ok := m.byKey[key]; ok {
		order = old.order
	} else {
		for _, in := range m.byKey {
			order = max(order, in.order+1)
		}
	}
	in := &Instance{
		key: key, manager: m, engine: e, store: m.store, order: order, declared: declared, declaredModel: d.Model, earlierModel: history.Model,
	}
	m.restoreModels(in, d.Instance)
	m.byKey[key] = in
	return nil
}

func (m *Manager) start(ctx context.Context, in *Instance) {
	if in.cancel != nil {
		return
	}
	ctx, in.cancel = context.WithCancel(ctx)
	m.wg.Go(func() { in.engine.Run(ctx) })
}

// publish updates what Instances and Engines return.
func (m *Manager) publish() {
	list := make([]*Instance, 0, len(m.byKey))
	for _, in := range m.byKey {
		list = append(list, in)
	}
	slices.SortFunc(list, func(a, b *Instance) int { return cmp.Compare(a.order, b.order) })
	exported := make([]exporter.Engine, len(list))
	for i, in := range list {
		exported[i] = in
	}
	m.list.Store(&list)
	m.exported.Store(&exported)
	m.opts.OnCount(len(list))
}
