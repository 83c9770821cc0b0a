package dashboards

import (
	"slices"
	"strings"
)

const (
	varCacheService   = "cache_service_name"
	varAttachedModels = "attached_models"
)

// cacheService shows LMCache servers, which are scraped as they are: their metrics have LMCache's names and the labels of GPUStack's targets.
func cacheService() Dashboard {
	const service = `cluster_name="$cluster_name", cache_service_name="$cache_service_name"`
	return Dashboard{
		UID: "gpustack-cache-service", Title: "GPUStack Cache Service",
		Description: "A shared KV cache (LMCache): hit rate, use of memory and storage, throughput, and what the models find in it. It replaces GPUStack's dashboard of the same name and needs Prometheus targets of the cache service with the labels that GPUStack gives them.",
		From:        "now-1h",
		Variables: []Variable{
			datasource(),
			{Name: varCluster, Label: "Cluster", Query: `label_values({__name__=~"lmcache_mp_l1_usage_ratio|gpustack:cluster_info|gpustack:external_prefix_cache_queries_total"}, cluster_name)`},
			{Name: varCacheService, Label: "Cache service", Query: `label_values(lmcache_mp_l1_usage_ratio{cluster_name="$cluster_name"}, cache_service_name)`},
			{Name: varWorker, Label: "Worker", Multi: true, Query: `label_values(lmcache_mp_l1_usage_ratio{` + service + `}, worker_name)`},
			// GPUStack's server exports which models are attached. Without it, those that look up tokens in a shared cache are.
			{Name: varAttachedModels, Label: "Attached models", Multi: true, Hidden: true, Query: `label_values({__name__=~"gpustack:cache_service_attached_model|gpustack:external_prefix_cache_queries_total", cluster_name="$cluster_name"}, model_name)`},
		},
		Rows: []Row{
			{Panels: cacheServiceNow()},
			{Title: "Use and throughput", Panels: cacheServiceUse()},
			{Title: "Models", Panels: cacheServiceModels()},
		},
	}
}

// lmcache selects a metric of the cache service.
func lmcache(family string) string {
	return "lmcache_mp_" + family + `{cluster_name="$cluster_name", cache_service_name="$cache_service_name", worker_name=~"$worker_name"}`
}

const noCacheService = "no cache service is scraped"

func cacheServiceNow() []Panel {
	stat := func(title, description, unit, expr string) Panel {
		return Panel{Kind: Stat, W: 6, Title: title, Description: description, Unit: unit, Sparkline: true, NoValue: noCacheService, Queries: []Query{{Expr: expr, Legend: title}}}
	}
	return []Panel{
		stat("Hit rate", "Share of requested tokens that were in the shared cache. Low with similar prompts: the cache is too small, or engines use different settings.", "percentunit",
			rateOf(lmcache("lookup_hit_tokens_total"))+" / ("+rateOf(lmcache("lookup_requested_tokens_total"))+" > 0)"),
		stat("Fullest memory", "Use of the fullest worker's cache memory (L1). At 100 % chunks are evicted.", "percentunit", "max("+lmcache("l1_usage_ratio")+")"),
		stat("Cache memory", "Memory that the chosen workers' caches use (L1).", "bytes", "sum("+lmcache("l1_memory_usage_bytes")+")"),
		stat("Evicted", "Chunks that were evicted from memory per second. Many with a low hit rate: give the cache more memory.", "cps", rateOf(lmcache("l1_evicted_chunks_total"))),
	}
}

