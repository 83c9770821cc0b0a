package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// An engine whose model has a name that breaks the rules is reported with one that does not, says why, and has it on its samples.
func TestWorkerReportsAMisfit(t *testing.T) {
	server := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = server.URL, joinToken
	o.Engines = []engine.Declaration{{URL: vllm(t), Instance: "well"}, {URL: vllm(t), Instance: "odd", Runtime: "vLLM", Model: strings.Repeat("m", fleet.MaxModelName+1)}}
	w := run(t, o)
	model := ""
	eventually(t, "a report of both", func() bool {
		r, _ := server.lastReport()
		if len(r.Instances) != 2 || r.Instances[0].Name != "well" || r.Instances[0].Model != "qwen" {
			return false
		}
		odd := r.Instances[1]
		model = odd.Model
		return odd.State == fleet.InstanceRunning && strings.HasPrefix(model, "mmm") && len(model) <= fleet.MaxModelName &&
			strings.Contains(odd.StateMessage, "the model's name is 513 bytes long; at most 512 are allowed")
	})
	page := w.scrape(t, "/metrics")
	if got := lines(page, "stackscope_unreported_instances{"); len(got) != 1 || !strings.HasSuffix(got[0], " 0") {
		t.Errorf("the page says %v", got)
	}
	if !strings.Contains(strings.Join(lines(page, "gpustack:num_requests_running{"), "\n"), `model_name="`+model+`"`) {
		t.Errorf("no sample has the model's name:\n%s", page)
	}
}

// What could not be kept on disk is tried again, without a reason of its own.
func TestKeepingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		w, log, _ := linked(t, newRemote(), func(o *Options) { o.DataDir = dir })
		state, mapping := filepath.Join(dir, "worker.json"), filepath.Join(dir, "mapping.json")
		if data, err := os.ReadFile(state); err != nil || !strings.Contains(string(data), credential) {
			t.Errorf("the state on disk lacks what the server gave: %s, %v", data, err)
		}
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		go w.keepMapping(t.Context())
		(&registration{worker: w}).Registered(wire.RegisterResponse{WorkerID: 9, Credential: "another"})
		if err := w.follower.Apply(wire.MappingEvent{Generation: 5, Default: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if n := strings.Count(log.String(), "a restart without the server would"); n != 2 {
			t.Errorf("%d lines say that it is not kept, want one for each file:\n%s", n, log)
		}
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		time.Sleep(mappingRetryInterval)
		synctest.Wait()
		if data, err := os.ReadFile(state); err != nil || !strings.Contains(string(data), "another") {
			t.Errorf("state: %s, %v", data, err)
		}
		if data, err := os.ReadFile(mapping); err != nil || !strings.Contains(string(data), `"generation":5`) {
			t.Errorf("mapping: %s, %v", data, err)
		}
	})
}
