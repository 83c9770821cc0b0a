package discovery

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
)

// TestRoleOfCommandLine: arguments are separated by vertical bars.
func TestRoleOfCommandLine(t *testing.T) {
	known := compiled(t)
	const (
		prefill, decode, router, none = fleet.RolePrefill, fleet.RoleDecode, fleet.RoleRouter, fleet.Role("")
		vllm                          = "vllm|serve|org/m|"
		sglang                        = "python3|-m|sglang.launch_server|--model-path|org/m|"
	)
	for line, want := range map[string]fleet.Role{
		vllm + `--kv-transfer-config|{"kv_connector":"NixlConnector","kv_role":"kv_producer"}`:    prefill,
		vllm + `--kv-transfer-config|{"kv_connector":"NixlConnector", "kv_role" : "kv_consumer"}`: decode,
		vllm + `--kv-transfer-config={"kv_connector":"P2pNcclConnector","kv_role":"kv_consumer"}`: decode,
		vllm + `--kv_transfer_config|{"kv_role":"kv_producer"}`:                                   prefill,
		vllm + `--kv_transfer_config={"kv_role":"kv_producer"}`:                                   prefill,
		vllm + `--kv-transfer-config|{"kv_connector":"NixlConnector","kv_role":"kv_both"}`:        none,
		vllm + `--kv-transfer-config|{"kv_connector":"NixlConnector"}`:                            none,
		vllm + `--kv-transfer-config.kv_role|kv_producer|--kv-transfer-config.kv_connector|N`:     prefill,
		vllm + `--kv-transfer-config.kv_role=kv_consumer`:                                         decode,
		vllm + `--kv-transfer-config.kv-role|kv_consumer`:                                         decode,
		vllm + `--kv_transfer_config.kv_role|kv_both`:                                             none,
		// The flag for the member replaces the one in the object, as in vLLM.
		vllm + `--kv-transfer-config|{"kv_role":"kv_producer"}|--kv-transfer-config.kv_role|kv_consumer`: decode,
		// The last one counts, as in argparse.
		vllm + `--kv-transfer-config|{"kv_role":"kv_producer"}|--kv-transfer-config|{"kv_role":"kv_consumer"}`: decode,
		vllm + `--kv-transfer-config|{"kv_connector":"MultiConnector","kv_role":"kv_both","kv_connector_extra_config":{"connectors":[
			{"kv_connector":"NixlConnector","kv_role":"kv_producer"},{"kv_connector":"OffloadingConnector","kv_role":"kv_both"}]}}`: prefill,
		vllm + `--kv-transfer-config|{"kv_connector":"MultiConnector","kv_connector_extra_config":{"connectors":[
			{"kv_connector":"NixlConnector","kv_role":"kv_consumer"},{"kv_connector":"MooncakeConnector","kv_role":"kv_consumer"}]}}`: decode,
		vllm + `--kv-transfer-config|{"kv_connector":"MultiConnector","kv_role":"kv_producer","kv_connector_extra_config":{"connectors":[
			{"kv_connector":"NixlConnector","kv_role":"kv_producer"},{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}]}}`: none,
		vllm + `--kv-transfer-config|{"kv_role":"kv_producer","kv_connector_extra_config":{"connectors":{"kv_role":"kv_consumer"}}}`:         prefill,
		vllm + `--kv-transfer-config|{"kv_role":"kv_producer","kv_connector_extra_config":{"prefill":{"dp_size":2},"decode":{"dp_size":4}}}`: prefill,
		vllm + `--kv-transfer-config|{"KV_ROLE":"kv_producer"}`:                                                                              none,
		vllm + `--kv-transfer-config|{"kv_role":"prefill"}`:                                                                                  none,
		vllm + `--kv-transfer-config|{"kv_role":["kv_producer"]}`:                                                                            none,
		vllm + `--kv-transfer-config|{"kv_role":"kv_producer"`:                                                                               none,
		vllm + `--kv-transfer-config|'{"kv_role":"kv_producer"}'`:                                                                            none,
		vllm + `--kv-transfer-config|"{\\"kv_role\\":\\"kv_producer\\"}"`:                                                                    none,
		vllm + `--kv-transfer-config|["kv_producer"]`:                                                                                        none,
		vllm + `--kv-transfer-config|null`:                                                                                                   none,
		vllm + `--kv-transfer-config|`:                                                                                                       none,
		vllm + `--kv-transfer-config`:                                                                                                        none,
		vllm + `--kv-transfer-config|--port|8000`:                                                                                            none,
		vllm + `--kv-transfer-config-x|{"kv_role":"kv_producer"}`:                                                                            none,
		vllm + `--api-key|{"kv_role":"kv_producer"}`:                                                                                         none,
		vllm + `--served-model-name|kv_producer`:                                                                                             none,
		vllm + `--disaggregation-mode|prefill`:                                                                                               none,
		vllm + strings.Repeat(`--kv-transfer-config|`, 3):                                                                                    none,
		`vllm|serve|org/m`: none,
		sglang + `--disaggregation-mode|prefill|--disaggregation-ib-device|ib0`:    prefill,
		sglang + `--disaggregation-mode=decode`:                                    decode,
		sglang + `--disaggregation_mode|decode`:                                    decode,
		sglang + `--disaggregation-mode|null`:                                      none,
		sglang + `--disaggregation-mode|both`:                                      none,
		sglang + `--disaggregation-mode`:                                           none,
		sglang + `--disaggregation-transfer-backend|prefill`:                       none,
		`mindieservice_daemon|--part|Context`:                                      prefill,
		`mindieservice_daemon|--part|prefill`:                                      none,
		`vllm-router|--prefill|http://10.0.0.1:8000|--decode|http://10.0.0.2:8000`: router,
		`python3|/usr/bin/vllm-router|--worker-urls|http://10.0.0.1:8000`:          router,
	} {
		matched, rest := known.match(strings.Split(line, "|"))
		if matched == nil {
			t.Errorf("%s: is no engine", line)
			continue
		}
		if got := matched.arguments(rest).role; got != want {
			t.Errorf("%s: role %q, want %q", line, got, want)
		}
	}
	// Another program of the same name.
	if matched, _ := known.match(strings.Fields("vllm-router --port 8001 --service-discovery static --static-backends http://10.0.0.1:8000")); matched != nil {
		t.Errorf("production-stack's router is %s", matched.Runtime)
	}
}

