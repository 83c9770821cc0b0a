package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Pauses between attempts. The slow ones are for a server that answers and refuses: somebody must change something.
const (
	firstPause     = 500 * time.Millisecond
	lastPause      = 30 * time.Second
	firstSlowPause = 15 * time.Second
	lastSlowPause  = 2 * time.Minute
	// settleTime lets changes that come together go into one report.
	settleTime = 20 * time.Millisecond
	// goodStream is how long a watch stream must have been open for the next one to be tried without a longer pause.
	goodStream = 10 * time.Second
	// defaultReportInterval is for a server that names none.
	defaultReportInterval = 10 * time.Second
)

// link is a worker's connection to its server: it registers, reports and watches, and begins again whenever something of it
// fails.
type link struct {
	w      *Worker
	logger *slog.Logger
	token  tokenSource // of run alone

	mu     sync.Mutex
	faults map[string]string // last logged reason by what was tried
}

func newLink(w *Worker) *link {
	logger := w.opts.Logger.With(logging.KeyComponent, "link", "server", w.server.URL())
	return &link{w: w, logger: logger, token: tokenSource{file: w.opts.TokenFile, last: w.opts.Token, logger: logger}, faults: map[string]string{}}
}

// run returns when ctx ends, having told the server, or with an error when the first answer of the server is that the token is
// wrong.
func (l *link) run(ctx context.Context) error {
	pauses := backoff{}
	var own *client.Client
	var workerID int64
	for first := true; ctx.Err() == nil; first = false {
		resp, err := l.register(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			if first && tokenRefused(err) {
				return err
			}
			l.note("register", err)
			pauses.wait(ctx, err)
			continue
		}
		pauses = backoff{}
		l.note("register", nil)
		own, workerID = l.w.server.WithToken(resp.Credential), resp.WorkerID
		l.session(ctx, own, resp)
	}
	if own != nil {
		l.leave(ctx, own, workerID)
	}
	return nil
}

func (l *link) register(ctx context.Context) (wire.RegisterResponse, error) {
	w := l.w
	req := wire.RegisterRequest{
		UUID: w.keeper.current().UUID, Name: w.opts.Name, Cluster: w.opts.Cluster, MetricsPort: w.metricsPort(),
		MetricsScheme: w.scheme(), Address: w.settleAddress(ctx), Labels: w.opts.Labels, Version: buildinfo.Get().Version, Run: w.run,
	}
	resp, err := w.server.WithToken(l.token.current()).Register(ctx, req)
	if err != nil {
		return resp, err
	}
	w.keeper.joined(w.opts.ServerURL, resp)
	w.identify(w.keeper.current())
	if !w.keeper.save(w.roster.engines()) {
		w.saves.send() // it is tried again
	}
	l.logger.Info("worker is registered", "worker_id", resp.WorkerID, "worker", resp.WorkerName, "cluster", resp.ClusterName, "address", req.Address)
	return resp, nil
}

// errForgotten says that the server does not know the worker any more.
var errForgotten = errors.New("forgotten by the server")

// session reports and watches until parent ends or the server has forgotten the worker.
func (l *link) session(parent context.Context, own *client.Client, joined wire.RegisterResponse) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(l.report(ctx, own, joined)) })
	wg.Go(func() { cancel(l.watch(ctx, own, joined.WorkerID)) })
	wg.Wait()
	if errors.Is(context.Cause(ctx), errForgotten) {
		l.logger.Warn("server does not know this worker any more: it registers again")
		sleep(parent, firstPause) // for a server that forgets at once
	}
}

