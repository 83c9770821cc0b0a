package runtimes

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

func TestRoleOfAPage(t *testing.T) {
	for name, c := range map[string]struct {
		page, runtime, model string
		role                 fleet.Role
	}{
		"vLLM's router": {
			"# TYPE vllm_router_pd_requests_total counter\nvllm_router_pd_requests_total{route=\"/v1/chat/completions\"} 3\n", "vLLM", "", fleet.RoleRouter,
		},
		"vLLM's router before its first request": {"# TYPE vllm_tokenizer_vocab_size gauge\nvllm_tokenizer_vocab_size 151936\n", "vLLM", "", fleet.RoleRouter},
		"SGLang's router": {
			"smg_http_requests_total{method=\"GET\"} 1\nsmg_router_requests_total{router_type=\"http\",backend_type=\"pd\",model=\"qwen\",streaming=\"true\"} 3\n", "SGLang", "qwen", fleet.RoleRouter,
		},
		"SGLang's router without the model's name": {"smg_router_requests_total{backend_type=\"pd\",model=\"unknown\"} 3\n", "SGLang", "", fleet.RoleRouter},
		"SGLang's older router":                    {"# TYPE sgl_router_pd_requests_total counter\n", "SGLang", "", fleet.RoleRouter},
		"SGLang's new router":                      {"sgl_router_request_duration_seconds_count{model_id=\"qwen\"} 3\n", "SGLang", "qwen", fleet.RoleRouter},
		"SGLang":                                   {"sglang:num_running_reqs{model_name=\"qwen\",tp_rank=\"0\"} 3\n", "SGLang", "qwen", ""},
		"SGLang's prefill":                         {"sglang:num_running_reqs{engine_type=\"prefill\",model_name=\"qwen\"} 3\n", "SGLang", "qwen", fleet.RolePrefill},
		"SGLang's decode":                          {"sglang:num_running_reqs{model_name=\"qwen\"} 3\nsglang:token_usage{engine_type=\"decode\"} 0\n", "SGLang", "qwen", fleet.RoleDecode},
		"SGLang that does both":                    {"sglang:num_running_reqs{engine_type=\"unified\",model_name=\"qwen\"} 3\n", "SGLang", "qwen", ""},
		"vLLM":                                     {"vllm:num_requests_running{engine=\"0\",model_name=\"qwen\"} 3\n", "vLLM", "qwen", ""},
		"an engine with a router's metrics":        {"vllm:num_requests_running{model_name=\"qwen\"} 3\nvllm_router_requests_total{route=\"a\"} 1\n", "vLLM", "qwen", ""},
		"production-stack's router, a gateway":     {"# TYPE vllm:current_qps gauge\nvllm:current_qps{server=\"a\"} 1\n", "production-stack", "", ""},
		"a name that only contains the prefix":     {"my_smg_requests_total 1\nnot_vllm_router_requests_total 1\n", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Recognise([]byte(c.page))
			if got != c.runtime {
				t.Fatalf("it is recognised as %q, want %q", got, c.runtime)
			}
			r, _ := ByName(got)
			if role, _ := r.Role([]byte(c.page)); role != c.role {
				t.Errorf("the role is %q, want %q", role, c.role)
			}
			if model := r.ModelLabel([]byte(c.page)); model != c.model {
				t.Errorf("the model is %q, want %q", model, c.model)
			}
		})
	}
}

// TestRoutersAreNotAsked: a router's metrics port answers every path with 200 and its page.
func TestRoutersAreNotAsked(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte("# TYPE smg_router_requests_total counter\nsmg_router_requests_total 1\n"))
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	target := fetch.NewTarget(base, DefaultPath, nil)
	known := Identity{Runtime: "SGLang"}
	got, err := Identify(t.Context(), fetch.New(fetch.Options{}), target, known, "qwen", fleet.RoleRouter)
	if want := (Identity{Runtime: "SGLang", Model: "qwen"}); err != nil || got != want || asked.Load() != 0 {
		t.Errorf("got %+v, %v after %d requests, want %+v after none", got, err, asked.Load(), want)
	}
	// A router that is not known to be one is asked, and none of its page becomes a version.
	if got, err = Identify(t.Context(), fetch.New(fetch.Options{}), target, known, "", ""); err == nil || got.Version != "" || got.Model != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}
