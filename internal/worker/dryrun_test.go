package worker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

func TestDryRun(t *testing.T) {
	f := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = f.URL, joinToken
	o.Engines = []engine.Declaration{{URL: vllm(t), Model: "qwen", Instance: "a"}, {URL: "http://127.0.0.1:1", Model: "qwen", Instance: "gone", Runtime: "vLLM"}}
	w := run(t, o)
	eventually(t, "the instance's id", func() bool { return strings.Contains(w.scrape(t, "/metrics"), `model_instance_id="40"`) })
	before := lines(w.scrape(t, "/metrics"), "gpustack:num_requests_running{")
	result := f.try(t, wire.DryRunEvent{ID: "one", TimeoutMillis: 8000, MaxBytes: 1 << 20, Document: json.RawMessage(mineJSON)})
	if result.Error != "" || result.Generation != 0 || len(result.Instances) != 2 {
		t.Fatalf("%+v", result)
	}
	in := result.Instances[0]
	if in.Name != "a" || in.Runtime != "vLLM" || in.RuntimeVersion != "0.11.0" || in.Added != 1 || in.Removed != 1 || in.Changed != 0 || len(in.Series) != 2 || in.SeriesLeftOut != 0 {
		t.Fatalf("%+v", in)
	}
	value := "3.0"
	labels := strings.TrimSuffix(strings.TrimPrefix(before[0], "gpustack:num_requests_running"), " "+value)
	want := []wire.SeriesDryRun{{Series: "gpustack:mine" + labels, After: &value}, {Series: "gpustack:num_requests_running" + labels, Before: &value}}
	if diff := cmp.Diff(want, in.Series); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if *in.Before != (wire.DryRunPage{Coverage: wire.Coverage{Families: 1, Of: 28}, Series: 1}) || *in.After != (wire.DryRunPage{Coverage: wire.Coverage{Families: 1, Of: 1}, Series: 1}) {
		t.Errorf("before %+v, after %+v", in.Before, in.After)
	}
	if gone := result.Instances[1]; gone.Name != "gone" || !strings.Contains(gone.Error, "connection refused") || gone.Before != nil {
		t.Errorf("an engine that is not there: %+v", gone)
	}
	if _, generation := w.follower.Current(); generation != 0 || len(lines(w.scrape(t, "/metrics"), "gpustack:mine{")) != 0 {
		t.Error("a dry run put the mapping in force")
	}

	// What the worker does not understand is told, and the stream goes on.
	bad := f.try(t, wire.DryRunEvent{ID: "bad", TimeoutMillis: 8000, Document: json.RawMessage(`{"gpustack_metrics":{"gpustack:x":{"type":"spiral"}},"runtime_mapping":{}}`)})
	if !strings.Contains(bad.Error, "would refuse") || !strings.Contains(bad.Error, "spiral") {
		t.Errorf("%+v", bad)
	}
	for i := range 3 * maxTries { // each makes room for the next
		if result := f.try(t, wire.DryRunEvent{ID: fmt.Sprint("run-", i), TimeoutMillis: 8000, Default: true}); len(result.Instances) != 2 {
			t.Errorf("run %d: %+v", i, result)
		}
	}
	same := f.try(t, wire.DryRunEvent{ID: "same", TimeoutMillis: 8000, Default: true})
	if same.Error != "" || len(same.Instances) != 2 || same.Instances[0].Added+same.Instances[0].Removed+same.Instances[0].Changed+len(same.Instances[0].Families) != 0 {
		t.Errorf("the mapping in force: %+v", same)
	}
}

func TestDryRunWithoutMetrics(t *testing.T) {
	f := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token, o.DisableWorkerMetrics = f.URL, joinToken, true
	run(t, o)
	if result := f.try(t, wire.DryRunEvent{ID: "one", TimeoutMillis: 8000, Default: true}); !strings.Contains(result.Error, "serves no metrics") {
		t.Errorf("%+v", result)
	}
}

