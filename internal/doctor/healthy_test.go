package doctor

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const running = "gpustack:num_requests_running"

// now is when everything is examined.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return now.Add(-d) }

// asked is what a test asks about.
type asked struct {
	*Evidence
	r Resolved
}

func (a *asked) about(kind string, id int64, name string) {
	a.r.Subject = wire.DoctorSubject{Kind: kind, ID: id, Name: name}
	a.Subject = a.r.Subject
}

func (a *asked) forMetric(name string) { a.Metric, a.r.Metric = name, name }

func (a *asked) worker() *fleet.Worker     { return &a.Snapshot.Workers[0] }
func (a *asked) instance() *fleet.Instance { return &a.Snapshot.Instances[0] }

// state changes what the inventory has of the first instance, whose page was not read.
func (a *asked) state(s fleet.InstanceState, message string) {
	in := a.instance()
	in.State, in.StateMessage = s, message
	delete(a.Pages, in.ID)
	a.answer(queryOne)
}

// failed makes the page of the first instance one that cannot be had.
func (a *asked) failed(message string) {
	a.state(fleet.InstanceError, message)
	a.Pages[1] = Page{InstancePage: wire.InstancePage{URL: "http://10.0.0.1:8000/metrics", Error: message}, Seconds: 0.1}
}

// lacks makes the first instance one that runs without metrics.
func (a *asked) lacks(reason, message string) {
	a.state(fleet.InstanceRunning, message)
	a.answer(queryOne, sample(1, 1, 1, "__name__", catalog.InstanceNoMetrics.WireName(), "reason", reason))
}

func (a *asked) scrape(s Scrape) { a.Prometheus.Targets["10.0.0.1:10151"] = s }

func (a *asked) scrapeFails(text string) {
	a.scrape(Scrape{Last: before(2 * time.Second), Duration: 5 * time.Second, Timeout: 5 * time.Second, Error: text})
	a.stored(1, 10*time.Minute)
}

// stored sets how old the newest samples of a worker and of its instances are.
func (a *asked) stored(worker int64, age time.Duration) {
	samples := a.Answers[queryStored].Samples
	for i := range samples {
		if samples[i].Labels["worker_id"] == strconv.FormatInt(worker, 10) {
			samples[i].Value = unix(before(age))
		}
	}
}

func (a *asked) check(change func(*Check)) {
	c := a.Checks[1]
	change(&c)
	a.Checks[1] = c
}

func (a *asked) page(change func(*Page)) {
	p := a.Pages[1]
	change(&p)
	a.Pages[1] = p
}

