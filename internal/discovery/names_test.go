package discovery

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
)

func TestNamesOnACommandLine(t *testing.T) {
	set, err := compileRules([]fleet.DetectionRule{{
		Runtime: "vLLM", Commands: []string{"vllm serve"}, NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model"},
		AdapterFlags: []string{"--lora-modules", "--lora-paths"}, Positional: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string][3]string{
		"vllm serve org/m":                                                                 {"org/m", "", ""},
		"vllm serve org/m --served-model-name a":                                           {"a", "", ""},
		"vllm serve org/m --served-model-name a org/b --port 1":                            {"a", "a org/b", ""},
		"vllm serve org/m --served_model_name a b":                                         {"a", "a b", ""},
		"vllm serve org/m --served-model-name a /weights":                                  {"a", "", ""},
		"vllm serve org/m --lora-modules sql=/w/sql fr=org/fr --port 1":                    {"org/m", "", "sql fr"},
		"vllm serve org/m --lora-modules=sql=/w/sql":                                       {"org/m", "", "sql"},
		`vllm serve org/m --lora-modules {"name":"sql","path":"/w","base_model_name":"m"}`: {"org/m", "", "sql"},
		`vllm serve org/m --lora-paths {"lora_name":"sql","lora_path":"/w"} /w/fr fr=/w`:   {"org/m", "", "sql fr"},
		`vllm serve org/m --lora-modules {broken {} {"name":7}`:                            {"org/m", "", ""},
		"vllm serve org/m --lora-modules a=/w --lora-modules b=/w":                         {"org/m", "", "b"},
		"vllm serve org/m --lora-modules":                                                  {"org/m", "", ""},
	} {
		found, rest := set.match(strings.Fields(line))
		if found == nil {
			t.Fatalf("%s: no engine", line)
		}
		a := found.arguments(rest)
		if got := [3]string{a.model, a.served, a.adapters}; got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
