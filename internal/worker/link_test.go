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
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/wire"
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

// of returns when something was asked, and forgets it.
func (r *remote) of(what string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	times := r.times[what]
	r.times[what] = nil
	return times
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

// linked runs a worker's link to r within a synctest bubble and returns what ended it when the worker ends.
func linked(t *testing.T, r http.RoundTripper, change ...func(*Options)) (w *Worker, log *logBuffer, end func() error) {
	t.Helper()
	w, log, end = newLinked(t, r, change...)
	close(w.settled) // nobody looks for engines
	synctest.Wait()
	return w, log, end
}

// newLinked does so with a worker that has not looked for engines yet.
func newLinked(t *testing.T, r http.RoundTripper, change ...func(*Options)) (w *Worker, log *logBuffer, end func() error) {
	t.Helper()
	log = &logBuffer{}
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
	go func() { done <- newLink(w).run(ctx) }()
	synctest.Wait()
	end = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = end() })
	return w, log, end
}

// A server that is away is tried again soon; one that answers and refuses is left in peace, as somebody must change something.
func TestPausesOfTheLink(t *testing.T) {
	for _, what := range []string{"register", "report", "watch"} {
		for status, slow := range map[int]bool{
			-1: false, 500: false, 502: false, 503: false, 504: false, 400: true, 403: true, 409: true, 413: true, 422: true, 429: true,
		} {
			t.Run(fmt.Sprint(what, " ", status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRemote()
					r.status[what] = status
					_, log, _ := linked(t, r)
					time.Sleep(30 * time.Minute)
					pause, last := firstPause, lastPause
					if slow {
						pause, last = firstSlowPause, lastSlowPause
					}
					switch status {
					case http.StatusForbidden:
						last = lastPause
					case http.StatusConflict:
						last = firstSlowPause // another worker has the place, for a while perhaps
					}
					times := r.of(what)
					if least := int(30 * time.Minute / last); len(times) < least {
						t.Errorf("%d tries, want at least %d", len(times), least)
					}
					for i := range times[1:] {
						if got := times[i+1].Sub(times[i]); got < pause/2 || got > pause {
							t.Errorf("pause %d is %s, want %s to %s", i, got, pause/2, pause)
						}
						pause = min(2*pause, last)
					}
					if n := len(r.of("register")); what != "register" && n != 1 {
						t.Errorf("%d registrations", n)
					}
					// When it works again, the next failure begins with the shortest pause.
					r.set(func(r *remote) { r.status[what], r.stream = 0, time.Minute })
					time.Sleep(5 * time.Minute)
					r.set(func(r *remote) { r.status[what], r.interval = -1, 60 })
					if what == "register" {
						r.set(func(r *remote) { r.status["report"] = http.StatusNotFound })
					}
					r.of(what)
					time.Sleep(3 * time.Minute)
					shortest := firstPause
					if what == "watch" {
						shortest *= 2 // the end of a stream is a failure, too
					}
					if times := r.of(what); len(times) < 3 || times[1].Sub(times[0]) > shortest || times[2].Sub(times[1]) > 2*shortest {
						t.Errorf("after it worked: tried at %v", times)
					}
					if n := strings.Count(log.String(), "level=WARN"); n > 4 {
						t.Errorf("%d warnings:\n%s", n, log)
					}
				})
			})
		}
	}
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
		uuid := alone.keeper.current().UUID
		data, err := os.ReadFile(filepath.Join(dir, "worker.json"))
		if err != nil || uuid == "" || !strings.Contains(string(data), uuid) {
			t.Errorf("before it ran: %v, %s", err, data)
		}
		if id := alone.identity.Load(); id.WorkerName != "node-1" || id.ClusterName != "wanted" || id.WorkerID != "" {
			t.Errorf("alone: %+v", id)
		}
		if err := alone.Close(); err != nil {
			t.Fatal(err)
		}
		w, _, _ := linked(t, newRemote(), func(o *Options) { o.DataDir, o.Cluster = dir, "wanted" })
		if got := w.keeper.current().UUID; got != uuid {
			t.Error("it came as another machine")
		}
		if id := w.identity.Load(); id.WorkerName != "w" || id.WorkerID != "7" || id.ClusterName != "lab" || id.ClusterID != "2" {
			t.Errorf("with a server: %+v", id)
		}
	})
}

