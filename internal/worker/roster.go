package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/attribution"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/collector/gpu/fake"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// lookEvery is how often engines are told what is seen of them from outside.
const lookEvery = time.Second

// roster is the worker's engines: those that were declared and those that were found. An engine that is no longer there
// stays for a while, so that somebody sees that it has gone.
type roster struct {
	worker    string
	fetcher   *engine.Fetcher
	keeper    *keeper
	retention time.Duration
	stall     time.Duration
	onChange  func()
	missing   func() []fleet.ReportedInstance
	save      func()
	onCount   func(engines int) // nil: nobody wants to know
	logger    *slog.Logger

	mu     sync.Mutex
	byKey  map[string]*watched
	full   bool // there were more engines than a worker takes
	list   atomic.Pointer[[]*watched]
	listed atomic.Pointer[[]exporter.Engine]
	looked chan struct{} // closed when the roster holds what the first look found
	wg     sync.WaitGroup
}

// watched is an engine with where it was found and the ids that the server gave it.
type watched struct {
	key    string
	engine *engine.Engine
	keeper *keeper
	order  int
	cancel context.CancelFunc // nil: not begun

	// Guarded by roster.mu.
	declared bool
	found    discovery.Found
	pid      int       // the last one known
	gone     time.Time // zero: it is there

	labels atomic.Pointer[instanceLabels]
}

type instanceLabels struct {
	instance exporter.Instance
	labels   exposition.Labels
}

var _ exporter.Engine = (*watched)(nil)

// engines returns the engines in order. The slice is shared and not changed.
func (r *roster) engines() []*watched { return *r.list.Load() }

// exported returns the same as the exporter wants it.
func (r *roster) exported() []exporter.Engine { return *r.listed.Load() }

// Reported implements session.Instances. An engine whose model nobody knows yet is not in it: the server keeps instances by model. A
// gateway has none.
func (r *roster) Reported() []fleet.ReportedInstance {
	var instances []fleet.ReportedInstance
	for _, e := range r.engines() {
		s := e.engine.Status()
		if s.Model == "" && !engine.Gateway(s.Runtime) {
			continue
		}
		instances = append(instances, fleet.ReportedInstance{
			Name: s.Name, Model: s.Model, URL: s.URL, Runtime: s.Runtime, RuntimeVersion: s.Version,
			State: s.State, StateMessage: s.Message, RestartCount: s.RestartCount, LastRestartAt: s.LastRestartAt,
		})
	}
	return append(instances, r.missing()...)
}

// SetIDs implements session.Instances.
func (r *roster) SetIDs(name, model string, instanceID, modelID int64) {
	if r.keeper.identified(name, ids{model, instanceID, modelID}) {
		r.save()
	}
}

// declare adds the engines that the user named.
func (r *roster) declare(declared []engine.Declaration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range declared {
		if err := r.add(d.Instance, d, r.keeper.engine(d.Instance).History, true); err != nil {
			return err
		}
	}
	r.publish()
	return nil
}

func (r *roster) add(key string, d engine.Declaration, history engine.History, declared bool) error {
	e, err := engine.New(engine.Options{
		Declaration: d, Fetcher: r.fetcher, History: history, StallAfter: r.stall, Logger: r.logger, OnChange: r.onChange,
	})
	if err != nil {
		return err
	}
	order := 0
	if old, ok := r.byKey[key]; ok {
		order = old.order
	} else {
		for _, w := range r.byKey {
			order = max(order, w.order+1)
		}
	}
	r.byKey[key] = &watched{key: key, engine: e, keeper: r.keeper, order: order, declared: declared}
	return nil
}

// publish makes what is there visible to others.
func (r *roster) publish() {
	list := make([]*watched, 0, len(r.byKey))
	for _, w := range r.byKey {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *watched) int { return cmp.Compare(a.order, b.order) })
	exported := make([]exporter.Engine, len(list))
	for i, w := range list {
		exported[i] = w
	}
	r.list.Store(&list)
	r.listed.Store(&exported)
	if r.onCount != nil {
		r.onCount(len(list))
	}
}

// run follows what discovery finds until ctx ends.
func (r *roster) run(ctx context.Context, found *discovery.Discovery, changed signal, cards *attribution.Attribution) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	looked := found.FirstRoundDone()
	for ctx.Err() == nil {
		first := false
		select {
		case <-looked:
			first, looked = true, nil
		default:
		}
		r.follow(ctx, found.Engines(), cards)
		if first {
			close(r.looked)
		}
		select {
		case <-ctx.Done():
		case <-looked:
		case <-changed:
		case <-ticker.C:
		}
	}
	r.wg.Wait()
}

