package fleet_test

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
)

func TestModelSource(t *testing.T) {
	for name, want := range map[string]string{
		"Qwen/Qwen3-8B": "huggingface", "unsloth/Qwen3-8B-GGUF:Q4_K_M": "huggingface", "/models/qwen": "local_path", "./qwen": "local_path", "../qwen": "local_path",
		"~/qwen": "local_path", "qwen/": "local_path", "weights.gguf": "local_path", "org/m/w.GGUF": "local_path", "a/b/c": "local_path", "/": "local_path",
		"": "", "qwen": "", "s3://bucket/m": "", "https://user:password@host/m": "", "C:\\models\\qwen": "", "$MODEL": "", "user@host/m": "", "org/m ": "", "org/a b": "",
		"/a\x00b": "", "/" + strings.Repeat("a", fleet.MaxSourceKey): "",
	} {
		source, key := fleet.ModelSource(name)
		if source != want || want != "" && key != name || want == "" && key != "" {
			t.Errorf("%q: %q %q, want %q", name, source, key, want)
		}
	}
}