func (a *asked) answer(name string, samples ...Sample) {
	a.Answers[name] = Answer{Samples: samples, Asked: now, Answered: now.Add(time.Millisecond)}
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func sample(worker, instance int64, value float64, labels ...string) Sample {
	s := Sample{Labels: map[string]string{}, Value: value}
	if worker != 0 {
		s.Labels["worker_id"] = strconv.FormatInt(worker, 10)
	}
	if instance != 0 {
		s.Labels["model_instance_id"] = strconv.FormatInt(instance, 10)
	}
	for i := 0; i < len(labels); i += 2 {
		s.Labels[labels[i]] = labels[i+1]
	}
	return s
}

// healthy is a fleet of two workers with an engine each, in which all is well.
func healthy(tb testing.TB) *asked {
	tb.Helper()
	compiled, err := mapping.Compile(mapping.Default())
	if err != nil {
		tb.Fatal(err)
	}
	worker := func(id int64, name, address string) fleet.Worker {
		return fleet.Worker{
			ID: id, ClusterID: 1, Name: name, Address: address, MetricsPort: 10151, State: fleet.WorkerReady, Version: "1.5.0",
			RegisteredAt: before(time.Hour), LastReportAt: before(3 * time.Second), Since: before(time.Hour),
		}
	}
	instance := func(id int64, name string) fleet.Instance {
		return fleet.Instance{
			ID: id, ModelID: 1, WorkerID: id, Name: name, State: fleet.InstanceRunning, URL: "http://10.0.0.1:8000", Runtime: "vLLM", RuntimeVersion: "0.11.0",
			Since: before(30 * time.Minute),
		}
	}
	a := &asked{Evidence: &Evidence{
		Now: now, Version: "1.5.0",
		Snapshot: &fleet.Snapshot{
			At:        now,
			Clusters:  []fleet.Cluster{{ID: 1, Name: "default"}},
			Workers:   []fleet.Worker{worker(1, "gpu-1", "10.0.0.1"), worker(2, "gpu-2", "10.0.0.2")},
			Models:    []fleet.Model{{ID: 1, ClusterID: 1, Name: "qwen"}},
			Instances: []fleet.Instance{instance(1, "qwen-0"), instance(2, "qwen-1")},
			GPUs:      []fleet.GPU{{WorkerID: 1, ReportedGPU: fleet.ReportedGPU{Vendor: "nvidia", Name: "H200", State: fleet.GPUPresent, Action: "none"}}},
		},
		Connected: map[int64]bool{1: true, 2: true},
		Mapping:   Mapping{Compiled: compiled, At: before(time.Hour)},
		Pages: map[int64]Page{1: {Seconds: 0.02, InstancePage: wire.InstancePage{
			URL: "http://10.0.0.1:8000/metrics", Runtime: "vLLM", RuntimeVersion: "0.11.0", Bytes: 100, Coverage: &wire.Coverage{Families: 20, Of: 28},
			Metrics: []wire.NativeReport{{Name: "vllm:num_requests_running", Samples: 1, Outcomes: []wire.NativeOutcome{{Family: running, Samples: 1}}}},
			Unified: running + "{worker_id=\"1\"} 3\n",
		}}},
		Checks: map[int64]Check{1: {Asked: before(time.Second), Answered: before(900 * time.Millisecond), WorkerCheck: wire.WorkerCheck{
			Now: before(950 * time.Millisecond), PageSeconds: 0.05, PageBytes: 1000, PageSeries: 10,
		}}},
		Prometheus: Prometheus{Kind: PrometheusEmbedded, Targets: map[string]Scrape{
			"10.0.0.1:10151": {Up: true, Last: before(2 * time.Second), Duration: 10 * time.Millisecond, Timeout: 5 * time.Second},
			"10.0.0.2:10151": {Up: true, Last: before(2 * time.Second), Duration: 10 * time.Millisecond, Timeout: 5 * time.Second},
		}},
		Answers: map[string]Answer{},
		Server: Server{
			GrafanaPhase: "running", Readers: []Reader{{At: before(time.Minute), Agent: "Prometheus"}}, ReadersSince: before(time.Hour),
			Connections: []Connections{{"API", 10, 100}},
		},
	}}
	a.answer(queryClock, Sample{Value: unix(now)})
	a.answer(queryServerInfo, Sample{Value: 1})
	a.answer(queryStored, sample(1, 0, unix(before(2*time.Second))), sample(1, 1, unix(before(2*time.Second))), sample(2, 0, unix(before(2*time.Second))), sample(2, 2, unix(before(2*time.Second))))
	a.answer(queryMetric, sample(1, 1, 1), sample(2, 2, 1))
	a.answer(queryHead, Sample{Labels: map[string]string{"__name__": headSeries}, Value: 100}, Sample{Labels: map[string]string{"__name__": maxSeries}, Value: 1000})
	for _, v := range variables() {
		var all []Sample
		for _, w := range []string{"1", "2"} {
			all = append(all, Sample{Labels: map[string]string{"cluster_name": "default", "worker_name": "gpu-" + w, "model_name": "qwen", "model_instance_name": "qwen-" + map[string]string{"1": "0", "2": "1"}[w]}})
		}
		a.answer(queryVariable+v.name, all...)
	}
	a.about(wire.DoctorFleet, 0, "")
	return a
}

// ids are those of the findings.
func ids(d wire.Doctor) (out []string) {
	for _, f := range d.Findings {
		if !slices.Contains(out, f.ID) {
			out = append(out, f.ID)
		}
	}
	return out
}
