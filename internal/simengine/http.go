package simengine

import (
	"encoding/json"
	"maps"
	"net/http"
)

// secret is in SGLang's server info, as the real one has its settings there. Nothing that reads it may pass it on.
const secret = "simulated-and-must-not-leak"

// Handler serves the engine's HTTP surface: /metrics, /health, /v1/models and where it tells its version.
func (e *Engine) Handler() http.Handler {
	mux := http.NewServeMux()
	p := &e.sim.p
	metrics := func(contentType string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !e.awaitAnswering(r.Context()) {
				return
			}
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(e.page()) // the client is gone if this fails
		}
	}
	const python = "text/plain; version=0.0.4; charset=utf-8"
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	switch p.kind {
	case ProfileVLLM:
		mux.HandleFunc("GET /metrics", metrics(python))
		mux.HandleFunc("GET /version", reply(map[string]any{"version": p.version}))
		mux.HandleFunc("GET /v1/models", reply(e.modelList("vllm", map[string]any{"max_model_len": p.maxModelLen})))
	case ProfileSGLang:
		mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/metrics/", http.StatusTemporaryRedirect)
		})
		mux.HandleFunc("GET /metrics/", metrics(python))
		info := map[string]any{
			"model_path": "/models/" + e.models[0], "served_model_name": e.models[0], "host": "0.0.0.0", "port": 30000,
			"api_key": secret, "admin_api_key": secret, "tp_size": 8, "enable_metrics": true, "max_running_requests": p.maxSequences,
			"max_total_num_tokens": p.blocks * p.blockSize, "internal_states": []any{map[string]any{"api_key": secret}}, "version": p.version,
		}
		mux.HandleFunc("GET /server_info", reply(info))
		mux.HandleFunc("GET /get_server_info", reply(info))
		mux.HandleFunc("GET /get_model_info", reply(map[string]any{"model_path": "/models/" + e.models[0], "is_generation": true}))
		mux.HandleFunc("GET /v1/models", reply(e.modelList("sglang", map[string]any{"max_model_len": p.maxModelLen})))
	case ProfileMindIE:
		mux.HandleFunc("GET /metrics", metrics("text/plain; charset=utf-8"))
		var models []any
		for _, m := range e.models {
			models = append(models, map[string]any{
				"model_id": m, "model_device_type": "npu", "model_dtype": "bfloat16",
				"model_pipeline_tag": "text-generation", "max_total_tokens": p.maxModelLen,
			})
		}
		mux.HandleFunc("GET /info", reply(map[string]any{
			"docker_label": nil, "max_batch_total_tokens": p.maxBatchTokens, "max_best_of": 1, "max_concurrent_requests": p.maxSequences,
			"max_stop_sequences": nil, "max_waiting_tokens": nil, "sha": nil, "validation_workers": nil, "version": p.version,
			"waiting_served_ratio": nil, "models": models,
		}))
		mux.HandleFunc("GET /v1/models", reply(e.modelList("MindIE Server", nil)))
	}
	return mux
}

// modelList is the OpenAI API's list of the served models.
func (e *Engine) modelList(owner string, more map[string]any) map[string]any {
	var list []any
	for _, m := range e.models {
		entry := map[string]any{"id": m, "object": "model", "created": e.start.Unix(), "owned_by": owner}
		maps.Copy(entry, more)
		list = append(list, entry)
	}
	return map[string]any{"object": "list", "data": list}
}

func reply(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
	}
}
