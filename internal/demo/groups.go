package demo

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
)

// lostTransfers is the share of transfers between a group's engines that fail.
const lostTransfers = .002

// simulateGroups makes a vLLM group (NIXL, behind vllm-router), an SGLang group (Mooncake, behind smg) and one engine that computes prompts and
// answers itself. The SGLang decode engine has two data-parallel ranks, and two schedulers of each rank write the same values.
func simulateGroups(seed uint64, logger *slog.Logger) ([]*simulated, error) {
	now := time.Now()
	options := []simengine.GroupOptions{
		{Profile: simengine.ProfileVLLM, Model: "qwen3-32b", Prefills: 2},
		{Profile: simengine.ProfileSGLang, Model: "deepseek-v3.2", DecodeRanks: 2, Schedulers: 2},
	}
	titles, connectors := []string{"vLLM", "SGLang"}, []string{"NixlConnector", "mooncake"}
	groups := make([]*simengine.Group, len(options))
	errs := make([]error, len(options)+1)
	var wg sync.WaitGroup
	for i, o := range options {
		wg.Go(func() {
			o.Seed, o.Start, o.LoadAt, o.FailedTransfers = seed*8+uint64(i), now.Add(-history), afternoon(), lostTransfers
			groups[i], errs[i] = simengine.NewGroup(o)
		})
	}
	single, err := simengine.New(simengine.Options{
		Profile: simengine.ProfileVLLM, Model: "qwen3-8b", Seed: seed*8 + 7, Start: now.Add(-history), LoadAt: afternoon(),
	})
	errs[len(options)] = err
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var engines []*simulated
	for i, g := range groups {
		number := map[string]int{}
		for _, m := range g.Members() {
			engines = append(engines, &simulated{
				title: titles[i] + " " + m.Role, model: options[i].Model, instance: fmt.Sprintf("%s-%s-%d", options[i].Model, m.Role, number[m.Role]),
				role: m.Role, connector: connectors[i], member: m, handler: m.Handler(),
			})
			number[m.Role]++
		}
	}
	engines = append(engines, &simulated{title: "vLLM", model: "qwen3-8b", instance: "qwen3-8b-0", engine: single, handler: single.Handler()})
	return listen(engines, logger, nil)
}

// groupQueries returns the queries of the scenario. A request counts on both sides of a group: the matchers select the side that counts.
func groupQueries() []Query {
	return []Query{
		{
			"Requests that succeeded per second, by model",
			`sum by (model_name) (rate(gpustack:request_success_total{role!~"prefill|router"}[1m]))`,
		},
		{
			"Generated tokens per second, by model",
			`sum by (model_name) (rate(gpustack:generation_tokens_total{role!~"prefill|router"}[1m]))`,
		},
		{
			"Prompt tokens per second, by model",
			`sum by (model_name) (rate(gpustack:prompt_tokens_total{role!~"decode|router"}[1m]))`,
		},
		{
			"Waiting requests, by model and role",
			`sum by (model_name, role) (gpustack:num_requests_waiting{role!="router"})`,
		},
		{
			"Requests that wait for memory or for their KV cache on a decode instance, by model",
			`sum by (model_name) (gpustack:pd_decode_prealloc_queue_requests{role!="router"} + gpustack:pd_decode_transfer_queue_requests{role!="router"})`,
		},
		{
			"KV cache sent per second, by model",
			`sum by (model_name) (rate(gpustack:pd_kv_transfer_bytes_sum{role!="router"}[1m]))`,
		},
		{
			"KV cache in use, by model and role",
			`max by (model_name, role) (gpustack:kv_cache_usage_ratio{role!="router"})`,
		},
		{
			"Requests through the routers per second, by model",
			`sum by (model_name) (rate(gpustack:pd_router_requests_total{role="router"}[1m]))`,
		},
	}
}