// follow brings the roster up to what is found now and tells each engine what is seen of it.
func (r *roster) follow(ctx context.Context, found []discovery.Found, cards *attribution.Attribution) {
	r.mu.Lock()
	changed := false
	there := make(map[string]bool, len(found))
	for _, f := range found {
		there[f.Key] = true
	}
	for _, f := range found {
		changed = r.meet(f, there) || changed
	}
	now := time.Now()
	for key, w := range r.byKey {
		switch {
		case there[key]:
			w.gone = time.Time{}
		case w.declared:
		case w.gone.IsZero():
			w.gone = now
		case now.Sub(w.gone) >= r.retention:
			r.logger.Info("engine that ended is forgotten", "instance", w.engine.Status().Name, "after", r.retention)
			if w.cancel != nil {
				w.cancel()
			}
			delete(r.byKey, key)
			changed = true
		}
	}
	for _, w := range r.byKey {
		r.begin(ctx, w)
		w.look(cards)
	}
	if changed {
		r.publish()
	}
	r.mu.Unlock()
	if changed {
		r.onChange()
	}
}

func (r *roster) begin(ctx context.Context, w *watched) {
	if w.cancel != nil {
		return
	}
	ctx, w.cancel = context.WithCancel(ctx)
	r.wg.Go(func() { w.engine.Run(ctx) })
}

// meet takes what was found into the roster and reports whether an engine came, changed its place, or is another one than
// the one before at this place. there are the keys of all that was found.
func (r *roster) meet(f discovery.Found, there map[string]bool) bool {
	w, known := r.byKey[f.Key]
	if known && (w.declared || (w.found.URL == f.URL && w.found.Path == f.Path && !w.isAnother(f))) {
		w.found = f
		return false
	}
	if !known {
		w = r.same(f, there)
	}
	if w == nil && len(r.byKey) >= maxEngines {
		if !r.full {
			r.full = true
			r.logger.Error("there are more engines than a worker takes; the others are left out", "most", maxEngines)
		}
		return false
	}
	d := engine.Declaration{URL: f.URL, Path: f.Path, Model: f.Model}
	history := r.succeed(w, f, &d)
	history.Runtime = cmp.Or(f.Runtime, history.Runtime)
	checked, err := engine.CheckDeclarations([]engine.Declaration{d}, r.worker)
	if err == nil {
		err = r.add(f.Key, checked[0], history, false)
	}
	if err != nil {
		r.logger.Warn("engine that was found cannot be used", "source", string(f.Source), "runtime", f.Runtime, "error", err)
		return false
	}
	if w == nil || w.engine.Status().Name != d.Instance {
		r.logger.Info("engine is found", "source", string(f.Source), "runtime", f.Runtime, "instance", d.Instance, "url", f.URL, "pid", f.PID, "container", f.Container)
	}
	if w != nil && w.key != f.Key {
		delete(r.byKey, w.key)
	}
	r.byKey[f.Key].found = f
	return true
}

// isAnother reports whether what was found at an engine's place is another engine, by what its operator said about both.
func (w *watched) isAnother(f discovery.Found) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return differ(w.found.Model, f.Model) || differ(w.found.Runtime, f.Runtime) || differ(w.found.Instance, f.Instance)
}

// same returns the engine that was found before in another way, as a container's process is when the container's daemon is
// slow to speak of it; nil: there is none.
func (r *roster) same(f discovery.Found, there map[string]bool) *watched {
	for key, w := range r.byKey {
		if !w.declared && !there[key] && f.PID != 0 && w.found.PID == f.PID && w.found.Started.Equal(f.Started) && w.found.Source != f.Source {
			return w
		}
	}
	return nil
}

// succeed names an engine and returns its history: that of before if it goes by the same name as then or is the same process,
// else what is kept of its name. before, if there is one, ends.
func (r *roster) succeed(before *watched, f discovery.Found, d *engine.Declaration) engine.History {
	if before == nil {
		d.Instance = r.name(f, nil)
		return r.keeper.engine(d.Instance).History
	}
	if before.cancel != nil {
		before.cancel()
	}
	name := before.engine.Status().Name
	d.Instance = name
	if before.key != f.Key || before.isAnother(f) {
		d.Instance = r.name(f, before)
	}
	sameProcess := f.PID != 0 && f.PID == before.pid
	if d.Instance != name && !sameProcess {
		return r.keeper.engine(d.Instance).History
	}
	history := before.engine.History()
	if !sameProcess {
		history.RestartCount++
		history.LastRestartAt = cmp.Or(f.Started, time.Now())
	}
	return history
}