// TestConnectorOfCommandLine: arguments are separated by vertical bars.
func TestConnectorOfCommandLine(t *testing.T) {
	known := compiled(t)
	const vllm, sglang = "vllm|serve|org/m|", "python3|-m|sglang.launch_server|--model-path|org/m|"
	for line, want := range map[string]string{
		vllm + `--kv-transfer-config|{"kv_connector":"NixlConnector","kv_role":"kv_both"}`:                "NixlConnector",
		vllm + `--kv_transfer_config={"kv_connector":"MooncakeLayerwiseConnector"}`:                       "MooncakeLayerwiseConnector",
		vllm + `--kv-transfer-config.kv_connector|NixlConnector|--kv-transfer-config.kv_role|kv_producer`: "NixlConnector",
		vllm + `--kv-transfer-config|{"kv_connector":"MultiConnector","kv_connector_extra_config":{"connectors":[
			{"kv_connector":"OffloadingConnector"},{"kv_connector":"NixlConnector"}]}}`: "NixlConnector",
		vllm + `--kv-transfer-config|{"kv_connector":"MultiConnector","kv_connector_extra_config":{"connectors":[
			{"kv_connector":"OffloadingConnector"},{"kv_connector":"P2pNcclConnector"}]}}`: "OffloadingConnector",
		vllm + `--kv-transfer-config|{"kv_connector":"hf_secret"}`:    "",
		vllm + `--kv-transfer-config|{"kv_connector":7}`:              "",
		vllm + `--kv-transfer-config|{"kv_connector":"NixlConnector"`: "",
		vllm + `--kv-transfer-config`:                                 "",
		vllm + `--disaggregation-transfer-backend|nixl`:               "",
		"vllm|serve|org/m":                       "",
		sglang + `--disaggregation-mode|prefill`: "mooncake",
		sglang + `--disaggregation-mode|null`:    "",
		sglang + `--disaggregation-mode|decode|--disaggregation-transfer-backend|nixl`: "nixl",
		sglang + `--disaggregation_transfer_backend=NIXL`:                              "nixl",
		sglang + `--disaggregation-transfer-backend|/home/me/secret`:                   "",
	} {
		matched, rest := known.match(strings.Split(line, "|"))
		if got := matched.arguments(rest).connector; got != want {
			t.Errorf("%s: connector %q, want %q", line, got, want)
		}
	}
}