// report tells the server all about the worker at once, after each change, and now and then.
func (l *link) report(ctx context.Context, own *client.Client, joined wire.RegisterResponse) error {
	interval := l.w.opts.ReportInterval
	if interval <= 0 {
		interval = time.Duration(joined.ReportIntervalSeconds) * time.Second
	}
	if interval <= 0 {
		interval = defaultReportInterval
	}
	select {
	case <-l.w.settled:
	case <-ctx.Done():
	}
	pauses := backoff{}
	for ctx.Err() == nil {
		err := l.reportOnce(ctx, own, joined.WorkerID)
		switch {
		case ctx.Err() != nil:
			return nil
		case forgotten(err):
			return errForgotten
		}
		l.note("report", err)
		if err != nil {
			pauses.wait(ctx, err)
			continue
		}
		pauses = backoff{}
		timer := time.NewTimer(interval)
		select {
		case <-l.w.reports:
			sleep(ctx, settleTime)
			select {
			case <-l.w.reports: // what came meanwhile goes into the same
			default:
			}
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

func (l *link) reportOnce(ctx context.Context, own *client.Client, workerID int64) error {
	req := l.w.report()
	resp, err := own.Report(ctx, workerID, req)
	if err != nil {
		return err
	}
	models := make(map[string]string, len(req.Instances))
	for _, in := range req.Instances {
		models[in.Name] = in.Model
	}
	changed := false
	for _, given := range resp.Instances {
		if model, ok := models[given.Name]; ok {
			changed = l.w.keeper.identified(given.Name, ids{model, given.InstanceID, given.ModelID}) || changed
		}
	}
	if changed {
		l.w.saves.send()
	}
	return nil
}

// report is the whole truth about the worker. An engine whose model nobody knows yet is not in it: the server keeps
// instances by model. A gateway has none.
func (w *Worker) report() wire.ReportRequest {
	_, generation := w.follower.Current()
	req := wire.ReportRequest{AppliedGeneration: generation, Instances: []wire.InstanceReport{}}
	var instances []fleet.ReportedInstance
	for _, e := range w.roster.engines() {
		s := e.engine.Status()
		if s.Model == "" && !engine.Gateway(s.Runtime) {
			continue
		}
		instances = append(instances, fleet.ReportedInstance{
			Name: s.Name, Model: s.Model, URL: s.URL, Runtime: s.Runtime, RuntimeVersion: s.Version,
			State: s.State, StateMessage: s.Message, RestartCount: s.RestartCount, LastRestartAt: s.LastRestartAt,
		})
	}
	for _, s := range w.fitting.fit(append(instances, w.missing()...)) {
		in := wire.InstanceReport{
			Name: s.Name, Model: s.Model, URL: s.URL, Runtime: s.Runtime, RuntimeVersion: s.RuntimeVersion,
			State: s.State, StateMessage: s.StateMessage, RestartCount: s.RestartCount,
		}
		if !s.LastRestartAt.IsZero() {
			in.LastRestartAt = s.LastRestartAt.Unix()
		}
		req.Instances = append(req.Instances, in)
	}
	return req
}

// stateMessage makes a message fit for a report: a server refuses one that is longer, and the whole report with it.
func stateMessage(s string) string {
	const maxMessage, dots = fleet.MaxStateMessage, len("...")
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= maxMessage {
		return s
	}
	return clip(s, maxMessage-dots) // which adds the dots
}

// watch follows the mapping. The first stream asks for whatever is in force: a server that lost its database counts anew.
func (l *link) watch(ctx context.Context, own *client.Client, workerID int64) error {
	const whatever = -1
	generation := int64(whatever)
	pauses := backoff{}
	tries := newTries(l, own, workerID)
	defer tries.wait()
	events := client.Events{
		Mapping: func(ev wire.MappingEvent) error {
			l.note("watch", nil)
			l.apply(ev)
			return nil
		},
		DryRun: func(ev wire.DryRunEvent) error {
			tries.begin(ctx, ev)
			return nil
		},
	}
	for ctx.Err() == nil {
		opened := time.Now()
		err := own.Watch(ctx, workerID, generation, events)
		switch {
		case ctx.Err() != nil:
			return nil
		case forgotten(err):
			return errForgotten
		}
		_, generation = l.w.follower.Current()
		if time.Since(opened) >= goodStream {
			pauses = backoff{}
		}
		l.note("watch", err)
		l.w.reports.send() // finds out whether the server is there at all
		pauses.wait(ctx, err)
	}
	return nil
}

// apply puts a mapping in force. One that this worker does not understand leaves the one before in force, and the server
// sees in the next report that it was not applied.
func (l *link) apply(ev wire.MappingEvent) {
	if err := l.w.follower.Apply(ev); err != nil {
		l.logger.Error("metrics mapping cannot be applied", "error", err)
		return
	}
	l.logger.Info("metrics mapping is applied", "generation", ev.Generation, "default", ev.Default)
	l.w.reports.send()
}

// note logs what fails once for each reason, and once when it works again.
func (l *link) note(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	if l.faults[what] == reason || l.faults[what] != "" && statusOf(err) == http.StatusTooManyRequests {
		return // it was said why; that there are many of its address is no other reason
	}
	l.faults[what] = reason
	switch {
	case err == nil:
		l.logger.Info("server answers again", "to", what)
	case what == "register" && statusOf(err) == http.StatusForbidden:
		l.logger.Warn("server keeps this worker out until an operator lets it in; the worker goes on exporting and asks again now and then", "error", err)
	case what == "register" && tokenRefused(err):
		l.token.refused(reason)
	case what == "register" && contested(err):
		attrs := []any{"error", reason, "at_most_every", firstSlowPause}
		if strings.Contains(reason, fleet.ErrTwoWorkers.Error()) {
			attrs = append(attrs, "state_file", l.w.keeper.file.Path)
		}
		l.logger.Warn("server refuses this worker because another worker has its identity or its name; it exports its metrics and asks again until it is taken", attrs...)
	case what == "watch":
		l.logger.Info("stream of the metrics mapping ended; it is opened again", "reason", reason)
	default:
		l.logger.Warn("server cannot be used; the worker goes on with what it knows", "error", reason)
	}
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Status
	}
	return 0
}

// tokenRefused reports whether the server says that the token, or the credential, is wrong.
func tokenRefused(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.TokenRefused
}

// forgotten reports whether the server doesn't know the worker any more. After its database was lost, a whole fleet may be refused
// from one address, and most of it with 429.
func forgotten(err error) bool { return tokenRefused(err) || statusOf(err) == http.StatusNotFound }

// backoff is the pauses between attempts, each up to twice as long as the one before. The zero value begins with the
// shortest.
type backoff struct{ last time.Duration }

// wait waits for the next pause, shortened by up to a half at random so that workers do not come all at once. A server that has had
// too many requests says itself how long.
func (b *backoff) wait(ctx context.Context, err error) {
	first, last := firstPause, lastPause
	if status := statusOf(err); status >= 400 && status < 500 {
		first, last = firstSlowPause, lastSlowPause
		if status == http.StatusForbidden { // an operator who lets the worker in waits for it
			last = lastPause
		}
	}
	if contested(err) {
		last = firstSlowPause // the other worker may have ended
	}
	b.last = min(max(2*b.last, first), last)
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusTooManyRequests && e.RetryAfter > 0 {
		// Not before that, and not all at once.
		least := min(e.RetryAfter, lastSlowPause)
		sleep(ctx, least+rand.N(least/2+time.Second))
		return
	}
	sleep(ctx, b.last/2+rand.N(b.last/2))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
