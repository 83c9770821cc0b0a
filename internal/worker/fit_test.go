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

// A worker with an engine whose model's name is not one reports the others, and says on its page that one is left out.
func TestWorkerReportsAroundAMisfit(t *testing.T) {
	server := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = server.URL, joinToken
	o.Engines = []engine.Declaration{{URL: vllm(t), Instance: "well"}, {URL: vllm(t), Instance: "odd", Runtime: "vLLM", Model: strings.Repeat("m", fleet.MaxModelName+1)}}
	w := run(t, o)
	eventually(t, "a report of the engine that is well", func() bool {
		r, _ := server.lastReport()
		return len(r.Instances) == 1 && r.Instances[0].Name == "well" && r.Instances[0].Model == "qwen"
	})
	if got := lines(w.scrape(t, "/metrics"), "stackscope_unreported_instances{"); len(got) != 1 || !strings.HasSuffix(got[0], " 1") {
		t.Errorf("the page says %v", got)
	}
	if !strings.Contains(w.log.String(), "instance=odd field=model") {
		t.Errorf("log:\n%s", w.log)
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
