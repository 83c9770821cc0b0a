package inventory_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
)

func TestReportIsTheWholeTruth(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
	ids := report(t, inv, a, engine("z", "qwen"), engine("y", "llama"), engine("x", "qwen"))
	want := []fleet.ReportedIDs{{Name: "z", InstanceID: 1, ModelID: 1}, {Name: "y", InstanceID: 2, ModelID: 2}, {Name: "x", InstanceID: 3, ModelID: 1}}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	report(t, inv, b, engine("z", "qwen"))
	starting := engine("x", "llama") // another model under the same name
	starting.State = fleet.InstanceStarting
	ids = report(t, inv, a, starting, engine("new", "qwen"), engine("z", "qwen"))
	want = []fleet.ReportedIDs{{Name: "x", InstanceID: 3, ModelID: 2}, {Name: "new", InstanceID: 5, ModelID: 1}, {Name: "z", InstanceID: 1, ModelID: 1}}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	after := `
		cluster 1 default Docker ready
		worker 1 c1 a uuid-a ready
		worker 2 c1 b uuid-b ready
		model 1 c1 qwen vLLM 0.11.0 desired=3
		model 2 c1 llama vLLM 0.11.0 desired=1
		instance 1 m1 w1 z running
		instance 3 m2 w1 x starting
		instance 4 m1 w2 z running
		instance 5 m1 w1 new running
	`
	wantSummary(t, inv, after)
	wantSummary(t, newInventory(t, s), after)

	report(t, inv, a)
	wantSummary(t, inv, `
		cluster 1 default Docker ready
		worker 1 c1 a uuid-a ready
		worker 2 c1 b uuid-b ready
		model 1 c1 qwen vLLM 0.11.0 desired=1
		model 2 c1 llama vLLM 0.11.0 desired=0
		instance 4 m1 w2 z running
	`)
	if ids := report(t, inv, a, engine("z", "qwen")); ids[0].InstanceID != 6 {
		t.Errorf("instance id = %d; an id must not be given twice", ids[0].InstanceID)
	}
}

