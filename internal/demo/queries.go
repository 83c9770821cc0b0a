package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Query is a PromQL expression and what it shows.
type Query struct{ Title, Expr string }

// Queries returns the queries that Run prints. Each returns data after the second scrape.
func Queries() []Query {
	return []Query{
		{
			"Waiting requests, by model and runtime",
			`sum by (model_name, runtime) (gpustack:num_requests_waiting{role!="router"})`,
		},
		{
			"Generated tokens per second, by model and runtime",
			`sum by (model_name, runtime) (rate(gpustack:generation_tokens_total{role!~"prefill|router"}[1m]))`,
		},
		{
			"Time to first token, 95th percentile, by runtime",
			`histogram_quantile(0.95, sum by (le, runtime) (rate(gpustack:time_to_first_token_seconds_bucket{role!~"prefill|router", is_streaming!="false"}[1m])))`,
		},
		{
			"KV cache in use, by instance",
			`max by (model_instance_name, runtime) (gpustack:kv_cache_usage_ratio)`,
		},
		{
			"GPU memory in use, by instance and GPU",
			`sum by (model_instance_name, gpu_index) (gpustack:model_instance_gpu_memory_used_bytes)`,
		},
		{
			"Generated tokens per joule, by model",
			`sum by (model_name) (rate(gpustack:generation_tokens_total{role!~"prefill|router"}[1m])) / sum by (model_name) (rate(gpustack:model_instance_gpu_energy_joules_total[1m]))`,
		},
		{
			"Mean time between two tokens, by runtime",
			`sum by (runtime) (rate(gpustack:inter_token_latency_seconds_sum{role!~"prefill|router"}[1m])) / sum by (runtime) (rate(gpustack:inter_token_latency_seconds_count{role!~"prefill|router"}[1m]))`,
		},
		{
			"Generated tokens per second, by user and model",
			`sum by (user, model_name) (rate(gpustack:gateway_generation_tokens_total[1m]))`,
		},
	}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// has says whether there is something at an address.
func has(ctx context.Context, address string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}

// series is one of a query's results.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// ask runs an instant query on the server's own Prometheus API.
func ask(ctx context.Context, base, expr string) (_ []series, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/prometheus/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []series `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("query %s: status %d: %w", expr, resp.StatusCode, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("query %s: status %d: %s", expr, resp.StatusCode, answer.Error)
	}
	return answer.Data.Result, nil
}
