package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/doctor"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// slowSources are those of two workers. A query takes a second.
type slowSources struct {
	mu   sync.Mutex
	runs int
}

func (s *slowSources) Version() string { return "1" }
func (s *slowSources) Snapshot() *fleet.Snapshot {
	return &fleet.Snapshot{
		Clusters:  []fleet.Cluster{{ID: 1, Name: "default"}},
		Workers:   []fleet.Worker{{ID: 1, ClusterID: 1, Name: "one", State: fleet.WorkerReady}, {ID: 2, ClusterID: 1, Name: "two", State: fleet.WorkerReady}},
		Models:    []fleet.Model{{ID: 1, ClusterID: 1, Name: "qwen"}},
		Instances: []fleet.Instance{{ID: 1, ModelID: 1, WorkerID: 1, Name: "twin"}, {ID: 2, ModelID: 1, WorkerID: 2, Name: "twin"}},
	}
}
func (s *slowSources) Connected() []int64                      { return nil }
func (s *slowSources) Mapping() doctor.Mapping                 { return doctor.Mapping{} }
func (s *slowSources) Page(context.Context, int64) doctor.Page { return doctor.Page{NotRead: "no"} }
func (s *slowSources) Check(context.Context, int64) doctor.Check {
	return doctor.Check{NotAnswered: "no"}
}
func (s *slowSources) Query(context.Context, string) doctor.Answer { return doctor.Answer{} }
func (s *slowSources) Server() doctor.Server                       { return doctor.Server{} }
func (s *slowSources) Prometheus(ctx context.Context) doctor.Prometheus {
	s.mu.Lock()
	s.runs++
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return doctor.Prometheus{Kind: doctor.PrometheusNone}
}

func (h harness) doctor(query string) *httptest.ResponseRecorder {
	return h.do(request("GET", "/v2/doctor?"+query, ""))
}

// Requests for one subject share an examination, and two run at a time.
func TestDoctorIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := new(slowSources)
		h := newAPI(t, func(o *api.Options) { o.Doctor = src })
		var wg sync.WaitGroup
		for range 10 {
			for _, query := range []string{"", "worker=one", "worker=1", "subject=one"} {
				wg.Go(func() {
					w := h.doctor(query)
					var d wire.Doctor
					if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
						t.Errorf("%q: %d %v %s", query, w.Code, err, w.Body)
					}
				})
			}
		}
		synctest.Wait()
		if w := h.doctor("worker=two"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("a third one: %d %s", w.Code, w.Body)
		}
		wg.Wait()
		if src.runs != 2 {
			t.Errorf("%d examinations", src.runs)
		}
		if w := h.doctor("worker=two"); w.Code != 200 {
			t.Errorf("after them: %d %s", w.Code, w.Body)
		}
	})
}

// brokenSources panic.
type brokenSources struct{ slowSources }

func (*brokenSources) Server() doctor.Server { panic("a bug") }

// A bug costs the requests that meet it their answers, and not the process.
func TestDoctorPanics(t *testing.T) {
	h := newAPI(t, func(o *api.Options) { o.Doctor = new(brokenSources) })
	for range 2 { // the place is free again
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "a bug\n") || !strings.Contains(text, "brokenSources") {
					t.Errorf("the handler panics with %s", text)
				}
			}()
			w := h.doctor("")
			t.Errorf("%d %s", w.Code, w.Body)
		}()
	}
}

func TestDoctorOfWhatIsNotThere(t *testing.T) {
	h := newAPI(t, func(o *api.Options) { o.Doctor = new(slowSources) })
	for query, want := range map[string]struct {
		status int
		says   string
	}{
		"instance=twin":                       {409, "instance 1 (on worker one), instance 2 (on worker two)"},
		"worker=onee":                         {404, `did you mean \"one\"?`},
		"metric=x":                            {404, "there is no metric"},
		"subject=" + strings.Repeat("y", 600): {422, ""},
		"instanc=twin":                        {422, "write it as instance"},
		"worker=one&worker=two":               {422, "it is given more than once"},
		"worker=%20onee%20":                   {404, `no worker \"onee\"`},
	} {
		if w := h.doctor(query); w.Code != want.status || !strings.Contains(w.Body.String(), want.says) {
			t.Errorf("%.40s: %d %s", query, w.Code, w.Body)
		}
	}
}

// A search for a model of another name asks Prometheus. Two run at a time.
func TestDoctorSearchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t, func(o *api.Options) { o.Doctor = new(slowSources) })
		counts := map[int]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				w := h.doctor("model=gone" + strconv.Itoa(i))
				mu.Lock()
				defer mu.Unlock()
				counts[w.Code]++
			})
		}
		wg.Wait()
		if counts[404] != 2 || counts[503] != 8 {
			t.Errorf("%v", counts)
		}
	})
}

// A request that is gone ends nothing for the others, and the server's end ends all.
func TestDoctorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t, func(o *api.Options) { o.Doctor = new(slowSources) })
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { h.do(request("GET", "/v2/doctor", "").WithContext(ctx)) }) //nolint:contextcheck // it is given
		synctest.Wait()
		wg.Go(func() {
			if w := h.doctor(""); w.Code != 200 {
				t.Errorf("the other one: %d %s", w.Code, w.Body)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		wg.Go(func() {
			if w := h.doctor(""); w.Code != 503 {
				t.Errorf("at the end: %d %s", w.Code, w.Body)
			}
		})
		synctest.Wait()
		h.EndStreams()
		wg.Wait()
		time.Sleep(time.Minute) // the examination ends by itself
	})
}