func cacheServiceUse() []Panel {
	line := func(title, description, unit, expr, legend string) Panel {
		return Panel{Kind: TimeSeries, W: 12, Title: title, Description: description, Unit: unit, Min: new(0.0), NoValue: noCacheService, Queries: []Query{{Expr: expr, Legend: legend}}, Overrides: []Override{thin()}}
	}
	by := varWorker
	throughput := Panel{
		Kind: TimeSeries, W: 24, Title: "Mean throughput of transfers", Unit: "si:GB/s", Min: new(0.0), NoValue: noCacheService, Overrides: []Override{thin()},
		Description: "Mean throughput of single transfers. store and load between GPU and memory (L0, L1) are bounded by PCIe; those of L2 by the network or the disk.",
	}
	for _, f := range []struct{ family, legend string }{{"l0_l1_store", "GPU to memory"}, {"l0_l1_load", "memory to GPU"}, {"l2_store", "memory to L2"}, {"l2_load", "L2 to memory"}} {
		name := f.family + "_throughput_GB_per_second"
		throughput.Queries = append(throughput.Queries, Query{Expr: rateOf(lmcache(name+"_sum")) + " / (" + rateOf(lmcache(name+"_count")) + " > 0)", Legend: f.legend})
	}
	return []Panel{
		line("Tokens found by worker", "Requested tokens that were in the cache, per second, of the 20 workers with most.", tokensPerSecond, topRate(mostLines, by, rateOver(by, lmcache("lookup_hit_tokens_total"))), "{{worker_name}}"),
		line("Tokens requested by worker", "Tokens that engines looked up in the cache, per second, of the 20 workers with most.", tokensPerSecond, topRate(mostLines, by, rateOver(by, lmcache("lookup_requested_tokens_total"))), "{{worker_name}}"),
		line("Memory in use by worker", "Share of each worker's cache memory (L1) that is in use, of the 20 fullest.", "percentunit", top(mostLines, by, "max by ("+by+") ("+lmcache("l1_usage_ratio")+")", "max by ("+by+") (max_over_time("+lmcache("l1_usage_ratio")+"[$__range] @ end()))"), "{{worker_name}}"),
		line("Storage in use", "Bytes in each storage behind the memory (L2), by its name.", "bytes", "sum by (l2_name) ("+lmcache("l2_usage_bytes")+")", "{{l2_name}}"),
		throughput,
	}
}

func cacheServiceModels() []Panel {
	selector := `{cluster_name="$cluster_name", model_name=~"$attached_models", worker_name=~"$worker_name"}`
	of := func(by, what string) string {
		family := "external_prefix_cache_" + what + "_total"
		return rateOver(by, "gpustack:"+strings.Replace(family+selector, "}", ", "+counting(family)+"}", 1))
	}
	const byEngine = "model_name, model_instance_name, worker_name"
	line := func(title, description, unit, expr, legend string) Panel {
		return Panel{Kind: TimeSeries, W: 12, Title: title, Description: description, Unit: unit, Min: new(0.0), NoValue: "no model looks up tokens in a shared cache", Queries: []Query{{Expr: expr, Legend: legend}}, Overrides: []Override{thin()}}
	}
	rate := func(by string) string { return of(by, "hits") + " / (" + of(by, "queries") + " > 0)" }
	models := line("Hit rate by model", "Share of looked-up tokens that a model's instances found in the shared cache, after their own prefix cache.", "percentunit", rate(varModel), "{{model_name}}")
	engines := line("Hit rate by instance", "The same by instance, of the 20 with the highest rate. One far below the others: it uses other settings or another version.", "percentunit",
		top(mostLines, byEngine, "("+rate(byEngine)+")", "("+overRange(rate(byEngine))+")"), "{{model_name}} {{model_instance_name}} {{worker_name}}")
	models.Max, engines.Max = new(1.0), new(1.0)
	return slices.Concat([]Panel{models, engines}, []Panel{
		line("Tokens looked up by model", "Tokens per second that a model's instances looked up in the shared cache.", tokensPerSecond, of(varModel, "queries"), "{{model_name}}"),
		line("Tokens found by model", "Tokens per second that a model's instances found in the shared cache and did not compute.", tokensPerSecond, of(varModel, "hits"), "{{model_name}}"),
	})
}
