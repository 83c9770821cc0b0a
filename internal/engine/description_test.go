package engine

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

func describedEngine(t *testing.T, d Declaration) *Engine {
	t.Helper()
	d.URL, d.Instance = "http://127.0.0.1:1", "own"
	f := fetch.New(fetch.Options{})
	t.Cleanup(f.Close)
	e, err := New(Options{Declaration: d, Fetcher: f})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func pageOfType(engineType string) []byte {
	return []byte("# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{engine_type=\"" + engineType + "\",model_name=\"qwen\",tp_rank=\"0\"} 1\n")
}

// The role is what is declared, else what discovery shows, else what the page shows.
func TestSourcesOfTheRole(t *testing.T) {
	const router = "# TYPE vllm_router_pd_requests_total counter\nvllm_router_pd_requests_total{worker=\"http://10.0.0.1:8000\"} 4\n"
	for name, test := range map[string]struct {
		declared, found fleet.Role
		runtime         string
		pages           []string
		want            fleet.Role
	}{
		"declared":                        {declared: "decode", found: "prefill", runtime: "SGLang", pages: []string{string(pageOfType("prefill"))}, want: "decode"},
		"found":                           {found: "prefill", runtime: "SGLang", pages: []string{string(pageOfType("decode"))}, want: "prefill"},
		"page":                            {runtime: "SGLang", pages: []string{string(pageOfType("decode"))}, want: "decode"},
		"recognised page":                 {pages: []string{string(pageOfType("prefill"))}, want: "prefill"},
		"does both":                       {runtime: "SGLang", pages: []string{string(pageOfType("unified"))}},
		"later page":                      {runtime: "SGLang", pages: []string{"# HELP x y\n", "# HELP x y\n", string(pageOfType("prefill"))}, want: "prefill"},
		"another engine's label":          {runtime: "vLLM", pages: []string{"vllm:num_requests_running{engine_type=\"prefill\",model_name=\"m\"} 1\n"}},
		"router's page":                   {runtime: "vLLM", pages: []string{router}, want: "router"},
		"router's page, declared as none": {declared: "prefill", runtime: "vLLM", pages: []string{router}, want: "prefill"},
		"no page":                         {runtime: "SGLang"},
	} {
		e := describedEngine(t, Declaration{Role: test.declared, Runtime: test.runtime, Model: "qwen"})
		e.Describe(Description{Role: test.found})
		for _, page := range test.pages {
			e.pageFetched(e.beginFetch(), []byte(page))
		}
		if got := e.Status().Role; got != test.want {
			t.Errorf("%s: role %q, want %q", name, got, test.want)
		}
	}
}

// The connector is what is declared, else what discovery shows, else what the page shows. An engine without a role has none.
func TestSourcesOfTheConnector(t *testing.T) {
	const plain = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\n"
	const nixl = plain + "# TYPE vllm:nixl_num_failed_transfers counter\nvllm:nixl_num_failed_transfers_total 0\n"
	for name, test := range map[string]struct {
		declared, found string
		role            fleet.Role
		runtime         string
		pages           []string
		want            string
	}{
		"declared":             {declared: "mooncake", found: "nixl", role: fleet.RoleDecode, runtime: "SGLang", want: "mooncake"},
		"found":                {found: "MooncakeConnector", role: fleet.RolePrefill, runtime: "vLLM", pages: []string{nixl}, want: "MooncakeConnector"},
		"page":                 {role: fleet.RoleDecode, runtime: "vLLM", pages: []string{nixl}, want: "NixlConnector"},
		"later page":           {role: fleet.RoleDecode, runtime: "vLLM", pages: []string{plain, plain, nixl, plain}, want: "NixlConnector"},
		"page of Ray":          {role: fleet.RoleDecode, runtime: "vLLM", pages: []string{"# TYPE ray_vllm_nixl_xfer_time_seconds histogram\n"}, want: "NixlConnector"},
		"page without":         {role: fleet.RoleDecode, runtime: "vLLM", pages: []string{plain}},
		"other runtime's page": {role: fleet.RoleDecode, runtime: "SGLang", pages: []string{nixl}},
		"no role":              {declared: "NixlConnector", found: "NixlConnector", runtime: "vLLM", pages: []string{nixl}},
		"router":               {found: "NixlConnector", role: fleet.RoleRouter, runtime: "vLLM"},
	} {
		e := describedEngine(t, Declaration{Role: test.role, Connector: test.declared, Runtime: test.runtime, Model: "qwen"})
		e.Describe(Description{Connector: test.found})
		for _, page := range test.pages {
			e.pageFetched(e.beginFetch(), []byte(page))
		}
		if got := e.Status().Connector; got != test.want {
			t.Errorf("%s: connector %q, want %q", name, got, test.want)
		}
	}
}

// A router is not named after itself, and says that it has no model while it has none.
func TestModelOfARouter(t *testing.T) {
	e := describedEngine(t, Declaration{Runtime: "vLLM", Role: fleet.RoleRouter})
	e.pageFetched(e.beginFetch(), []byte("vllm_router_requests_total 1\n"))
	e.identify(t.Context())
	if s := e.Status(); s.Model != "" || !s.HasNoModel() || !strings.Contains(s.Message, "no model") || s.State != fleet.InstanceRunning {
		t.Errorf("alone: %+v", s)
	}
	e.Describe(Description{Model: "qwen"})
	e.identify(t.Context())
	if s := e.Status(); s.Model != "qwen" || s.Message != "" {
		t.Errorf("its engines are known: %+v", s)
	}
	e.Describe(Description{Model: "llama"})
	if s := e.Status(); s.Model != "llama" {
		t.Errorf("they serve another model: %+v", s)
	}
	e = describedEngine(t, Declaration{Runtime: "vLLM", Role: fleet.RoleRouter, Model: "own"})
	e.Describe(Description{Model: "qwen"})
	if s := e.Status(); s.Model != "own" {
		t.Errorf("declared: %+v", s)
	}
	e = describedEngine(t, Declaration{Runtime: "vLLM", Role: fleet.RolePrefill})
	e.Describe(Description{Model: "qwen"})
	if s := e.Status(); s.Model != "" {
		t.Errorf("an engine took another's model: %+v", s)
	}
}

func TestDeclaredRoleAndGroup(t *testing.T) {
	d, err := ParseDeclaration("http://127.0.0.1:8000,role=prefill,group=a,connector=NixlConnector")
	if err != nil || d.Role != fleet.RolePrefill || d.Group != "a" || d.Connector != "NixlConnector" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, bad := range []string{"both", "Prefill", "none"} {
		_, err := ParseDeclaration("http://127.0.0.1:8000,role=" + bad)
		if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), "prefill, decode or router") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
