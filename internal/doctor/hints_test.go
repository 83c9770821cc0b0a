package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// What the worker knows of the engine comes before what is to be done with any engine.
func TestHintsOfEngines(t *testing.T) {
	for message, want := range map[string]string{
		"answered 404 Not Found: is the URL the engine's? SGLang serves metrics only when it is started with --enable-metrics":     "SGLang serves metrics only when it is started with --enable-metrics. Look whether",
		"answered 404 Not Found: is the URL the engine's?":                                                                         "Look whether",
		"answered with a redirect to another host, sso.example, which is not followed: declare that address if it is the engine's": "Declare that address if it is the engine's. Look whether",
		"its metrics page has no metrics of SGLang: start SGLang with --enable-metrics":                                            "Start SGLang with --enable-metrics. ",
	} {
		a := healthy(t)
		if strings.HasPrefix(message, "answered") {
			a.failed(message)
		} else {
			a.lacks("no_engine_metrics", message)
		}
		a.about(wire.DoctorInstance, 1, "qwen-0")
		if d := examine(a); len(d.Findings) != 1 || !strings.HasPrefix(d.Findings[0].Do, want) || strings.Contains(d.Findings[0].Do, "..") {
			t.Errorf("%s: %+v", message, d.Findings)
		}
	}
}

// The fleet is told first what stops all samples, an instance what stops its own.
func TestWhatStopsAllSamples(t *testing.T) {
	for kind, want := range map[string]string{wire.DoctorFleet: "prometheus_problem", wire.DoctorInstance: "engine_refused"} {
		a := healthy(t)
		a.failed("connection refused at 10.0.0.1:8000")
		a.Server.Problems = []string{"prometheus: blocks can't be read"}
		if kind == wire.DoctorInstance {
			a.about(kind, 1, "qwen-0")
		}
		if d := examine(a); len(d.Findings) != 2 || d.Findings[0].ID != want {
			t.Errorf("%s: %+v", kind, d.Findings)
		}
	}
}

// A Prometheus of the user's own that does not answer is an error also for who asks about an instance; it opens no data for a while.
func TestExternalPrometheusDoesNotAnswer(t *testing.T) {
	for kind, want := range map[string][]string{PrometheusExternal: {"prometheus_not_ready"}, PrometheusEmbedded: nil} {
		a := healthy(t)
		a.Prometheus.Kind = kind
		a.Answers[queryStored] = Answer{Err: "nothing listens there"}
		a.about(wire.DoctorInstance, 1, "qwen-0")
		if got := ids(examine(a)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
}

// Who asks about a worker is told that another one has its name, and not what keeps others out.
func TestRefusalsBecauseOfAWorker(t *testing.T) {
	for _, c := range []struct {
		refusal Refusal
		want    []string
	}{
		{Refusal{At: now, Class: fleet.RefusedNameTaken, Name: "gpu-1", Other: "gpu-1", OtherID: 1, Count: 3}, []string{"worker_name_taken"}},
		{Refusal{At: now, Class: fleet.RefusedTwoWorkers, Name: "gpu-1", Other: "gpu-1", OtherID: 1, Count: 3}, []string{"worker_identity_taken"}},
		{Refusal{At: now, Class: fleet.RefusedNameTaken, Name: "gpu-2", Other: "gpu-2", OtherID: 2, Count: 3}, nil},
		{Refusal{At: now, Class: fleet.RefusedInvalid, Name: "gpu-1", Count: 3}, nil},
	} {
		a := healthy(t)
		a.Server.Refusals = []Refusal{c.refusal}
		a.about(wire.DoctorWorker, 1, a.worker().Name)
		if d := examine(a); !slices.Equal(ids(d), c.want) {
			t.Errorf("%+v: %v", c.refusal, ids(d))
		}
		a.about(wire.DoctorInstance, 1, "qwen-0")
		if d := examine(a); len(d.Findings) > 0 || a.instance().State != fleet.InstanceRunning {
			t.Errorf("%+v: of an instance %v", c.refusal, ids(d))
		}
	}
}

// A model whose only instance took another name has none, and who asks about it is led to that instance.
func TestModelWithoutInstances(t *testing.T) {
	a := healthy(t)
	a.Snapshot.Models = append(a.Snapshot.Models, fleet.Model{ID: 9, Name: "qwen-old"})
	a.about(wire.DoctorModel, 9, "qwen-old")
	if !HasNoInstance(a.Snapshot, a.r) {
		t.Error("it has an instance")
	}
	if d := examine(a); !strings.HasPrefix(d.Summary, "There is no instance of the model qwen-old now") || len(d.Paths) > 0 {
		t.Errorf("%+v", d)
	}
	a.r.Renamed = []int64{1}
	if d := examine(a); len(d.Paths) != 1 || d.Paths[0].InstanceName != "qwen-0" {
		t.Errorf("%+v", d)
	}
	a.about(wire.DoctorModel, 1, "qwen")
	if HasNoInstance(a.Snapshot, a.r) {
		t.Error("it has none")
	}
}

// A wrong clock stops no samples, and hides nothing of what does.
func TestAWrongClockExplainsNothing(t *testing.T) {
	a := healthy(t)
	a.check(func(c *Check) { c.Now = now.Add(time.Hour) })
	a.failed("connection refused at 10.0.0.1:8000")
	a.about(wire.DoctorInstance, 1, "qwen-0")
	d := examine(a)
	if !slices.Contains(ids(d), "worker_clock") || !slices.Contains(ids(d), "engine_refused") || d.Paths[0].Hops[0].State != wire.HopWarning || !strings.HasPrefix(d.Summary, "Samples of qwen-0 stop at the engine's endpoint") {
		t.Errorf("%v: %+v", ids(d), d.Paths[0].Hops[0])
	}
	a = healthy(t)
	a.check(func(c *Check) { c.Now = now.Add(time.Hour) })
	a.about(wire.DoctorWorker, 1, a.worker().Name)
	if d := examine(a); d.OK || !strings.HasPrefix(d.Summary, "The clock of worker gpu-1 is wrong by 1h") {
		t.Errorf("%+v", d)
	}
}

// Each refused worker is named, with why it was refused.
func TestRefusedWorkersAreNamed(t *testing.T) {
	a := healthy(t)
	a.Server.Refusals = []Refusal{
		{At: now, Class: fleet.RefusedInvalid, Name: "gpu-8", Detail: "address is missing", Count: 3},
		{At: now, Class: fleet.RefusedInvalid, Name: "gpu-9", Detail: "labels are too many", Count: 1},
		{At: now, Class: fleet.RefusedRevoked, Name: "gpu-7", Count: 1},
	}
	var told []string
	for _, f := range examine(a).Findings {
		told = append(told, f.What+" - "+f.Seen)
	}
	for _, want := range [][2]string{{"worker gpu-8 is refused", "address is missing"}, {"worker gpu-9 is refused", "labels are too many"}, {"worker gpu-7, which an operator removed", ""}} {
		if !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, want[0]) && strings.HasSuffix(s, want[1]) }) {
			t.Errorf("%s: %s is not among %q", want[0], want[1], told)
		}
	}
}
