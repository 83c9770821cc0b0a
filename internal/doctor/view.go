package doctor

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
)

// view is the evidence with what rules look up.
type view struct {
	*Evidence
	stored   map[key]float64 // Unix time of the newest sample
	ever     map[key]float64
	zero     map[key][]Sample
	one      map[key][]Sample
	counted  map[key][]Sample
	leftOut  map[key][]Sample
	dropped  map[key][]Sample
	metric   map[key][]Sample
	renamed  map[key][]Sample
	restarts map[key][]Sample
	lists    []listing
	// latest is the instance of each worker whose state began last by the worker's clock.
	latest map[int64]*fleet.Instance
}

// listing is what a variable of dashboards lists.
type listing struct {
	variable

	answer Answer
	has    map[string]bool // the values of variable.by, joined
}

func joined(labels map[string]string, by []string) string {
	values := make([]string, len(by))
	for i, name := range by {
		values[i] = labels[name]
	}
	return strings.Join(values, "\x00")
}

// key is an instance, or with 0 a worker's own.
type key struct{ worker, instance int64 }

func keyOf(s *Sample) key {
	w, _ := strconv.ParseInt(s.Labels["worker_id"], 10, 64)
	in, _ := strconv.ParseInt(s.Labels["model_instance_id"], 10, 64)
	return key{w, in}
}

func (w *way) key() key {
	if w.instance == nil {
		return key{worker: w.worker.ID}
	}
	return key{w.worker.ID, w.instance.ID}
}

func newView(e *Evidence) *view {
	v := &view{Evidence: e, stored: newest(e.Answers[queryStored]), ever: newest(e.Answers[queryEver])}
	for name, to := range map[string]*map[key][]Sample{
		queryZero: &v.zero, queryOne: &v.one, queryCounted: &v.counted, queryLeftOut: &v.leftOut, queryDropped: &v.dropped, queryMetric: &v.metric,
		queryRenamed: &v.renamed, queryRestarts: &v.restarts,
	} {
		*to = byKey(e.Answers[name])
	}
	v.latest = make(map[int64]*fleet.Instance, len(e.Snapshot.Workers))
	for i := range e.Snapshot.Instances {
		in := &e.Snapshot.Instances[i]
		if old := v.latest[in.WorkerID]; old == nil || in.Since.After(old.Since) {
			v.latest[in.WorkerID] = in
		}
	}
	for id := range e.Checks {
		v.takeOwn(id)
	}
	for _, l := range variables() {
		if a, ok := e.Answers[queryVariable+l.name]; ok {
			has := make(map[string]bool, len(a.Samples))
			for _, s := range a.Samples {
				has[joined(s.Labels, l.by)] = true
			}
			v.lists = append(v.lists, listing{l, a, has})
		}
	}
	return v
}

func newest(a Answer) map[key]float64 {
	out := make(map[key]float64, len(a.Samples))
	for i := range a.Samples {
		k := keyOf(&a.Samples[i])
		out[k] = max(out[k], a.Samples[i].Value)
	}
	return out
}

func byKey(a Answer) map[key][]Sample {
	out := make(map[key][]Sample, len(a.Samples))
	for i := range a.Samples {
		k := keyOf(&a.Samples[i])
		out[k] = append(out[k], a.Samples[i])
	}
	return out
}

// named returns the samples of a metric.
func named(samples []Sample, name string) (out []Sample) {
	for _, s := range samples {
		if s.Labels["__name__"] == name {
			out = append(out, s)
		}
	}
	return out
}

// canQuery reports whether there are answers of PromQL.
func (v *view) canQuery() bool {
	a, asked := v.Answers[queryStored]
	return v.Prometheus.Kind != PrometheusNone && v.Prometheus.Err == "" && asked && a.Err == ""
}

// ago is how long before now something was, rounded.
func (v *view) ago(t time.Time) time.Duration {
	d := v.Now.Sub(t)
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d < time.Hour:
		return d.Round(time.Second)
	}
	return d.Round(time.Minute)
}

// alive reports whether the inventory has a worker as one that reports.
func alive(w *fleet.Worker) bool { return w.State == fleet.WorkerReady }

// reports is alive, but for a worker that lately shows no sign of life.
func (v *view) reports(w *fleet.Worker) bool {
	return alive(w) && (v.Connected[w.ID] || v.Now.Sub(w.LastReportAt) <= lateReport || v.Now.Sub(w.RegisteredAt) <= lateReport)
}

func unixTime(seconds float64) time.Time { return time.Unix(0, int64(seconds*1e9)).UTC() }

// takeOwn replaces what Prometheus has of a worker's metrics about itself by those of its check, which are newer.
func (v *view) takeOwn(workerID int64) {
	c := v.Checks[workerID]
	if c.NotAnswered != "" || c.Own == "" {
		return
	}
	own := func(name string) bool {
		switch name {
		case catalog.CollectorSuccess.WireName(), catalog.GPUDriverResponsive.WireName(), catalog.InstanceNoMetrics.WireName(), catalog.InstanceStalled.WireName(),
			catalog.DiscoverySkipped.WireName(), catalog.UnreportedInstances.WireName(), catalog.MissingAccess.WireName():
			return true
		}
		return false
	}
	for _, m := range []map[key][]Sample{v.zero, v.one, v.counted} {
		for k, samples := range m {
			if k.worker == workerID {
				m[k] = slices.DeleteFunc(samples, func(s Sample) bool { return own(s.Labels["__name__"]) })
			}
		}
	}
	for _, s := range ownSamples(c.Own) {
		name := s.Labels["__name__"]
		if !own(name) {
			continue
		}
		k := keyOf(&s)
		k.worker = workerID
		switch name {
		case catalog.CollectorSuccess.WireName(), catalog.GPUDriverResponsive.WireName():
			if s.Value == 0 {
				v.zero[k] = append(v.zero[k], s)
			}
		case catalog.InstanceNoMetrics.WireName(), catalog.InstanceStalled.WireName(), catalog.MissingAccess.WireName():
			if s.Value == 1 {
				v.one[k] = append(v.one[k], s)
			}
		default:
			if s.Value > 0 {
				v.counted[k] = append(v.counted[k], s)
			}
		}
	}
}
