package doctor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// sources are those of a healthy fleet, enlarged.
type sources struct {
	*asked

	mu      sync.Mutex
	pages   []int64
	checks  []int64
	queries []string
}

func newSources(tb testing.TB, workers, instancesEach int) *sources {
	tb.Helper()
	a := healthy(tb)
	s := *a.Snapshot
	s.Workers, s.Instances = nil, nil
	var stored []Sample
	recent := float64(time.Now().Unix())
	for w := range int64(workers) {
		worker := a.Snapshot.Workers[0]
		worker.ID, worker.Name, worker.Address = w+1, fmt.Sprint("gpu-", w+1), fmt.Sprint("node-", w+1)
		worker.RegisteredAt, worker.LastReportAt, worker.Since = time.Now().Add(-time.Hour), time.Now(), time.Now().Add(-time.Hour)
		s.Workers = append(s.Workers, worker)
		a.Connected[worker.ID] = true
		a.Prometheus.Targets[address(&worker)] = Scrape{Up: true, Last: time.Now()}
		stored = append(stored, sample(worker.ID, 0, recent))
		for i := range int64(instancesEach) {
			in := a.Snapshot.Instances[0]
			in.ID, in.WorkerID = w*int64(instancesEach)+i+1, worker.ID
			in.Name, in.Since = fmt.Sprint("qwen-", in.ID), time.Now().Add(-time.Hour)
			s.Instances = append(s.Instances, in)
			stored = append(stored, sample(worker.ID, in.ID, recent))
		}
	}
	a.Snapshot = &s
	a.answer(queryStored, stored...)
	for _, v := range variables() {
		var all []Sample
		for i := range s.Instances {
			in := &s.Instances[i]
			all = append(all, Sample{Labels: map[string]string{"cluster_name": "default", "worker_name": workerName(&s, in.WorkerID), "model_name": "qwen", "model_instance_name": in.Name}})
		}
		a.answer(queryVariable+v.name, all...)
	}
	delete(a.Answers, queryClock)
	return &sources{asked: a}
}

func (s *sources) Version() string           { return s.Evidence.Version }
func (s *sources) Snapshot() *fleet.Snapshot { return s.Evidence.Snapshot }
func (s *sources) Mapping() Mapping          { return s.Evidence.Mapping }
func (s *sources) Server() Server            { return s.Evidence.Server }

func (s *sources) Connected() (ids []int64) {
	for id := range s.Evidence.Connected {
		ids = append(ids, id)
	}
	return ids
}

func (s *sources) Prometheus(context.Context) Prometheus { return s.Evidence.Prometheus }

func (s *sources) Page(_ context.Context, id int64) Page {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = append(s.pages, id)
	return Page{InstancePage: wire.InstancePage{URL: "http://10.0.0.1:8000/metrics", Error: "connection refused at 10.0.0.1:8000"}}
}

func (s *sources) Check(_ context.Context, id int64) Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks = append(s.checks, id)
	return Check{NotAnswered: "worker gpu did not answer"}
}

func (s *sources) Query(_ context.Context, expr string) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries = append(s.queries, expr)
	for name, e := range expressions(nil, "") {
		if e == expr {
			return s.Answers[name]
		}
	}
	return Answer{}
}

// breaks makes that many instances fail.
func (s *sources) breaks(n int) {
	for i := range n {
		in := &s.Evidence.Snapshot.Instances[i]
		in.State, in.StateMessage = fleet.InstanceError, "connection refused at 10.0.0.1:8000: is it running, and are host and port right?"
	}
}

// A run of the fleet asks for little, however large it is, and tells all that is wrong.
func TestRunOfTheFleet(t *testing.T) {
	s := newSources(t, 100, 10)
	s.breaks(40)
	for i := range 7 { // firewalls
		w := &s.Evidence.Snapshot.Workers[50+i]
		s.Evidence.Prometheus.Targets[address(w)] = Scrape{Last: time.Now(), Error: "GET http://node:10151/metrics: it took longer than the scrape timeout"}
	}
	d := Run(t.Context(), s, Resolved{Subject: wire.DoctorSubject{Kind: wire.DoctorFleet}})
	if len(s.pages) > maxUnwellPages || len(s.checks) > maxChecks || len(s.queries) > 20 {
		t.Errorf("%d pages, %d checks, %d queries", len(s.pages), len(s.checks), len(s.queries))
	}
	kinds := map[string]int{}
	for _, f := range d.Findings {
		kinds[f.ID]++
	}
	if diff := cmp.Diff(map[string]int{"engine_refused": maxOfOneKind, "scrape_firewall": 7}, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(d.Paths) != maxWays || d.PathsLeftOut == 0 || d.OK {
		t.Errorf("%d paths, %d left out", len(d.Paths), d.PathsLeftOut)
	}
	if !strings.Contains(d.Findings[maxOfOneKind-1].Seen, "(and 20 more of this kind)") {
		t.Errorf("the others are not told: %s", d.Findings[maxOfOneKind-1].Seen)
	}
}

func TestRunOfAModelReadsAFewPages(t *testing.T) {
	s := newSources(t, 10, 10)
	d := Run(t.Context(), s, Resolved{Subject: wire.DoctorSubject{Kind: wire.DoctorModel, ID: 1, Name: "qwen"}})
	if len(s.pages) != maxPagesRead || len(s.checks) != maxChecks {
		t.Errorf("%d pages, %d checks", len(s.pages), len(s.checks))
	}
	if len(d.Paths) != maxWays || d.PathsLeftOut != 100-maxWays {
		t.Errorf("%d paths, %d left out", len(d.Paths), d.PathsLeftOut)
	}
}

// An answer that comes too late is not waited for.
func TestRunEnds(t *testing.T) {
	s := newSources(t, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := Run(ctx, s, Resolved{Subject: wire.DoctorSubject{Kind: wire.DoctorInstance, ID: 1, Name: "qwen-1"}})
	if len(s.pages) > 0 || len(d.Paths) != 1 {
		t.Errorf("%v %+v", s.pages, d)
	}
}

func TestModelThatWasRenamed(t *testing.T) {
	s := newSources(t, 1, 2)
	s.Evidence.Prometheus.Kind = PrometheusEmbedded
	answered := &renamedSources{s}
	r, ok := Renamed(t.Context(), answered, Request{Text: `old"name`})
	if !ok || r.Subject != (wire.DoctorSubject{Kind: wire.DoctorModel, Name: `old"name`}) || !cmp.Equal(r.Renamed, []int64{2}) {
		t.Errorf("%+v %t", r, ok)
	}
	if len(s.queries) != 1 || !strings.Contains(s.queries[0], `model_name="old\"name"`) {
		t.Errorf("asked %v", s.queries)
	}
	for _, request := range []Request{{Worker: "old"}, {Instance: "old"}, {Metric: "old"}, {}} {
		if _, ok := Renamed(t.Context(), answered, request); ok {
			t.Errorf("%+v is taken for a model", request)
		}
	}
}

type renamedSources struct{ *sources }

func (s *renamedSources) Query(_ context.Context, expr string) Answer {
	s.queries = append(s.queries, expr)
	return Answer{Samples: []Sample{sample(0, 2, 1), sample(0, 99, 1)}}
}

func BenchmarkExamineFleet(b *testing.B) {
	s := newSources(b, 100, 10)
	s.breaks(40)
	b.ReportAllocs()
	for b.Loop() {
		Run(b.Context(), s, Resolved{Subject: wire.DoctorSubject{Kind: wire.DoctorFleet}})
	}
}