func TestUnchangedReportWritesNothing(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	id := join(t, inv, registration("a")).Worker.ID
	first, second := engine("e0", "m"), engine("e1", "m")
	first.LastRestartAt, first.RestartCount = time.Unix(1_700_000_000, 0), 2 // local time; stored as UTC
	want := report(t, inv, id, first, second)
	before, snapshot := s.written(), inv.Snapshot()
	for range 100 {
		if diff := cmp.Diff(want, report(t, inv, id, first, second)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	// Order is no change.
	if got := report(t, inv, id, second, first); got[0] != want[1] || got[1] != want[0] {
		t.Errorf("ids = %v, want them in the order of the report", got)
	}
	if got := s.written(); got != before {
		t.Errorf("%d writes for heartbeats, want none", got-before)
	}
	now := inv.Snapshot()
	if !now.Workers[0].LastReportAt.After(snapshot.Workers[0].LastReportAt) {
		t.Error("the snapshot has an old time of the last report")
	}
	if &now.Instances[0] != &snapshot.Instances[0] {
		t.Error("heartbeats made the instances be listed anew")
	}
	// Neither is a restart of the server.
	inv = newInventory(t, s)
	before = s.written()
	report(t, inv, id, first, second)
	if got := s.written(); got != before {
		t.Errorf("%d writes for a heartbeat after a restart, want none", got-before)
	}
}

func TestAppliedGenerationIsSeenAtOnce(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	id := join(t, inv, registration("a")).Worker.ID
	report(t, inv, id, engine("e", "m"))
	old := inv.Snapshot()
	before := s.written()
	if _, err := inv.Report(t.Context(), id, fleet.Report{AppliedGeneration: 4, Instances: []fleet.ReportedInstance{engine("e", "m")}}); err != nil {
		t.Fatal(err)
	}
	now := inv.Snapshot()
	if got := now.Workers[0].AppliedGeneration; got != 4 {
		t.Errorf("applied generation = %d, want 4", got)
	}
	if got := old.Workers[0].AppliedGeneration; got != 0 {
		t.Errorf("the old snapshot changed to %d", got)
	}
	if s.written() != before {
		t.Error("an applied generation is written at once, it may wait for the heartbeats")
	}
	if page := writeMetrics(inv); !strings.Contains(page, `gpustack:worker_metrics_config_applied_generation{cluster_id="1",cluster_name="default",worker_id="1",worker_name="a"} 4`) {
		t.Errorf("page:\n%s", page)
	}
}

// In a rolling update two workers disagree about the version for a while. The model has the one that was announced last
// and doesn't change with each heartbeat.
func TestRollingUpdateDoesNotFlap(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
	old, fresh := engine("e", "m"), engine("e", "m")
	fresh.RuntimeVersion, fresh.Category, fresh.Source, fresh.SourceKey = "0.12.0", "llm", "huggingface", "Qwen/Qwen3"
	report(t, inv, a, old)
	report(t, inv, b, old)
	report(t, inv, a, fresh)
	before := s.written()
	for range 3 {
		report(t, inv, b, old)
		report(t, inv, a, fresh)
		m := inv.Snapshot().Models[0]
		if m.RuntimeVersion != "0.12.0" || m.Category != "llm" || m.Source != "huggingface" || m.SourceKey != "Qwen/Qwen3" {
			t.Errorf("model = %+v", m)
		}
	}
	if s.written() != before {
		t.Error("instances that disagree cause writes")
	}
	// An engine that is starting doesn't know its version yet: the model keeps the last one.
	unsure := engine("e", "m")
	unsure.RuntimeVersion, unsure.State = "", fleet.InstanceStarting
	report(t, inv, a, unsure)
	if got := inv.Snapshot().Models[0].RuntimeVersion; got != "0.12.0" {
		t.Errorf("version = %q, want the last known", got)
	}
	// The update was called off: what is left decides.
	report(t, inv, a)
	if got := inv.Snapshot().Models[0].RuntimeVersion; got != "0.11.0" {
		t.Errorf("version = %q, want that of the instance that is left", got)
	}
	other := engine("e", "m")
	other.Runtime, other.RuntimeVersion = "SGLang", ""
	report(t, inv, b, other)
	if m := inv.Snapshot().Models[0]; m.Runtime != "SGLang" || m.RuntimeVersion != "" {
		t.Errorf("model = %+v; another runtime must not keep the old one's version", m)
	}
	// The engine that had changed the runtime is down, nobody knows what it will be: the other one's counts.
	report(t, inv, a, old)
	report(t, inv, b, fresh)
	fresh.Runtime, fresh.RuntimeVersion, fresh.State = "", "", fleet.InstanceError
	report(t, inv, b, fresh)
	if m := inv.Snapshot().Models[0]; m.Runtime != "vLLM" || m.RuntimeVersion != "0.11.0" {
		t.Errorf("model = %+v, want what the instance that is left says", m)
	}
}

func TestBadReportsAreExplained(t *testing.T) {
	inv := newInventory(t, newMemory())
	id := join(t, inv, registration("a")).Worker.ID
	report(t, inv, id, engine("e", "m"))
	want := summary(inv.Snapshot())
	many := make([]fleet.ReportedInstance, 1025)
	for k := range many {
		many[k] = engine(strconv.Itoa(k), "m")
	}
	one := func(change func(*fleet.ReportedInstance)) fleet.Report {
		in := engine("x", "m")
		change(&in)
		return fleet.Report{Instances: []fleet.ReportedInstance{engine("e", "m"), in}}
	}
	for _, c := range []struct {
		name   string
		report fleet.Report
		want   []string
	}{
		{"generation", fleet.Report{AppliedGeneration: -1}, []string{"applied_generation is -1"}},
		{"too many", fleet.Report{Instances: many}, []string{"1025 instances", "1024"}},
		{"twice", fleet.Report{Instances: []fleet.ReportedInstance{engine("e", "m"), engine("f", "m"), engine("e", "n")}}, []string{"instances[2]", `"e"`, "instances[0]", "unique"}},
		{"no name", one(func(in *fleet.ReportedInstance) { in.Name = "" }), []string{"instances[1]: name is empty"}},
		{"long model", one(func(in *fleet.ReportedInstance) { in.Model = strings.Repeat("m", 513) }), []string{"model is 513 bytes long"}},
		{"state", one(func(in *fleet.ReportedInstance) { in.State = "Running" }), []string{`state is "Running"`, "running"}},
		{"no state", one(func(in *fleet.ReportedInstance) { in.State = "" }), []string{`state is ""`}},
		{"runtime", one(func(in *fleet.ReportedInstance) { in.Runtime = strings.Repeat("v", 65) }), []string{`runtime is 65 bytes long`}},
		{"restarts", one(func(in *fleet.ReportedInstance) { in.RestartCount = -1 }), []string{"restart_count is -1"}},
		{"restart time", one(func(in *fleet.ReportedInstance) { in.LastRestartAt = time.Unix(-1, 0) }), []string{"last_restart_at is -1"}},
		{"far restart time", one(func(in *fleet.ReportedInstance) { in.LastRestartAt = time.Unix(math.MaxInt64/2, 0) }), []string{"last_restart_at is 4611686018427387903"}},
		{"since", one(func(in *fleet.ReportedInstance) { in.Since = time.Unix(-1, 0) }), []string{"since is -1"}},
		{"url", one(func(in *fleet.ReportedInstance) { in.URL = "127.0.0.1:8000" }), []string{"url cannot be read", "http://"}},
		{"url scheme", one(func(in *fleet.ReportedInstance) { in.URL = "file:///etc/passwd" }), []string{"url cannot be read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := inv.Report(t.Context(), id, c.report)
			wantError(t, err, fleet.ErrInvalid, append(c.want, "invalid report: ")...)
		})
	}
	if got := summary(inv.Snapshot()); got != want {
		t.Errorf("bad reports changed the inventory to\n%s", got)
	}
}

func TestSecretsAndLongMessagesAreCut(t *testing.T) {
	inv := newInventory(t, newMemory())
	id := join(t, inv, registration("a")).Worker.ID
	in := engine("e", "m")
	in.URL = "http://user:hunter2@10.0.0.1:8000/base?token=hunter2#hunter2"
	in.StateMessage = "\xff" + strings.Repeat("ä", 1000)
	report(t, inv, id, in)
	got := inv.Snapshot().Instances[0]
	if got.URL != "http://10.0.0.1:8000/base" {
		t.Errorf("url = %s", got.URL)
	}
	if !strings.HasPrefix(got.StateMessage, "\uFFFDä") || len(got.StateMessage) < 1020 || len(got.StateMessage) > 1024 || !strings.HasSuffix(got.StateMessage, "ä") {
		t.Errorf("message of %d bytes: %q", len(got.StateMessage), got.StateMessage)
	}
	in.URL = "http://user:hunter2@bad host/"
	_, err := inv.Report(t.Context(), id, fleet.Report{Instances: []fleet.ReportedInstance{in}})
	wantError(t, err, fleet.ErrInvalid, "url cannot be read")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows a password: %v", err)
	}
}