// Reports come at the pace that the worker was told, else the server, else neither, and soon after changes, however many.
func TestPaceOfReports(t *testing.T) {
	for name, c := range map[string]struct {
		told   time.Duration
		server int
		want   time.Duration
	}{
		"by the server":      {0, 60, time.Minute},
		"by the worker":      {5 * time.Second, 60, 5 * time.Second},
		"by nobody":          {0, 0, defaultReportInterval},
		"by a broken server": {0, -5, defaultReportInterval},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote()
				r.interval = c.server
				w, _, _ := linked(t, r, func(o *Options) { o.ReportInterval = c.told })
				time.Sleep(time.Second)
				r.of("report")
				time.Sleep(10 * c.want)
				times := r.of("report")
				if n := len(times); n < 9 || n > 10 {
					t.Errorf("%d reports in 10 intervals", n)
				}
				for i := range len(times) - 1 {
					if got := times[i+1].Sub(times[i]); got != c.want {
						t.Errorf("%s after the one before, want %s", got, c.want)
					}
				}
				time.Sleep(c.want / 2) // between two of them
				r.of("report")
				changed := time.Now()
				for range 4 {
					w.reports.send()
					time.Sleep(settleTime / 5)
				}
				time.Sleep(time.Second)
				if times := r.of("report"); len(times) != 1 || times[0].Sub(changed) > settleTime {
					t.Errorf("changes at %s were reported at %s", changed, times)
				}
			})
		})
	}
}

// Ids are taken for the instances that were reported, whatever else a server gives any to.
func TestIDsAreThoseOfReportedInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.given = []wire.InstanceIDs{{Name: "ghost", InstanceID: 41, ModelID: 6}, {Name: "own", InstanceID: 40, ModelID: 5}, {InstanceID: 42}}
		w, _, _ := linked(t, r, func(o *Options) {
			o.Engines = []engine.Declaration{{URL: "http://127.0.0.1:1", Instance: "own", Model: "qwen"}, {URL: "http://127.0.0.1:2", Instance: "mute"}}
			r.given = append(r.given, wire.InstanceIDs{Name: "mute", InstanceID: 43}) // is not reported before its model is known
		})
		time.Sleep(time.Second)
		for name, want := range map[string]ids{"own": {"qwen", 40, 5}, "ghost": {}, "mute": {}, "": {}} {
			if got := w.keeper.engine(name).IDs; got != want {
				t.Errorf("%q has %+v, want %+v", name, got, want)
			}
		}
		for i, want := range []string{"40", ""} {
			if in := w.roster.engines()[i].Instance(); in.ID != want {
				t.Errorf("samples of %s have the id %q, want %q", in.Name, in.ID, want)
			}
		}
	})
}

// The server refuses a report whose messages are longer than it says, and all engines with it.
func TestMessagesOfAReportAreShort(t *testing.T) {
	field, _ := reflect.TypeFor[wire.InstanceReport]().FieldByName("StateMessage")
	most, err := strconv.Atoi(field.Tag.Get("maxLength"))
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"x", "ü", "語", "🙂", "\xff"} {
		for length := most - 8; length <= most+8; length++ {
			long := strings.Repeat("x", length%len(piece)) + strings.Repeat(piece, length/len(piece))
			got := stateMessage(long)
			if len(got) > most || !utf8.ValidString(got) {
				t.Errorf("%d bytes of %q become %d: %q", length, piece, len(got), got[len(got)-8:])
			}
			if utf8.ValidString(long) && length <= most && got != long {
				t.Errorf("%d bytes of %q are cut to %d", length, piece, len(got))
			}
			if utf8.ValidString(long) && len(got) < min(length, most-8) {
				t.Errorf("%d bytes of %q are cut to %d", length, piece, len(got))
			}
		}
	}
}

