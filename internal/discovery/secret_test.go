package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
)

// TestSecrets puts a secret at every place of a command line and of an environment where none of its values is a port or the
// name of a model, and looks for it in all that comes out.
func TestSecrets(t *testing.T) {
	const canary = "hf_CANARY"
	lines := []string{
		"vllm serve org/m --port 8000 --api-key X --hf-token=X --download-dir /X",
		"vllm serve /X/weights --served-model-name qwen --chat-template X --lora-modules sql=/X/sql fr=X",
		"vllm serve --api-key X X --model /secret/X --port X",
		"vllm serve --api-key X org/m --model s3://X@bucket/m",
		"vllm serve -- X",
		"vllm serve --X --port=X --X=X --enforce-eager X",
		"python3 -X X -m vllm.entrypoints.openai.api_server --api-key X --model ./X",
		"python3 -m sglang.launch_server --api-key X --admin-api-key=X --model-path /X --disable-log-stats X",
		"/X/bin/vllm serve org/m --disable-log-stats --api-key X",
		"/X/python3 /X/vllm serve org/m --port 0 --api-key X",
		"mindieservice_daemon X --X",
		"sh -c vllm-serve-X X",
		"X --port 8000",
		`vllm serve org/m --kv-transfer-config {"kv_role":"X","kv_connector":"X"} --port 8000`,
		"vllm serve org/m --port 8000 --kv-transfer-config.kv_role X --kv-transfer-config X",
		"vllm-router --prefill http://X:X@10.0.0.1:8000/X?X#X X --decode http://X@h:1 --worker-urls X --api-key X",
	}
	for i, line := range lines {
		for _, lost := range []bool{false, true} {
			m := newTree(t)
			p := fakeProcess{
				pid: 100 + i, ppid: 1, argv: strings.Fields(strings.ReplaceAll(line, "X", canary)), comm: canary,
				env: []string{"HF_TOKEN=" + canary, "OPENAI_API_KEY=" + canary, canary + "=1", canary, "STACKSCOPE_METRICS_PORT=" + canary, "STACKSCOPE_METRICS_PATH=" + canary + "/metrics"},
			}
			if lost {
				p.net, p.trie, p.sockets = otherNet, podTrie("10.0.0.2"), []uint64{1}
				p.listen = []listener{{netip.MustParseAddr("127.0.0.1"), 8000, 1}}
			}
			m.add(p)
			twin := p
			twin.pid += 1000
			m.add(twin)
			d, log := m.discover(nil)
			d.processes.fs.fail = func(pid int, name string) error {
				if pid == p.pid && slices.Contains([]string{"cgroup"}, name) {
					return fmt.Errorf("open %s: %w", canary, errDenied)
				}
				return nil
			}
			d.runRound()
			var all strings.Builder
			engines := slices.Clone(d.Engines())
			for k := range engines {
				// The path of the weights is the model's key in its source, as in GPUStack. It gets to no label and no log of the worker.
				if f := &engines[k]; f.ModelSource == fleet.SourceLocalPath {
					f.ModelSourceKey = ""
				}
			}
			fmt.Fprintf(&all, "%+v\n%s", engines, log)
			for _, c := range d.Collectors() {
				text, _, err := emitted(c)
				fmt.Fprintf(&all, "%s%v", text, err)
			}
			if strings.Contains(all.String(), canary) {
				t.Errorf("%s: %s", line, all.String())
			}
			if strings.HasPrefix(line, "vllm") && !strings.Contains(all.String(), "process") {
				t.Errorf("%s: nothing came out: %s", line, all.String())
			}
		}
	}
}