// In a shell's script the quotes around a JSON object are lost, and with them the role. The flag for the member is read.
func TestRoleInShellScript(t *testing.T) {
	known := compiled(t)
	for script, want := range map[string]fleet.Role{
		`exec vllm serve org/m --kv-transfer-config '{"kv_connector":"NixlConnector","kv_role":"kv_producer"}'`: "",
		`vllm serve org/m --kv-transfer-config.kv_role kv_consumer --port 8000`:                                 fleet.RoleDecode,
		`cd /x && python3 -m sglang.launch_server --disaggregation-mode "prefill"; true`:                        fleet.RolePrefill,
		`vllm serve org/m --kv-transfer-config "$CONFIG"`:                                                       "",
	} {
		matched, rest := known.matchContainer([]string{"bash", "-c", script})
		if matched == nil {
			t.Errorf("%s: is no engine", script)
			continue
		}
		if got := matched.arguments(rest).role; got != want {
			t.Errorf("%s: role %q, want %q", script, got, want)
		}
	}
}

func TestUpstreams(t *testing.T) {
	flags := []string{"--prefill", "--decode", "--worker-urls"}
	for line, want := range map[string]string{
		"--prefill http://10.0.0.1:8000 8998 --decode http://10.0.0.2:8000":          "10.0.0.1:8000 10.0.0.2:8000",
		"--prefill http://10.0.0.1:8000 none --prefill http://10.0.0.3:8000":         "10.0.0.1:8000 10.0.0.3:8000",
		"--prefill=http://10.0.0.1:8000 --decode=grpc://10.0.0.2:50051":              "10.0.0.1:8000 10.0.0.2:50051",
		"--worker-urls http://10.0.0.1:8000 http://GPU-2:8000/ --policy round_robin": "10.0.0.1:8000 gpu-2:8000",
		"--worker_urls http://10.0.0.1:8000,http://10.0.0.2:8000":                    "10.0.0.1:8000 10.0.0.2:8000",
		"--worker-urls 10.0.0.1:8000 localhost:8001 [fd00::1]:80":                    "10.0.0.1:8000 localhost:8001 [fd00::1]:80",
		"--worker-urls https://engine.example http://engine.example":                 "engine.example:443 engine.example:80",
		"--prefill http://0.0.0.0:20003:zmq://0.0.0.0:21001":                         "0.0.0.0:20003",
		"--decode http://user:password@10.0.0.1:8000/v1?key=k":                       "10.0.0.1:8000",
		"--worker-urls http://[::ffff:10.0.0.1]:8000 http://10.0.0.1:8000":           "10.0.0.1:8000",
		"--worker-urls http://10.0.0.1:0 http://10.0.0.1:99999 http:// :// x 8000":   "",
		"--policy http://10.0.0.1:8000":                                              "",
		"http://10.0.0.1:8000":                                                       "",
		"--prefill":                                                                  "",
		"":                                                                           "",
	} {
		if got := upstreams(strings.Fields(line), flags); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if got := upstreams(strings.Fields("--decode http://10.0.0.1:8000"), nil); got != "" {
		t.Errorf("without flags: %q", got)
	}
}

func FuzzRole(f *testing.F) {
	for _, line := range []string{
		"vllm\x00serve\x00--kv-transfer-config\x00{\"kv_role\":\"kv_producer\"}",
		"vllm\x00serve\x00--kv-transfer-config.kv_role=kv_consumer",
		`vllm` + "\x00serve\x00--kv_transfer_config=" + `{"kv_connector_extra_config":{"connectors":[{"kv_role":"kv_both"},[],{"kv_connector_extra_config":{"connectors":[{}]}}]}}`,
		"vllm-router\x00--prefill\x00http://u:p@[::1%25lo]:1:zmq://x\x008998\x00--worker-urls=a:1,b:2",
		"sglang\x00serve\x00--disaggregation-mode\x00decode",
	} {
		f.Add([]byte(line))
	}
	known := compiled(f)
	f.Fuzz(func(t *testing.T, line []byte) {
		matched, rest := known.match(splitArgs(line))
		if matched == nil {
			return
		}
		a := matched.arguments(rest)
		if _, ok := fleet.ParseRole(string(a.role)); !ok {
			t.Fatalf("role %q", a.role)
		}
		in := fleet.ReportedInstance{Name: "n", Runtime: "vLLM", State: fleet.InstanceRunning, Role: a.role, Upstreams: a.upstreams}
		in.Source, in.SourceKey = modelSource(a.weights, matched, nil)
		if fault := fleet.CheckInstance(&in); fault != nil {
			t.Fatalf("the server would refuse it: %s", fault)
		}
		if strings.Contains(a.upstreams, "@") {
			t.Fatalf("upstreams %q", a.upstreams)
		}
	})
}

// The role of the labels comes before that of the command line, that of a variable between them.
func TestRoleSources(t *testing.T) {
	const (
		prefill = `--kv-transfer-config {"kv_role":"kv_producer"}`
		engine  = "vllm serve org/m --port 8000 "
	)
	type found struct{ Role, Group, Source, Key string }
	for name, test := range map[string]struct {
		line   string
		env    []string
		labels map[string]string
		want   found
	}{
		"command line":  {line: engine + prefill, want: found{"prefill", "", "huggingface", "org/m"}},
		"none":          {line: engine, want: found{"", "", "huggingface", "org/m"}},
		"variable":      {line: engine + prefill, env: []string{"STACKSCOPE_ROLE=decode", "STACKSCOPE_GROUP=a"}, want: found{"decode", "a", "huggingface", "org/m"}},
		"bad variable":  {line: engine + prefill, env: []string{"STACKSCOPE_ROLE=both"}, want: found{"prefill", "", "huggingface", "org/m"}},
		"label":         {line: engine + prefill, env: []string{"STACKSCOPE_ROLE=prefill"}, labels: map[string]string{"stackscope.role": "Decode", "stackscope.group": "b"}, want: found{"decode", "b", "huggingface", "org/m"}},
		"llm-d's label": {line: engine, labels: map[string]string{"llm-d.ai/role": "prefill"}, want: found{"prefill", "", "huggingface", "org/m"}},
		"llm-d's both":  {line: engine + prefill, labels: map[string]string{"llm-d.ai/role": "both"}, want: found{"prefill", "", "huggingface", "org/m"}},
		"both labels":   {line: engine, labels: map[string]string{"llm-d.ai/role": "prefill", "stackscope.role": "decode"}, want: found{"decode", "", "huggingface", "org/m"}},
		"ModelScope":    {line: engine, env: []string{"VLLM_USE_MODELSCOPE=True"}, want: found{"", "", "model_scope", "org/m"}},
		"not of it":     {line: engine, env: []string{"VLLM_USE_MODELSCOPE=0"}, want: found{"", "", "huggingface", "org/m"}},
		"path":          {line: "vllm serve /models/m --served-model-name m --port 8000", env: []string{"VLLM_USE_MODELSCOPE=1"}, want: found{"", "", "local_path", "/models/m"}},
		"flag":          {line: "vllm serve --model org/m --port 8000", want: found{"", "", "huggingface", "org/m"}},
		"bucket":        {line: "vllm serve s3://key@bucket/m --served-model-name m --port 8000", want: found{}},
		"word":          {line: "vllm serve m --port 8000", want: found{}},
	} {
		for _, inContainer := range []bool{false, true} {
			if test.labels != nil && !inContainer {
				continue
			}
			m := newTree(t)
			p := fakeProcess{pid: 100, ppid: 1, argv: strings.Fields(test.line), env: test.env, listen: []listener{{netip.MustParseAddr("0.0.0.0"), 8000, 1}}, sockets: []uint64{1}}
			var containers []*container
			if inContainer {
				c := &container{id: idA, name: "c", pid: 100, settings: labelSettings(test.labels), hostNetwork: true}
				p.cgroup = "0::/docker/" + idA + "\n"
				containers = append(containers, c)
			}
			m.add(p)
			d, _ := m.discover(nil)
			running, err := d.processes.scan()
			if err != nil {
				t.Fatal(err)
			}
			d.publish(running, containers)
			if len(d.Engines()) != 1 {
				t.Fatalf("%s: %+v", name, d.Engines())
			}
			f := d.Engines()[0]
			got := found{string(f.Role), f.Group, f.ModelSource, f.ModelSourceKey}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s, in a container %t (-want +got):\n%s", name, inContainer, diff)
			}
		}
	}
}
