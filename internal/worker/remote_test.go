package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// remote is a server in memory, for tests in which time is simulated. What it answers is set by the last part of a path:
// register, report or watch.
type remote struct {
	mu       sync.Mutex
	status   map[string]int // 0: as it should be, -1: no connection
	header   http.Header    // of answers with another status
	detail   string         // of them; empty: refused
	times    map[string][]time.Time
	interval int           // of reports, in seconds
	event    string        // that a stream begins with
	stream   time.Duration // after which a stream is cut; 0: never
	asked    []string      // generations that streams asked for
	reports  []wire.ReportRequest
	given    []wire.InstanceIDs // with each answer to a report
}

func newRemote() *remote {
	ev, _ := json.Marshal(wire.MappingEvent{Default: true})
	return &remote{status: map[string]int{}, times: map[string][]time.Time{}, interval: 60, event: string(ev)}
}

func (r *remote) set(change func(*remote)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what := path.Base(req.URL.Path)
	r.times[what] = append(r.times[what], time.Now())
	status := r.status[what]
	var answer any
	const most = 1000 // at one time
	if n := len(r.times[what]); n > most && r.times[what][n-most].Equal(time.Now()) {
		r.mu.Unlock()
		<-req.Context().Done() // somebody asks without a pause, for ever
		r.mu.Lock()
	}
	switch {
	case req.Context().Err() != nil:
		return nil, req.Context().Err()
	case status < 0:
		return nil, errors.New("no route")
	case status > 0:
		answer = httpjson.Problem{Status: status, Detail: cmp.Or(r.detail, "refused")}
	case what == "register":
		answer = wire.RegisterResponse{WorkerID: 7, WorkerName: "w", ClusterID: 2, ClusterName: "lab", Credential: credential, ReportIntervalSeconds: r.interval}
	case what == "report":
		report, err := httpjson.Decode[wire.ReportRequest](req.Body, 1<<20)
		if err != nil {
			return nil, err
		}
		r.reports = append(r.reports, report)
		answer = wire.ReportResponse{Instances: append([]wire.InstanceIDs{}, r.given...)}
	case what == "watch":
		r.asked = append(r.asked, req.URL.Query().Get("generation"))
		return reply(req, http.StatusOK, "text/event-stream", r.open(req.Context())), nil
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	if status == 0 {
		return reply(req, http.StatusOK, "application/json", io.NopCloser(strings.NewReader(string(data)))), nil
	}
	resp := reply(req, status, "application/problem+json", io.NopCloser(strings.NewReader(string(data))))
	maps.Copy(resp.Header, r.header)
	return resp, nil
}

func reply(req *http.Request, status int, contentType string, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Header: http.Header{"Content-Type": {contentType}}, Body: body, ContentLength: -1, Request: req}
}

// open begins a stream: an event, and something now and then that says that it lives.
func (r *remote) open(ctx context.Context) io.ReadCloser {
	out, in := io.Pipe()
	text, cut := "event: mapping\ndata: "+r.event+"\n\n", r.stream
	go func() {
		var ended <-chan time.Time
		if cut > 0 {
			ended = time.After(cut)
		}
		for {
			if _, err := io.WriteString(in, text); err != nil {
				return
			}
			text = ": here\n\n"
			select {
			case <-ctx.Done():
				_ = in.CloseWithError(ctx.Err())
				return
			case <-ended:
				_ = in.Close()
				return
			case <-time.After(15 * time.Second):
			}
		}
	}()
	return out
}

// nothing is a discovery that has looked and found nothing.
type nothing struct{}

func (nothing) Engines() []discovery.Found { return nil }
func (nothing) FirstRoundDone() <-chan struct{} {
	looked := make(chan struct{})
	close(looked)
	return looked
}

// linked runs a worker's session with r, and its instances, within a synctest bubble. end returns what the session ended with.
func linked(t *testing.T, r http.RoundTripper, change ...func(*Options)) (w *Worker, log *programs.Buffer, end func() error) {
	t.Helper()
	log = &programs.Buffer{}
	o := options(t)
	for _, c := range change {
		c(&o)
	}
	o.ServerURL, o.Token, o.HTTPClient, o.Address = "http://server", joinToken, &http.Client{Transport: r}, "10.0.0.1"
	o.DisableWorkerMetrics, o.Logger = true, slog.New(slog.NewTextHandler(log, nil))
	w, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var instances sync.WaitGroup
	instances.Go(func() { w.instances.Run(ctx, nothing{}) })
	go func() { done <- w.session.Run(ctx) }()
	synctest.Wait()
	end = sync.OnceValue(func() error {
		cancel()
		instances.Wait()
		return <-done
	})
	t.Cleanup(func() { _ = end() })
	return w, log, end
}

// Who the worker is comes from the server, once it has said so, and is on disk before the server hears of it.
func TestServerNamesTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		o := options(t)
		o.DataDir, o.Cluster, o.DisableWorkerMetrics = dir, "wanted", true
		alone, err := New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		uuid := alone.store.Identity().UUID
		data, err := os.ReadFile(filepath.Join(dir, "worker.json"))
		if err != nil || uuid == "" || !strings.Contains(string(data), uuid) {
			t.Errorf("before it ran: %v, %s", err, data)
		}
		if id := alone.labels.Load(); id.WorkerName != "node-1" || id.ClusterName != "wanted" || id.WorkerID != "" {
			t.Errorf("alone: %+v", id)
		}
		if err := alone.Close(); err != nil {
			t.Fatal(err)
		}
		w, _, _ := linked(t, newRemote(), func(o *Options) { o.DataDir, o.Cluster = dir, "wanted" })
		if got := w.store.Identity().UUID; got != uuid {
			t.Error("it came as another machine")
		}
		if id := w.labels.Load(); id.WorkerName != "w" || id.WorkerID != "7" || id.ClusterName != "lab" || id.ClusterID != "2" {
			t.Errorf("with a server: %+v", id)
		}
	})
}

// Ids are taken for the instances that were reported, whatever else a server gives any to.
func TestIDsAreThoseOfReportedInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.given = []wire.InstanceIDs{{Name: "ghost", InstanceID: 41, ModelID: 6}, {Name: "own", InstanceID: 40, ModelID: 5}, {InstanceID: 42}}
		w, _, _ := linked(t, r, func(o *Options) {
			o.Engines = []engine.Declaration{{URL: "http://127.0.0.1:1", Instance: "own", Model: "qwen"}, {URL: "http://127.0.0.1:2", Instance: "mute"}}
			r.given = append(r.given, wire.InstanceIDs{Name: "mute", InstanceID: 43}) // its model is not known
		})
		time.Sleep(time.Second)
		data, err := os.ReadFile(filepath.Join(w.opts.DataDir, "worker.json"))
		if err != nil {
			t.Fatal(err)
		}
		type ids struct {
			Model      string `json:"model"`
			InstanceID int    `json:"instance_id"`
			ModelID    int    `json:"model_id"`
		}
		var state struct {
			Engines map[string]struct {
				IDs ids `json:"ids"`
			} `json:"engines"`
		}
		if err := json.Unmarshal(data, &state); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]ids{"own": {"qwen", 40, 5}, "ghost": {}, "mute": {"", 43, 0}, "": {}} {
			if got := state.Engines[name].IDs; got != want {
				t.Errorf("%q has %+v, want %+v", name, got, want)
			}
		}
		for i, want := range []string{"40", "43"} {
			if in := w.instances.Engines()[i].Instance(); in.ID != want {
				t.Errorf("samples of %s have the id %q, want %q", in.Name, in.ID, want)
			}
		}
	})
}