// name makes an instance name for an engine that was found, distinct from the others' but before's: the one that it was given,
// its container's or one of model or runtime, worker and port. One that had to be made distinct stays what it was.
func (r *roster) name(f discovery.Found, before *watched) string {
	name := f.Instance
	if _, container, ok := strings.Cut(f.Key, "docker:"); ok && name == "" {
		name, _, _ = strings.Cut(container, ":")
	}
	if name == "" {
		d := engine.Declaration{URL: f.URL, Model: cmp.Or(f.Model, strings.ToLower(f.Runtime))}
		name = d.Name(r.worker)
	}
	name = fleet.Spelled(name, fleet.MaxName)
	taken := func(name string) bool {
		for _, w := range r.byKey {
			if w != before && w.engine.Status().Name == name {
				return true
			}
		}
		return false
	}
	if kept := r.keeper.nameOf(f.Key); strings.HasPrefix(kept, name+"-") && !taken(kept) {
		if _, err := strconv.ParseUint(kept[len(name)+1:], 10, 16); err == nil {
			return kept
		}
	}
	distinct := name
	for n := 2; taken(distinct); n++ {
		distinct = fmt.Sprintf("%s-%d", name, n)
	}
	return distinct
}

// look tells the engine what is seen of it from outside.
func (w *watched) look(cards *attribution.Attribution) {
	o := engine.ProcessStatus{PID: w.found.PID, Started: w.found.Started, Listening: w.found.Listening, Lockstep: w.found.Lockstep}
	if w.found.PID != 0 {
		w.pid = w.found.PID
	}
	o.Gone = !w.gone.IsZero() || (w.declared && w.pid != 0 && w.found.PID == 0)
	p := cards.Presence(w.key)
	o.GPUKnown, o.HoldsGPU, o.GPUBusy = p.Known, p.Holds, p.Busy
	w.engine.Observe(o)
}

// Fetch implements exporter.Engine.
func (w *watched) Fetch(ctx context.Context) (exporter.Page, error) {
	page, err := w.engine.Fetch(ctx)
	if err != nil {
		return exporter.Page{}, err
	}
	return exporter.Page{Body: page.Body, ContentType: page.ContentType, Release: page.Release}, nil
}

// Instance implements exporter.Engine.
func (w *watched) Instance() exporter.Instance {
	s := w.engine.Status()
	in := exporter.Instance{Name: s.Name, Model: s.Model, Runtime: s.Runtime, Version: s.Version, Gateway: engine.Gateway(s.Runtime)}
	if known := w.keeper.engine(s.Name); known.IDs.Model == s.Model {
		in.ID, in.ModelID = idText(known.IDs.InstanceID), idText(known.IDs.ModelID)
	}
	return in
}

// instance returns the labels of the engine's own samples.
func (w *watched) instance() exposition.Labels {
	in := w.Instance()
	in.Version = "" // is no label
	if l := w.labels.Load(); l != nil && l.instance == in {
		return l.labels
	}
	l := &instanceLabels{in, in.Labels()}
	w.labels.Store(l)
	return l.labels
}

// instances is the collector of what the worker itself measures of its engines.
type instances struct {
	roster     *roster
	cards      *attribution.Attribution
	unreported func() int // nil: there are no reports
}

var _ exporter.Collector = instances{}

// Name implements exporter.Collector.
func (i instances) Name() string { return "model_instance" }

// Collect implements exporter.Collector. There is nothing in it that can fail, so it gives no verdict.
func (i instances) Collect(emit exporter.Emit) (time.Duration, error) {
	for _, w := range i.roster.engines() {
		labels := w.instance()
		w.engine.Collect(emit, labels)
		i.cards.CollectInstance(w.key, emit, labels)
	}
	if i.unreported != nil {
		emit(&catalog.UnreportedInstances, "", float64(i.unreported()), "")
	}
	return -1, nil
}

// worksFor is how long after its last progress an engine counts as one that works, for simulated cards: engines that nobody
// scrapes are read twice a minute.
const worksFor = 45 * time.Second

// users returns the running instances as simulated cards want them: those that made progress lately work.
func (r *roster) users() []fake.User {
	var users []fake.User
	for _, w := range r.engines() {
		if w.engine.Status().State != fleet.InstanceRunning {
			continue
		}
		u := fake.User{Instance: w.key}
		if time.Since(w.engine.History().LastProgress) < worksFor {
			u.Load = 0.75
		}
		users = append(users, u)
	}
	return users
}
