// Package session connects a worker to its server. It registers the worker, reports its instances, follows the metrics mapping, answers dry
// runs, requests for pages and for checks of the worker, and at the end tells the server that the worker stops.
//
// It registers again if the server no longer knows the worker. It retries everything else with growing pauses.
package session

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// Pauses between attempts. The refused ones follow an answer of 4xx: an operator must change something first.
const (
	minPause        = 500 * time.Millisecond
	maxPause        = 30 * time.Second
	minRefusedPause = 15 * time.Second
	maxRefusedPause = 2 * time.Minute
)

// LeaveTimeout bounds how long a worker that stops takes to tell its server.
const LeaveTimeout = time.Second

// Identity is who the worker is.
type Identity interface {
	// Registration returns what the worker registers with.
	Registration(ctx context.Context) wire.RegisterRequest
	// Registered takes the server's answer, before the first report.
	Registered(resp wire.RegisterResponse)
}

// Instances are the engines that the worker reports.
type Instances interface {
	Reported() []fleet.ReportedInstance
	// SetIDs takes the ids that the server gave an instance when it was reported with that model.
	SetIDs(name, model string, instanceID, modelID int64)
	// SetRoutedModel takes the model of the instances to which a router passes requests, as the server knows them.
	SetRoutedModel(name, model string)
}

// Mapping is the worker's metrics mapping.
type Mapping interface {
	// Current returns the active mapping and its generation.
	Current() (compiled *mapping.Compiled, generation int64)
	// Document returns the digest of its document (mapping.Digest), "" for the built-in one.
	Document() string
	Apply(ev wire.MappingEvent) error
}

// DryRunFunc compares a proposed mapping with the active one, whose generation it returns, on each engine's page. Pages that do not
// come before the deadline are left out with an error.
type DryRunFunc func(ctx context.Context, proposed *mapping.Compiled, deadline time.Time) (results []exporter.DryRunResult, generation int64, err error)

// Options configure a Session. All but DryRun, Page, Check, Settings, Recent, GPUs, TokenFile, StateFile, ReportInterval and Logger are required.
type Options struct {
	Server    Server
	Identity  Identity
	Instances Instances
	Mapping   Mapping
	// DryRun is nil if the worker serves no metrics.
	DryRun DryRunFunc
	// Page is nil if the worker serves no metrics.
	Page PageFunc
	// Check is nil if the worker serves no metrics.
	Check CheckFunc
	// Settings returns the flags of this process, Recent its last log records, the oldest first. Nil: none are told.
	Settings func() []wire.Setting
	Recent   func() []wire.LogRecord
	// GPUs returns the worker's GPUs, or nil while they are not known; nil: reports say nothing of GPUs.
	GPUs func() []fleet.ReportedGPU
	// Token is the join token, TokenFile the file that it came from. The file is read again for each registration.
	Token, TokenFile string
	// StateFile holds the worker's identity; the log names it when two workers have the same one.
	StateFile string
	// Ready is closed when the worker knows its instances. The first report waits for that, because the server drops instances
	// that a report does not name.
	Ready <-chan struct{}
	// ReportInterval is the time between two reports when nothing changes; 0: as the server says.
	ReportInterval time.Duration
	Logger         *slog.Logger // nil: silent
}

// Session is a worker's connection to its server.
type Session struct {
	opts     Options
	logger   *slog.Logger
	token    joinToken // of Run alone
	filter   reportFilter
	gpus     gpuFilter
	versions versions
	changed  chan struct{} // holds one: there is something to report

	mu     sync.Mutex
	joined bool              // the server knows this worker, as far as it said
	names  map[string]string // own names of instances by those of the last report
	faults map[string]string // by what was tried: the reason that was logged last
}

// New makes a Session. It connects in Run.
func New(o Options) *Session {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	logger := o.Logger.With(logging.KeyComponent, "session", "server", o.Server.URL())
	return &Session{
		opts: o, logger: logger, changed: make(chan struct{}, 1), faults: map[string]string{},
		token:  joinToken{file: o.TokenFile, last: o.Token, logger: logger},
		filter: reportFilter{logger: logger}, gpus: gpuFilter{logger: logger},
	}
}

// Changed makes the session report soon. It never blocks; calls in quick succession lead to one report.
func (s *Session) Changed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Unreported returns how many instances the last report left out because the server would refuse them.
func (s *Session) Unreported() int { return s.filter.unreported() }

