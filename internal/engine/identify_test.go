package engine

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
)

const (
	tgiInfo    = `{"model_id":"org/chat","model_sha":null,"model_pipeline_tag":"text-generation","validation_workers":2,"router":"text-generation-router","version":"3.3.7","docker_label":null}`
	teiInfo    = `{"model_id":"/data/gte","model_sha":null,"model_dtype":"float16","served_model_name":"gte-base","model_type":{"embedding":{"pooling":"cls"}},"tokenization_workers":4,"version":"1.9.3"}`
	mindieInfo = `{"docker_label":null,"validation_workers":null,"version":"3.0.0","models":[{"model_id":"m","model_pipeline_tag":"text-generation"}]}`
)

func TestMoreEnginesAreFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		declaration string
		pages       map[string]string
		want        Identity
	}{
		"TGI": {"http://127.0.0.1:8080", map[string]string{"/metrics": "# TYPE tgi_queue_size gauge\ntgi_queue_size 0\n", "/info": tgiInfo}, identity("TGI", "3.3.7", "org/chat")},
		"TEI": {"http://127.0.0.1:8080", map[string]string{"/metrics": "te_queue_size 0\n", "/info": teiInfo}, identity("TEI", "1.9.3", "gte-base")},
		"TEI, older": {
			"http://127.0.0.1:8080",
			map[string]string{"/metrics": "te_queue_size 0\n", "/info": `{"model_id":"org/gte","tokenization_workers":4,"version":"1.2.0"}`},
			identity("TEI", "1.2.0", "org/gte"),
		},
		"TEI that served nothing yet":    {"http://127.0.0.1:8080", map[string]string{"/metrics": "", "/info": teiInfo}, identity("TEI", "1.9.3", "gte-base")},
		"TGI that served nothing yet":    {"http://127.0.0.1:8080", map[string]string{"/metrics": "", "/info": tgiInfo}, identity("TGI", "3.3.7", "org/chat")},
		"MindIE that served nothing yet": {"url=http://127.0.0.1:8080,model=m", map[string]string{"/metrics": "", "/info": mindieInfo}, identity("MindIE", "3.0.0", "m")},
		"nobody knows":                   {"url=http://127.0.0.1:8080,model=m", map[string]string{"/metrics": "", "/info": `{"version":"1"}`}, identity("", "", "m")},
		"another one answers":            {"url=http://127.0.0.1:8080,model=m", map[string]string{"/metrics": "tgi_queue_size 0\n", "/info": teiInfo}, identity("TGI", "", "m")},
		"Triton": {
			"http://127.0.0.1:8002",
			map[string]string{"/metrics": "nv_inference_count{model=\"a\"} 1\n", "/v2": `{"name":"triton","version":"2.55.0"}`},
			identity("Triton", "2.55.0", "node-8002"),
		},
		"trtllm-serve": {
			"url=http://127.0.0.1:8000,runtime=trtllm-serve",
			map[string]string{"/prometheus/metrics": "trtllm_request_success_total 1\n", "/metrics": "[]", "/version": `{"version":"1.1.0"}`, "/v1/models": `{"data":[{"id":"llama"}]}`},
			identity("trtllm-serve", "1.1.0", "llama"),
		},
		"LMDeploy":  {"http://127.0.0.1:23333", map[string]string{"/metrics": "lmdeploy:num_requests_running{model_name=\"q\"} 1\n"}, identity("LMDeploy", "", "q")},
		"llama.cpp": {"http://127.0.0.1:8080", map[string]string{"/metrics": "llamacpp:n_decode_total 1\n", "/props": `{"build_info":"b6000-abc","model_alias":"x"}`, "/v1/models": `{"data":[{"id":"x"}]}`}, identity("llama.cpp", "b6000-abc", "x")},
		"Dynamo":    {"http://127.0.0.1:8000", map[string]string{"/metrics": "dynamo_frontend_active_requests{model=\"q\"} 1\n", "/v1/models": `{"data":[{"id":"q"}]}`}, identity("Dynamo", "", "q")},
		"FastDeploy": {
			"http://127.0.0.1:8000",
			map[string]string{"/metrics": "# TYPE fastdeploy:num_requests_running gauge\nfastdeploy:num_requests_running 1\n", "/v1/models": `{"data":[{"id":"q"}]}`},
			identity("FastDeploy", "", "q"),
		},
		"LightLLM":   {"url=http://127.0.0.1:8000,model=q", map[string]string{"/metrics": "lightllm_queue_size 1\n"}, identity("LightLLM", "", "q")},
		"Xinference": {"http://127.0.0.1:8000", map[string]string{"/metrics": "xinference:model_serve_count{model=\"a\"} 1\n"}, identity("Xinference", "", "node-8000")},
		"LoRAX":      {"http://127.0.0.1:8080", map[string]string{"/metrics": "lorax_queue_size 0\n", "/info": tgiInfo}, identity("TGI", "3.3.7", "org/chat")},
		"NIM": {
			"url=http://127.0.0.1:8000,runtime=nim",
			map[string]string{"/v1/metrics": "num_request_max 1\n", "/v1/version": `{"release":"1.0.0","api":"0.1.0"}`, "/v1/models": `{"data":[{"id":"q"}]}`},
			identity("NIM", "1.0.0", "q"),
		},
		"NIM by its page": {"http://127.0.0.1:8000/v1/metrics", map[string]string{"/v1/metrics": "num_request_max 1\n", "/v1/version": `{"release":"1.0.0"}`, "/v1/models": `{"data":[{"id":"q"}]}`}, identity("NIM", "1.0.0", "q")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, c.declaration, c.pages)
				h.run(t)
				if err := h.scrape(t); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, h.Status().Identity); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				h.want(t, fleet.InstanceRunning, "", 0)
			})
		})
	}
}
