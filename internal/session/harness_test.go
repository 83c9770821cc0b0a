package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

const (
	joinTokenText = "join-token"
	credential    = "credential-1"
)

// hangTimeout ends what hangs. Nothing that a test is about takes as long, on the slowest machine.
const hangTimeout = 30 * time.Second

// remote is a server in memory. What it answers is set for each method: register, report, watch and answer.
type remote struct {
	mu            sync.Mutex
	status        map[string]int // 0: as it should be, -1: no connection
	tokenRefused  bool           // what a 429 says of the token
	retryAfter    time.Duration  // of answers with another status
	detail        string         // of them; empty: refused
	times         map[string][]time.Time
	interval      int // of reports, in seconds
	serverVersion string
	event         wire.MappingEvent // that a stream begins with
	stream        time.Duration     // after which a stream is cut; 0: never
	asked         []int64           // generations that streams asked for
	documents     []string          // digests of the documents that streams said they have
	reports       []wire.ReportRequest
	given         []wire.InstanceIDs // with each answer to a report
	tokens        []string           // that workers registered with
	members       []Membership       // of all else
	dryRuns       chan wire.DryRunEvent
	answered      map[string]wire.DryRunResult // by run
	pages         chan wire.PageEvent
	sentPages     map[string]wire.InstancePage // by run
	checks        chan wire.CheckEvent
	sentChecks    map[string]wire.WorkerCheck // by run
	before        func(ctx context.Context, what string)
}

var _ Server = (*remote)(nil)

func newRemote() *remote {
	return &remote{
		status: map[string]int{}, times: map[string][]time.Time{}, interval: 60, event: wire.MappingEvent{Default: true},
		dryRuns: make(chan wire.DryRunEvent), answered: map[string]wire.DryRunResult{},
		pages: make(chan wire.PageEvent), sentPages: map[string]wire.InstancePage{},
		checks: make(chan wire.CheckEvent), sentChecks: map[string]wire.WorkerCheck{}, before: func(context.Context, string) {},
	}
}