// A stream that is opened again asks for what is newer than what is in force. After a registration it asks for whatever there
// is, for the server may be one that counts anew.
func TestStreamsAskForWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		event := func(generation int64) {
			ev, err := json.Marshal(wire.MappingEvent{Generation: generation, Document: json.RawMessage(mineJSON)})
			if err != nil {
				t.Fatal(err)
			}
			r.set(func(r *remote) { r.event = string(ev) })
		}
		event(3)
		r.stream = time.Minute
		linked(t, r)
		time.Sleep(30 * time.Second)
		event(4)
		time.Sleep(time.Minute)
		event(5)
		time.Sleep(time.Minute)
		r.set(func(r *remote) { r.status["report"] = http.StatusNotFound })
		time.Sleep(time.Minute)
		r.set(func(r *remote) { r.status["report"], r.asked = 0, append(r.asked, "forgotten") })
		event(1) // it lost its database
		time.Sleep(2 * time.Minute)
		r.set(func(r *remote) {
			got := strings.Join(r.asked, " ")
			if !strings.HasPrefix(got, "-1 3 4 ") || !strings.HasSuffix(got, " 1") {
				t.Errorf("streams asked for %s", got)
			}
			// Each session begins with -1, those of a server that forgets at once too.
			if strings.Contains(got, " 5 5") {
				t.Errorf("streams asked for %s, which nothing is newer than", got)
			}
		})
	})
}

// A server that forgets the worker again and again is not flooded with registrations.
func TestServerThatForgetsAtOnce(t *testing.T) {
	for _, what := range []string{"report", "watch"} {
		for _, status := range []int{http.StatusUnauthorized, http.StatusNotFound} {
			synctest.Test(t, func(t *testing.T) {
				r := newRemote()
				r.status[what] = status
				linked(t, r)
				time.Sleep(time.Minute)
				times := r.of("register")
				if n := len(times); n < 10 || n > int(time.Minute/firstPause)+1 {
					t.Errorf("%s %d: %d registrations in a minute", what, status, n)
				}
				r.set(func(r *remote) { r.status[what] = 0 })
				time.Sleep(time.Minute)
				if n := len(r.of("register")); n > 1 {
					t.Errorf("%s %d: %d registrations when it remembers", what, status, n)
				}
			})
		}
	}
}

// A token that is wrong ends a worker that has just begun. One that ran goes on with what it knows and joins again when the
// token is right again.
func TestTokenThatIsWrongLater(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote()
			r.status["register"] = http.StatusUnauthorized
			_, _, end := linked(t, r)
			time.Sleep(time.Hour)
			if n := len(r.of("register")); n != 1 {
				t.Errorf("%d tries with a token that never was right", n)
			}
			if err := end(); statusOf(err) != http.StatusUnauthorized {
				t.Errorf("ended with %v", err)
			}

			r = newRemote()
			_, _, end = linked(t, r)
			time.Sleep(time.Second)
			r.set(func(r *remote) { r.status["report"], r.status["register"] = http.StatusNotFound, status })
			time.Sleep(time.Hour)
			if n := len(r.of("register")); n < 30 {
				t.Errorf("%d: %d tries after the token changed", status, n)
			}
			r.set(func(r *remote) { r.status["report"], r.status["register"] = 0, 0 })
			time.Sleep(lastSlowPause)
			r.of("report")
			time.Sleep(2 * time.Minute)
			if n := len(r.of("report")); n < 2 {
				t.Errorf("%d: %d reports when the token is right again", status, n)
			}
			if err := end(); err != nil {
				t.Errorf("%d: ended with %v", status, err)
			}
		})
	}
}
