package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// The two halves of a model and their router are found by their command lines, with their roles, as one group, and the router with the
// model of the halves.
func TestRolesAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("starts programs")
	}
	port, metricsPort, workerPort := programs.FreePort(t), programs.FreePort(t), programs.FreePort(t)
	base, metrics := fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d/metrics", workerPort)
	start(t, programs.Path(t, "stackscope"), "start", "--data-dir", t.TempDir(), "--host", "127.0.0.1", "--port", strconv.Itoa(port),
		"--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(workerPort), "--worker-name", "node-1", "--discover", "process",
		"--gpu-vendors", "none", "--metrics-port", strconv.Itoa(metricsPort), "--disable-builtin-observability")

	prefill, decode, router := programs.FreePort(t), programs.FreePort(t), programs.FreePort(t)
	engineProcess(t, simengine.ProfileVLLM, prefill, "vllm", "serve", "Qwen/Qwen3-8B", "--port", strconv.Itoa(prefill), "--served-model-name", "qwen3-8b-pd",
		"--kv-transfer-config", `{"kv_connector":"NixlConnector","kv_role":"kv_producer"}`)
	engineProcess(t, simengine.ProfileVLLM, decode, "vllm", "serve", "Qwen/Qwen3-8B", "--port", strconv.Itoa(decode), "--served-model-name", "qwen3-8b-pd",
		"--kv_transfer_config.kv_role", "kv_consumer", "--kv-transfer-config.kv_connector=NixlConnector")
	engineProcess(t, simengine.ProfileVLLM, router, "vllm-router", "--vllm-pd-disaggregation", "--prefill", fmt.Sprintf("http://127.0.0.1:%d", prefill), "8998",
		"--decode", fmt.Sprintf("http://localhost:%d", decode), "--prometheus-port", strconv.Itoa(router))

	type found struct{ Model, Role, Group, Name string }
	want := map[int]found{
		prefill: {"qwen3-8b-pd", "prefill", "qwen3-8b-pd", fmt.Sprintf("qwen3-8b-pd-node-1-%d", prefill)},
		decode:  {"qwen3-8b-pd", "decode", "qwen3-8b-pd", fmt.Sprintf("qwen3-8b-pd-node-1-%d", decode)},
		router:  {"qwen3-8b-pd", "router", "qwen3-8b-pd", fmt.Sprintf("vllm-router-node-1-%d", router)},
	}
	programs.Eventually(t, time.Minute, "the server knows the group", func() error {
		models, err := listed[wire.Model](base + "/v2/models")
		if err != nil {
			return err
		}
		instances, err := listed[wire.ModelInstance](base + "/v2/model-instances")
		if err != nil {
			return err
		}
		got := map[int]found{}
		for _, in := range instances { // others may run on this machine
			for at := range want {
				if strings.HasSuffix(in.URL, fmt.Sprint(":", at)) && in.State == fleet.InstanceRunning {
					f := found{Role: string(in.Role), Group: in.Group, Name: in.Name}
					for _, m := range models {
						if m.ID == in.ModelID {
							f.Model = m.Name
						}
					}
					got[at] = f
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("instances (-want +got):\n%s", diff)
		}
		for _, m := range models {
			if m.Name != "qwen3-8b-pd" {
				continue
			}
			roles := []wire.ModelRole{{Role: "prefill", DesiredInstances: 1, ReadyInstances: 1}, {Role: "decode", DesiredInstances: 1, ReadyInstances: 1}, {Role: "router", DesiredInstances: 1, ReadyInstances: 1}}
			if diff := cmp.Diff(roles, m.Roles); diff != "" || m.Source != "huggingface" || m.SourceKey != "Qwen/Qwen3-8B" {
				return fmt.Errorf("model %+v (-want +got):\n%s", m, diff)
			}
		}
		return nil
	})
	page, err := programs.Get(metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range []string{"gpustack:num_requests_running", "gpustack:runtime_scrape_success", "gpustack:prompt_tokens_total"} {
		for at, role := range map[int]string{prefill: "prefill", decode: "decode"} {
			labels := fmt.Sprintf(`model_instance_name="qwen3-8b-pd-node-1-%d",runtime="vLLM",role="%s"`, at, role)
			if !strings.Contains(grep(page, family), labels) {
				t.Errorf("%s lacks %s:\n%s", family, labels, grep(page, family))
			}
		}
	}
	raw, err := programs.Get(metrics + "/raw")
	if err != nil {
		t.Fatal(err)
	}
	if want := `runtime="vLLM",role="decode"`; !strings.Contains(raw, want) {
		t.Errorf("/metrics/raw lacks %s", want)
	}
	server, err := programs.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", metricsPort))
	if err != nil || !strings.Contains(server, `source="huggingface",source_key="Qwen/Qwen3-8B"`) {
		t.Errorf("the server's model_info: %v\n%s", err, grep(server, "model_info"))
	}
}