func (r *remote) set(change func(*remote)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// of returns when something was asked, and forgets it.
func (r *remote) of(what string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := r.times[what]
	r.times[what] = nil
	return times
}

// URL implements Server.
func (r *remote) URL() string { return "http://server" }

// request notes a request and returns the error that it is answered with. accept is called with r.mu held when there is none.
func (r *remote) request(ctx context.Context, what string, accept func()) error {
	r.before(ctx, what)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times[what] = append(r.times[what], time.Now())
	const most = 1000 // at one time
	if n := len(r.times[what]); n > most && r.times[what][n-most].Equal(time.Now()) {
		r.mu.Unlock()
		<-ctx.Done() // somebody asks without a pause, for ever
		r.mu.Lock()
	}
	status := r.status[what]
	switch {
	case ctx.Err() != nil:
		return &client.Error{Op: what, URL: r.URL(), Err: ctx.Err(), Detail: ctx.Err().Error()}
	case status < 0:
		return &client.Error{Op: what, URL: r.URL(), Err: errors.New("no route"), Detail: "no route"}
	case status > 0:
		refused := status == http.StatusUnauthorized || status == http.StatusTooManyRequests && r.tokenRefused
		return &client.Error{Op: what, URL: r.URL(), Status: status, TokenRefused: refused, RetryAfter: r.retryAfter, Detail: cmp.Or(r.detail, "refused")}
	}
	accept()
	return nil
}

// Register implements Server.
func (r *remote) Register(ctx context.Context, token string, req wire.RegisterRequest) (resp wire.RegisterResponse, err error) {
	r.set(func(*remote) { r.tokens = append(r.tokens, token) })
	err = r.request(ctx, "register", func() {
		resp = wire.RegisterResponse{WorkerID: 7, WorkerName: req.Name, ClusterID: 2, ClusterName: "lab", Credential: credential, ReportIntervalSeconds: r.interval, ServerVersion: r.serverVersion}
	})
	return resp, err
}

// Report implements Server.
func (r *remote) Report(ctx context.Context, m Membership, req wire.ReportRequest) (resp wire.ReportResponse, err error) {
	err = r.request(ctx, "report", func() {
		r.members = append(r.members, m)
		r.reports = append(r.reports, req)
		resp.Instances = append(resp.Instances, r.given...)
		resp.ServerVersion = r.serverVersion
	})
	return resp, err
}

// Watch implements Server.
func (r *remote) Watch(ctx context.Context, m Membership, generation int64, handle client.Events) error {
	var first wire.MappingEvent
	var cut time.Duration
	if err := r.request(ctx, "watch", func() {
		r.members = append(r.members, m)
		r.asked = append(r.asked, generation)
		r.documents = append(r.documents, handle.Document)
		first, cut = r.event, r.stream
	}); err != nil {
		return err
	}
	var ended <-chan time.Time
	if cut > 0 {
		ended = time.After(cut)
	}
	if err := handle.Mapping(first); err != nil {
		return err
	}
	for {
		select {
		case ev := <-r.dryRuns:
			if err := handle.DryRun(ev); err != nil {
				return err
			}
		case ev := <-r.pages:
			if err := handle.Page(ev); err != nil {
				return err
			}
		case ev := <-r.checks:
			if err := handle.Check(ev); err != nil {
				return err
			}
		case <-ended:
			return &client.Error{Op: "watch", URL: r.URL(), Detail: "the stream ended"}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// AnswerDryRun implements Server.
func (r *remote) AnswerDryRun(ctx context.Context, m Membership, run string, result wire.DryRunResult) error {
	return r.request(ctx, "answer", func() {
		r.members = append(r.members, m)
		r.answered[run] = result
	})
}

// AnswerPage implements Server.
func (r *remote) AnswerPage(ctx context.Context, m Membership, run string, page wire.InstancePage) error {
	return r.request(ctx, "page", func() {
		r.members = append(r.members, m)
		r.sentPages[run] = page
	})
}

// AnswerCheck implements Server.
func (r *remote) AnswerCheck(ctx context.Context, m Membership, run string, check wire.WorkerCheck) error {
	return r.request(ctx, "check", func() {
		r.members = append(r.members, m)
		r.sentChecks[run] = check
	})
}

// node is the worker whose session is tested.
type node struct {
	mu         sync.Mutex
	registered []wire.RegisterResponse
	instances  []fleet.ReportedInstance
	ids        map[string]string // by instance
	routed     map[string]string // the models of routers
	generation int64
	applied    []wire.MappingEvent
	refuses    error // what Apply returns
}

var (
	_ Identity  = (*node)(nil)
	_ Instances = (*node)(nil)
	_ Mapping   = (*node)(nil)
)

// set replaces the instances.
func (n *node) set(instances ...fleet.ReportedInstance) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.instances = instances
}

// Registration implements Identity.
func (n *node) Registration(context.Context) wire.RegisterRequest {
	return wire.RegisterRequest{UUID: "uuid", Name: "node-1", Address: "10.0.0.1", Version: "0.2.0"}
}

// Registered implements Identity.
func (n *node) Registered(resp wire.RegisterResponse) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.registered = append(n.registered, resp)
}

// Reported implements Instances.
func (n *node) Reported() []fleet.ReportedInstance {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.instances
}

// SetIDs implements Instances.
func (n *node) SetIDs(name, model string, instanceID, modelID int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ids[name] = fmt.Sprint(model, " ", instanceID, " ", modelID)
}

// SetRoutedModel implements Instances.
func (n *node) SetRoutedModel(name, model string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.routed == nil {
		n.routed = map[string]string{}
	}
	n.routed[name] = model
}

// Current implements Mapping.
func (n *node) Current() (*mapping.Compiled, int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return nil, n.generation
}

// Document implements Mapping.
func (n *node) Document() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.applied) == 0 || n.applied[len(n.applied)-1].Default {
		return ""
	}
	return mapping.Digest(n.applied[len(n.applied)-1].Document)
}

// Apply implements Mapping.
func (n *node) Apply(ev wire.MappingEvent) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuses != nil {
		return n.refuses
	}
	n.generation = ev.Generation
	n.applied = append(n.applied, ev)
	return nil
}

// connected is a session that runs.
type connected struct {
	*node
	session *Session
}

// connect runs the session of a worker that knows its instances. It is called within a synctest bubble; end returns what Run did.
func connect(t *testing.T, server Server, change ...func(*Options)) (w connected, log *programs.Buffer, end func() error) {
	t.Helper()
	ready := make(chan struct{})
	close(ready)
	log = &programs.Buffer{}
	n := &node{ids: map[string]string{}}
	o := Options{
		Server: server, Identity: n, Instances: n, Mapping: n, Token: joinTokenText, StateFile: "/data/worker.json", Ready: ready,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	s := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	synctest.Wait()
	end = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = end() })
	return connected{n, s}, log, end
}

func good(name string) fleet.ReportedInstance {
	return fleet.ReportedInstance{Name: name, Model: "qwen", URL: "http://127.0.0.1:8000", Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning}
}

// answerWith makes a dry run of so many engines that takes some time.
func answerWith(engines int, took time.Duration) DryRunFunc {
	return func(ctx context.Context, _ *mapping.Compiled, _ time.Time) ([]exporter.DryRunResult, int64, error) {
		select {
		case <-time.After(took):
			return make([]exporter.DryRunResult, engines), 3, nil
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}
