package worker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// The report names the machine's GPUs and who uses them, and follows when that changes.
func TestGPUsAreReported(t *testing.T) {
	f := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token, o.FakeGPUs = f.URL, joinToken, 2
	o.Engines = []engine.Declaration{{URL: vllm(t), Model: "qwen", Instance: "a"}}
	run(t, o)
	var gpus []wire.GPUReport
	eventually(t, "two GPUs, one of them used", func() bool { // the report interval is a minute
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.reports) == 0 {
			return false
		}
		gpus = f.reports[len(f.reports)-1].GPUs
		return strings.Contains(fmt.Sprint(gpus), "[a]")
	})
	if len(gpus) != 2 {
		t.Fatalf("%+v", gpus)
	}
	for i, g := range gpus {
		if g.Vendor == "" || g.Index != i || g.Chip != 0 || g.Name == "" || g.UUID == "" || g.PCI == "" || g.MemoryTotal != 80<<30 || g.State != fleet.GPUPresent || g.Message != "" || g.Instances == nil {
			t.Errorf("%+v", g)
		}
	}
}
