package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// The server shows each instance's own page beside what became of it, and the GPUs of the fleet with who uses them.
func TestPagesAndGPUs(t *testing.T) {
	base := fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t))
	start(t, programs.Path(t, "stackscope"), "demo", "--port", strings.TrimPrefix(base, "http://127.0.0.1:"),
		"--metrics-port", strconv.Itoa(programs.FreePort(t)), "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)))
	read := func(path string, v any) error {
		body, err := programs.Get(base + path)
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(body), v)
	}
	var instances wire.List[wire.ModelInstance]
	programs.Eventually(t, 60*time.Second, "instances of three runtimes are listed", func() error {
		if err := read("/v2/model-instances", &instances); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, in := range instances.Items {
			if in.State == fleet.InstanceRunning {
				seen[in.Runtime] = true
			}
		}
		if !seen["vLLM"] || !seen["SGLang"] || !seen["MindIE"] {
			return fmt.Errorf("running are %v", seen)
		}
		return nil
	})
	for _, in := range instances.Items {
		if in.State != fleet.InstanceRunning {
			continue
		}
		programs.Eventually(t, 30*time.Second, "the page of "+in.Name, func() error {
			var page wire.InstancePage
			if err := read(fmt.Sprintf("/v2/model-instances/%d/page", in.ID), &page); err != nil {
				return err
			}
			mapped := 0
			for _, m := range page.Metrics {
				if len(m.Outcomes) > 0 {
					mapped++
				}
			}
			switch {
			case page.Error != "" || page.Truncated || page.Native == "" || page.Bytes != len(page.Native):
				return fmt.Errorf("error %q, %d of %d bytes", page.Error, len(page.Native), page.Bytes)
			case !strings.Contains(page.Unified, fmt.Sprintf(`model_instance_name=%q`, in.Name)):
				return fmt.Errorf("unified:\n%.500s", page.Unified)
			case mapped == 0 || page.Coverage == nil || page.Coverage.Families == 0:
				return fmt.Errorf("%d metrics, %d of them mapped, coverage %v", len(page.Metrics), mapped, page.Coverage)
			case page.Runtime != in.Runtime || !strings.HasPrefix(page.URL, in.URL):
				return fmt.Errorf("%s at %s, the list has %s at %s", page.Runtime, page.URL, in.Runtime, in.URL)
			}
			return nil
		})
	}
	programs.Eventually(t, 30*time.Second, "the simulated GPUs and who uses them", func() error {
		var gpus wire.List[wire.GPUDevice]
		if err := read("/v2/gpu-devices", &gpus); err != nil {
			return err
		}
		ids, used := map[string]bool{}, map[int64]bool{}
		for _, g := range gpus.Items {
			if g.State != fleet.GPUPresent || g.Memory == nil || g.WorkerName == "" || g.Name == "" || g.UUID == "" {
				return fmt.Errorf("%+v", g)
			}
			ids[g.ID] = true
			for _, user := range g.Users {
				used[user.ID] = true
			}
		}
		if len(ids) != 8 || len(used) == 0 {
			return fmt.Errorf("%d GPUs with ids %v, used by %v", len(gpus.Items), ids, used)
		}
		return nil
	})
}
