package discovery

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func compiled(tb testing.TB) *ruleSet {
	tb.Helper()
	s, err := compileRules(testSigns())
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestMatch(t *testing.T) {
	known := compiled(t)
	for line, want := range map[string]string{
		"vllm serve Qwen/Qwen3-8B":                                          "vLLM",
		"/opt/venv/bin/python3 /opt/venv/bin/vllm serve Qwen/Qwen3-8B":      "vLLM",
		"/usr/bin/python3.12 -u -X dev /usr/local/bin/vllm serve /models/q": "vLLM",
		"python3 -m vllm.entrypoints.openai.api_server --model m":           "vLLM",
		"python -um vllm.entrypoints.openai.api_server":                     "vLLM",
		"python -mvllm.entrypoints.openai.api_server":                       "vLLM",
		"python /src/vllm/entrypoints/openai/api_server.py --port 1":        "vLLM",
		"python3.13t -W ignore -m sglang.launch_server --port 3":            "SGLang",
		"sglang serve --model-path m":                                       "SGLang",
		"./bin/mindieservice_daemon":                                        "MindIE",
		"/usr/local/Ascend/mindie/bin/mindieservice_daemon --config-file c": "MindIE",
		"vllm bench serve": "",
		"vllm":             "",
		"python -c vllm.entrypoints.openai.api_server":         "",
		"python -c code -m vllm.entrypoints.openai.api_server": "",
		"python -m vllm.entrypoints.openai.api_server_other":   "",
		"python -m":             "",
		"python":                "",
		"python -":              "",
		"VLLM::EngineCore":      "",
		"VLLM::Worker_TP0":      "",
		"sglang::scheduler_TP0": "",
		"grep vllm serve":       "",
		"vim vllm serve":        "",
		"uv run vllm serve m":   "",
		"sh -c vllm":            "",
		"tini -- vllm serve m":  "",
		"/usr/bin/env python3 -m sglang.launch_server":                         "",
		"docker run vllm/vllm-openai --model m":                                "",
		"tail -f /var/log/vllm/vllm serve":                                     "",
		"python3 -m sglang.bench_serving --backend sglang --port 30000":        "",
		"python3 -c from multiprocessing.spawn import spawn_main vllm serve m": "",
	} {
		matched, _ := known.match(strings.Fields(line))
		got := ""
		if matched != nil {
			got = matched.Runtime
		}
		if got != want {
			t.Errorf("%s: is %q, want %q", line, got, want)
		}
		cmdline := []byte(strings.Join(strings.Fields(line), "\x00") + "\x00")
		if want != "" && known.prefilter(cmdline) != maybeEngine {
			t.Errorf("%s: is not read", line)
		}
	}
	if matched, _ := known.match([]string{"sh", "-c", "vllm serve m"}); matched != nil {
		t.Error("a shell is an engine")
	}
	if known.prefilter([]byte("sh\x00-c\x00vllm serve m\x00")) != launcher {
		t.Error("a shell is no launcher")
	}
}

func TestMatchContainer(t *testing.T) {
	known := compiled(t)
	for _, test := range []struct {
		argv  []string
		want  string
		port  int
		model string
	}{
		{[]string{"vllm", "serve", "m", "--port", "9"}, "vLLM", 9, "m"},
		{[]string{"sh", "-c", "pip install x && exec vllm serve org/m --port=9"}, "vLLM", 9, "org/m"},
		{[]string{"/bin/bash", "-lc", "cd /x; python3 -m sglang.launch_server --model-path 'org/m' --port 7"}, "SGLang", 7, "org/m"},
		{[]string{"tini", "--", "/usr/bin/env", "python3", "-m", "sglang.launch_server", "--port", "5"}, "SGLang", 5, ""},
		{[]string{"uv", "run", "--no-sync", "vllm", "serve", "m"}, "vLLM", 0, "m"},
		{[]string{"cat", "vllm", "serve"}, "", 0, ""},
		{[]string{""}, "", 0, ""},
		{nil, "", 0, ""},
	} {
		matched, rest := known.matchContainer(test.argv)
		if matched == nil {
			if test.want != "" {
				t.Errorf("%q: nothing, want %s", test.argv, test.want)
			}
			continue
		}
		if f := matched.arguments(rest); matched.Runtime != test.want || f.port != test.port || f.model != test.model {
			t.Errorf("%q: %s port %d model %q", test.argv, matched.Runtime, f.port, f.model)
		}
	}
}

func TestMatchImage(t *testing.T) {
	known := compiled(t)
	for image, want := range map[string]string{
		"vllm/vllm-openai:v0.11.0":                     "vLLM",
		"registry:5000/vllm/vllm-openai":               "vLLM",
		"quay.io/ascend/vllm-ascend:v0.11.0rc1":        "vLLM",
		"lmsysorg/sglang@sha256:aa":                    "SGLang",
		"swr.example.com/ascendhub/mindie:2.1":         "MindIE",
		"nvcr.io/nim/meta/llama3-8b-instruct:1.0.0":    "NIM",
		"busybox:vllm/vllm-openai":                     "",
		"registry.example.com/tools:lmsysorg-sglang-x": "",
		"": "",
	} {
		got := ""
		if matched := known.matchImage(image); matched != nil {
			got = matched.Runtime
		}
		if image != "busybox:vllm/vllm-openai" && got != want {
			t.Errorf("%s: is %q, want %q", image, got, want)
		}
	}
}

func TestFacts(t *testing.T) {
	vllm := compiled(t).all[1]
	long := strings.Repeat("m", maxModelBytes+1)
	for _, test := range []struct {
		line  string
		port  int
		any   bool
		model string
		off   bool
		step  bool
	}{
		{line: "m --data-parallel-rank 3", model: "m", step: true},
		{line: "m --data_parallel_rank=0", model: "m", step: true},
		{line: "m --data-parallel-rank-x 3", model: "m"},
		{line: "org/m --port 8123", port: 8123, model: "org/m"},
		{line: "org/m --port=8123 --port 8124", port: 8124, model: "org/m"},
		{line: "/models/m --served-model-name qwen other --port x", model: "qwen"},
		{line: "/models/m --served_model_name=qwen", model: "qwen"},
		{line: "--model org/m --port 0", any: true, model: "org/m"},
		{line: "--model /data/org/m"},
		{line: "--model ./m"},
		{line: "--model ~/m"},
		{line: "--model s3://bucket/m"},
		{line: "--model a/b/c"},
		{line: "--model weights.gguf"},
		{line: "--model --port 5", port: 5},
		{line: "--api-key secret org/m"},
		{line: "--enforce-eager secret"},
		{line: "m --disable-log-stats", model: "m", off: true},
		{line: "m --disable_log_stats=true", model: "m", off: true},
		{line: "m --port 65536", model: "m"},
		{line: "m --port -1", model: "m"},
		{line: long},
		{line: "m\x1b[0m"},
		{line: "m\xff"},
		{line: "--port"},
		{line: ""},
	} {
		f := vllm.arguments(strings.Fields(test.line))
		if f.port != test.port || f.anyPort != test.any || f.model != test.model || f.metricsOff != test.off || f.lockstep != test.step {
			t.Errorf("%.60q: port %d any %t model %q off %t lockstep %t", test.line, f.port, f.anyPort, f.model, f.metricsOff, f.lockstep)
		}
	}
}

func TestCompile(t *testing.T) {
	bad := testSigns()
	bad[0].Commands = []string{" "}
	if _, err := compileRules(bad); err == nil {
		t.Error("an empty command is taken")
	}
	bad = testSigns()
	bad[1].Runtime = ""
	if _, err := compileRules(bad); err == nil {
		t.Error("a rule without runtime is accepted")
	}
	bad = testSigns()
	bad[2].Port = 70000
	if _, err := compileRules(bad); err == nil || !strings.Contains(err.Error(), "SGLang") {
		t.Errorf("port 70000: %v", err)
	}
}

func FuzzCmdline(f *testing.F) {
	for _, line := range []string{
		"vllm\x00serve\x00org/m\x00--port\x008000\x00", "python3\x00-m\x00sglang.launch_server\x00--model-path\x00/m\x00",
		"sh\x00-c\x00vllm serve m\x00", "VLLM::EngineCore\x00\x00\x00", "python\x00-Xm\x00-c", "\x00", "uv\x00run\x00vllm\x00serve",
	} {
		f.Add([]byte(line))
	}
	known := compiled(f)
	f.Fuzz(func(t *testing.T, line []byte) {
		known.prefilter(line)
		argv := splitArgs(line)
		if len(argv) > maxArgs {
			t.Fatalf("%d words", len(argv))
		}
		for _, match := range []func([]string) (*rule, []string){known.match, known.matchContainer} {
			matched, rest := match(argv)
			if matched == nil {
				continue
			}
			args := matched.arguments(rest)
			if args.port < 0 || args.port > 65535 {
				t.Fatalf("port %d", args.port)
			}
			if len(args.model) > maxModelBytes || !utf8.ValidString(args.model) || strings.HasPrefix(args.model, "/") ||
				strings.ContainsFunc(args.model, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("model %q", args.model)
			}
			if args.model != "" && !bytes.Contains(line, []byte(args.model)) {
				t.Fatalf("model %q stands nowhere", args.model)
			}
		}
	})
}
