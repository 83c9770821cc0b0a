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
	for i := range 12 { // each makes room for the next
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