// A worker that ends does not wait for the engines of a dry run.
func TestDryRunDoesNotHoldUpTheEnd(t *testing.T) {
	f := newFakeServer(t)
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() {
		close(release)
		hung.Close()
	})
	o := options(t)
	o.ServerURL, o.Token = f.URL, joinToken
	o.Engines = []engine.Declaration{{URL: hung.URL, Model: "qwen", Instance: "a", Runtime: "vLLM", Version: "0.11.0"}}
	w := run(t, o)
	f.dryRuns <- wire.DryRunEvent{ID: "one", TimeoutMillis: 60_000, Default: true}
	time.Sleep(50 * time.Millisecond)
	if err := w.stop(); err != nil { // fails when it waits for the dry run
		t.Error(err)
	}
}

// Whatever there is to say, an answer has a bounded length, and its counts are right.
func TestDryRunAnswerIsBounded(t *testing.T) {
	const most = 64 << 10
	left := room(most)
	var result wire.DryRunResult
	for i := range 100 {
		trial := exporter.DryRunResult{Instance: exporter.Instance{Name: fmt.Sprint("instance-", i), Runtime: "vLLM", Version: "0.11.0"}}
		d := &trial.Difference
		d.Added = 100_000
		for n := range 1000 {
			d.Families = append(d.Families, translate.FamilyDifference{Name: fmt.Sprint("gpustack:family_", n), Added: 100, HelpBefore: strings.Repeat("\x01", 1000), HelpAfter: "x"})
		}
		for n := range 200 {
			d.Series = append(d.Series, translate.SeriesDifference{Series: fmt.Sprintf("gpustack:family{n=\"%d\",x=\"%s\"}", n, strings.Repeat("<", 100)), After: "1"})
		}
		result.Instances = append(result.Instances, left.instance(&trial))
	}
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if perInstance := 400; len(data) > most+100*perInstance {
		t.Errorf("the answer has %d bytes", len(data))
	}
	for _, in := range result.Instances {
		if in.Added != 100_000 || len(in.Families)+in.FamiliesLeftOut != 1000 || len(in.Series)+in.SeriesLeftOut != 100_000 {
			t.Fatalf("%d added, %d families and %d more, %d series and %d more", in.Added, len(in.Families), in.FamiliesLeftOut, len(in.Series), in.SeriesLeftOut)
		}
	}
	if first := result.Instances[0]; len(first.Families) == 0 {
		t.Error("the first instance has no list")
	}
}

func TestFamiliesOfADryRunAreBounded(t *testing.T) {
	for n, want := range map[int]int{maxTryFamilies - 1: 0, maxTryFamilies: 0, maxTryFamilies + 1: 1, 3 * maxTryFamilies: 2 * maxTryFamilies} {
		trial := exporter.DryRunResult{}
		for i := range n {
			trial.Difference.Families = append(trial.Difference.Families, translate.FamilyDifference{Name: fmt.Sprint("gpustack:f", i), Added: 1})
		}
		left := room(1 << 20)
		if in := left.instance(&trial); len(in.Families) != n-want || in.FamiliesLeftOut != want {
			t.Errorf("%d families: %d are listed and %d left out, want %d left out", n, len(in.Families), in.FamiliesLeftOut, want)
		}
	}
}

// An instance whose name the server would refuse costs the others' answer nothing.
func TestNamesInADryRunAreShort(t *testing.T) {
	r := room(1 << 20)
	long := strings.Repeat("ü", 400)
	in := r.instance(&exporter.DryRunResult{Instance: exporter.Instance{Name: long, Runtime: long, Version: long}})
	for field, most := range map[string]int{in.Name: fleet.MaxName, in.Runtime: fleet.MaxKind, in.RuntimeVersion: fleet.MaxVersion} {
		if len(field) > most || len(field) < most-1 || !strings.HasPrefix(long, field) {
			t.Errorf("%d bytes, at most %d are allowed: %q", len(field), most, field)
		}
	}
}
