package enginepages

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOwn(t *testing.T) {
	pages := Own(t)
	if len(pages) < 20 {
		t.Errorf("only %d pages", len(pages))
	}
	runtimes := map[string]bool{}
	for _, p := range pages {
		runtimes[p.Runtime] = true
		if len(p.Text) == 0 || p.Recorded {
			t.Errorf("%s: %d bytes, recorded %t", p.Name, len(p.Text), p.Recorded)
		}
	}
	for _, want := range []string{"vLLM", "SGLang", "MindIE", "TGI", "LiteLLM"} {
		if !runtimes[want] {
			t.Errorf("no page of %s", want)
		}
	}
}

func TestRecorded(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(EnvRecorded, dir)
	for _, name := range []string{"vllm-0.10.x-somewhere.prom", "triton-vllm-backend.prom", "node_exporter.prom", "vllm-0.9.2.source"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := Recorded(t)
	want := []Page{{Name: "node_exporter"}, {Name: "triton-vllm-backend", Runtime: "vLLM"}, {Name: "vllm-0.10.x-somewhere", Runtime: "vLLM", Version: "0.10.0"}}
	if len(got) != len(want) {
		t.Fatalf("%d pages, want %d: %+v", len(got), len(want), got)
	}
	for i, p := range got {
		if p.Name != want[i].Name || p.Runtime != want[i].Runtime || p.Version != want[i].Version || !p.Recorded || string(p.Text) != "x 1\n" {
			t.Errorf("got %+v, want %+v", p, want[i])
		}
	}
}

func TestRecordedAs(t *testing.T) {
	for name, want := range map[string][2]string{
		"sglang-0.4.6.post5-generated":        {"SGLang", "0.4.6.post5"},
		"mindie-3.0-motor-pd-node0":           {"MindIE", "3.0"},
		"mindie-3.0alpha1-docs":               {"MindIE", "3.0alpha1"},
		"tgi-3.x-datadog":                     {"TGI", "3.0"},
		"triton-trtllm-nv_inference-readme":   {"Triton", ""},
		"triton-vllm-backend-readme":          {"vLLM", ""},
		"trtllm-dynamo-docs":                  {"trtllm-serve", ""},
		"dcgm-exporter-3.x-datadog":           {"", ""},
		"vllm-0.23-rust-frontend-constructed": {"vLLM", "0.23"},
	} {
		if runtime, version := recordedAs(name); runtime != want[0] || version != want[1] {
			t.Errorf("%s: %q %q, want %q", name, runtime, version, want)
		}
	}
}