// Run keeps the worker registered until ctx ends, and then tells the server that it stops. It returns an error only if the server's
// first answer is that the join token is wrong.
func (s *Session) Run(ctx context.Context) error {
	var pauses backoff.Backoff
	var member Membership // zero: never registered
	for first := true; ctx.Err() == nil; first = false {
		resp, err := s.register(ctx)
		switch {
		case err == nil:
			pauses.Reset()
			s.logOutcome("register", nil)
			member = Membership{resp.WorkerID, resp.Credential}
			s.setJoined(true)
			s.serve(ctx, member, resp.ReportIntervalSeconds)
			s.setJoined(false)
		case ctx.Err() != nil:
		case first && tokenRefused(err):
			return err
		default:
			s.logOutcome("register", err)
			pause(ctx, &pauses, err)
		}
	}
	if member.WorkerID != 0 {
		s.leave(ctx, member)
	}
	return nil
}

func (s *Session) setJoined(joined bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined = joined
}

// State says whether the worker has joined, and why the last registration or report failed; empty: it did not.
func (s *Session) State() (joined bool, fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joined {
		return true, s.faults["report"]
	}
	return false, s.faults["register"]
}

func (s *Session) register(ctx context.Context) (wire.RegisterResponse, error) {
	req := s.opts.Identity.Registration(ctx)
	resp, err := s.opts.Server.Register(ctx, s.token.current(), req)
	if err != nil {
		return resp, err
	}
	s.opts.Identity.Registered(resp)
	s.logger.Info("worker is registered", "worker_id", resp.WorkerID, "worker", resp.WorkerName, "cluster", resp.ClusterName, "address", req.Address)
	s.versions.registered(s.logger, req.Version, resp.ServerVersion)
	return resp, nil
}

// errUnknown ends a membership: the server does not know the worker any more.
var errUnknown = errors.New("the server does not know this worker any more")

// serve reports and watches until parent ends or the server no longer knows the worker.
func (s *Session) serve(parent context.Context, m Membership, intervalSeconds int) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(s.report(ctx, m, s.interval(intervalSeconds))) })
	wg.Go(func() { cancel(s.watch(ctx, m)) })
	wg.Wait()
	if errors.Is(context.Cause(ctx), errUnknown) {
		s.logger.Warn("server does not know this worker any more; it registers again")
		backoff.Sleep(parent, minPause) // in case the server forgets each registration at once
	}
}

// leave sends the last report of the membership, which says that the worker stops.
func (s *Session) leave(ctx context.Context, m Membership) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), LeaveTimeout)
	defer cancel()
	req, _ := s.reportRequest()
	req.Stopping = true
	if _, err := s.opts.Server.Report(ctx, m, req); err != nil {
		s.logger.Info("could not tell the server that this worker stops; the server sees it go silent", "error", err)
		return
	}
	s.logger.Info("told the server that this worker stops")
}

// logOutcome logs a failure once for each reason, and the next success.
func (s *Session) logOutcome(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	if s.faults[what] == reason || s.faults[what] != "" && statusOf(err) == http.StatusTooManyRequests {
		return // 429 follows a failure that was logged, and is not its cause
	}
	s.faults[what] = reason
	switch {
	case err == nil:
		s.logger.Info("server answers again", "to", what)
	case what == "register" && statusOf(err) == http.StatusForbidden:
		s.logger.Warn("server refuses this worker until an operator allows it again; the worker exports its metrics and retries", "error", err)
	case what == "register" && tokenRefused(err):
		s.token.logRefused(reason)
	case what == "register" && takenByAnother(err):
		attrs := []any{"error", reason, "at_most_every", minRefusedPause}
		if strings.Contains(reason, fleet.ErrTwoWorkers.Error()) {
			attrs = append(attrs, "state_file", s.opts.StateFile)
		}
		s.logger.Warn("server refuses this worker because another worker has its identity or its name; the worker exports its metrics and retries", attrs...)
	case what == "watch":
		s.logger.Info("stream of the metrics mapping ended; the worker opens it again", "reason", reason)
	default:
		s.logger.Warn("request to the server failed; the worker continues with what it knows and retries", "error", reason)
	}
}

// pause waits before the next attempt after err.
func pause(ctx context.Context, pauses *backoff.Backoff, err error) {
	shortest, longest := minPause, maxPause
	switch status := statusOf(err); {
	case status == http.StatusForbidden: // an operator who allows the worker waits for it
		shortest = minRefusedPause
	case status == http.StatusConflict: // the other worker may have ended
		shortest, longest = minRefusedPause, minRefusedPause
	case status >= 400 && status < 500:
		shortest, longest = minRefusedPause, maxRefusedPause
	}
	next := backoff.Jitter(pauses.Next(shortest, longest))
	if e, ok := errors.AsType[*client.Error](err); ok && e.Status == http.StatusTooManyRequests && e.RetryAfter > 0 {
		least := min(e.RetryAfter, maxRefusedPause)
		next = least + rand.N(least/2+time.Second)
	}
	backoff.Sleep(ctx, next)
}
