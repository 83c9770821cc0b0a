// Package bench compares the translation of metrics pages with other ways to do the same with public libraries. It is a module of its
// own so that those libraries are no dependencies of the programs.
package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A nativeMetric is a metric of vLLM's page.
type nativeMetric struct {
	name    string
	typ     string
	help    string
	label   string // a label besides engine and model_name, "" for none
	values  []string
	buckets []string
}

// Bucket bounds as vLLM has them.
var (
	boundsTTFT    = []string{"0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "20.0", "40.0", "80.0", "160.0", "640.0", "2560.0", "+Inf"}
	boundsToken   = []string{"0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2", "0.3", "0.4", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "20.0", "40.0", "80.0", "+Inf"}
	boundsRequest = []string{"0.3", "0.5", "0.8", "1.0", "1.5", "2.0", "2.5", "5.0", "10.0", "15.0", "20.0", "30.0", "40.0", "50.0", "60.0", "120.0", "240.0", "480.0", "960.0", "1920.0", "7680.0", "+Inf"}
	boundsLength  = []string{"1.0", "2.0", "5.0", "10.0", "20.0", "50.0", "100.0", "200.0", "500.0", "1000.0", "2000.0", "5000.0", "10000.0", "20000.0", "+Inf"}
	boundsBatch   = []string{"1.0", "8.0", "16.0", "32.0", "64.0", "128.0", "256.0", "512.0", "1024.0", "2048.0", "4096.0", "8192.0", "16384.0", "+Inf"}
	boundsN       = []string{"1.0", "2.0", "5.0", "10.0", "20.0", "+Inf"}
)

var reasons = []string{"stop", "length", "abort", "error", "repetition"}

// vllmMetrics are the metrics that a current vLLM exports about its engines.
var vllmMetrics = []nativeMetric{
	{name: "vllm:num_requests_running", typ: "gauge", help: "Requests in the running batch."},
	{name: "vllm:num_requests_waiting", typ: "gauge", help: "Requests in the waiting queue."},
	{name: "vllm:num_requests_waiting_by_reason", typ: "gauge", help: "Requests in the waiting queue by reason.", label: "reason", values: []string{"capacity", "deferred"}},
	{name: "vllm:engine_sleep_state", typ: "gauge", help: "Sleep state of the engine.", label: "sleep_state", values: []string{"awake", "discard_all", "weights_offloaded"}},
	{name: "vllm:kv_cache_usage_perc", typ: "gauge", help: "KV cache in use, 1 is all of it."},
	{name: "vllm:prefix_cache_queries", typ: "counter", help: "Tokens looked up in the prefix cache."},
	{name: "vllm:prefix_cache_hits", typ: "counter", help: "Tokens found in the prefix cache."},
	{name: "vllm:external_prefix_cache_queries", typ: "counter", help: "Tokens looked up in the cache of a KV connector."},
	{name: "vllm:external_prefix_cache_hits", typ: "counter", help: "Tokens found in the cache of a KV connector."},
	{name: "vllm:mm_cache_queries", typ: "counter", help: "Items looked up in the multi-modal cache."},
	{name: "vllm:mm_cache_hits", typ: "counter", help: "Items found in the multi-modal cache."},
	{name: "vllm:num_preemptions", typ: "counter", help: "Preemptions by the engine."},
	{name: "vllm:prompt_tokens", typ: "counter", help: "Prefill tokens processed."},
	{name: "vllm:prompt_tokens_by_source", typ: "counter", help: "Prompt tokens by source.", label: "source", values: []string{"external_kv_transfer", "local_cache_hit", "local_compute"}},
	{name: "vllm:prompt_tokens_cached", typ: "counter", help: "Prompt tokens that were cached."},
	{name: "vllm:generation_tokens", typ: "counter", help: "Generation tokens processed."},
	{name: "vllm:request_success", typ: "counter", help: "Requests that ended.", label: "finished_reason", values: reasons},
	{name: "vllm:request_prompt_tokens", typ: "histogram", help: "Prefill tokens of a request.", buckets: boundsLength},
	{name: "vllm:request_generation_tokens", typ: "histogram", help: "Generation tokens of a request.", buckets: boundsLength},
	{name: "vllm:iteration_tokens_total", typ: "histogram", help: "Tokens of an engine step.", buckets: boundsBatch},
	{name: "vllm:request_max_num_generation_tokens", typ: "histogram", help: "Largest number of tokens requested.", buckets: boundsLength},
	{name: "vllm:request_params_n", typ: "histogram", help: "The n parameter of a request.", buckets: boundsN},
	{name: "vllm:request_params_max_tokens", typ: "histogram", help: "The max_tokens parameter of a request.", buckets: boundsLength},
	{name: "vllm:time_to_first_token_seconds", typ: "histogram", help: "Time to first token in seconds.", buckets: boundsTTFT},
	{name: "vllm:inter_token_latency_seconds", typ: "histogram", help: "Inter-token latency in seconds.", buckets: boundsToken},
	{name: "vllm:request_time_per_output_token_seconds", typ: "histogram", help: "Mean time per output token of a request in seconds.", buckets: boundsToken},
	{name: "vllm:e2e_request_latency_seconds", typ: "histogram", help: "End-to-end latency of a request in seconds.", buckets: boundsRequest},
	{name: "vllm:request_queue_time_seconds", typ: "histogram", help: "Time that a request waited in seconds.", buckets: boundsRequest},
	{name: "vllm:request_inference_time_seconds", typ: "histogram", help: "Time that a request ran in seconds.", buckets: boundsRequest},
	{name: "vllm:request_prefill_time_seconds", typ: "histogram", help: "Time of a request's prefill in seconds.", buckets: boundsRequest},
	{name: "vllm:request_decode_time_seconds", typ: "histogram", help: "Time of a request's decode in seconds.", buckets: boundsRequest},
	{name: "vllm:request_prefill_kv_computed_tokens", typ: "histogram", help: "KV tokens computed in a request's prefill.", buckets: boundsLength},
}

// Page returns a page as vLLM's Python front end writes it for so many data-parallel ranks: metrics in a fixed order,
// labels sorted, all series of a rank before those of the next. The same arguments give the same page. With created it has
// the _created metrics that the single-process front end adds.
func Page(ranks int, created bool, seed uint64) string {
	g := generator{random: rand.New(rand.NewPCG(seed, 1))}
	g.process()
	for _, f := range vllmMetrics {
		g.metric(f, ranks)
		if created && f.typ != "gauge" {
			g.created(f, ranks)
		}
	}
	return g.page.String()
}

// Pages returns four pages that differ in every value. The pages of a real engine differ less from scrape to scrape.
func Pages(ranks int, created bool) [][]byte {
	pages := make([][]byte, 4)
	for i := range pages {
		pages[i] = []byte(Page(ranks, created, uint64(i+1)))
	}
	return pages
}

type generator struct {
	page   strings.Builder
	random *rand.Rand
}

const modelLabel = `model_name="Qwen/Qwen3-32B"`

func (g *generator) process() {
	g.page.WriteString("# HELP python_info Python platform information\n# TYPE python_info gauge\n")
	g.page.WriteString("python_info{implementation=\"CPython\",major=\"3\",minor=\"12\",patchlevel=\"11\",version=\"3.12.11\"} 1.0\n")
	for _, name := range []string{"process_virtual_memory_bytes", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds", "process_max_fds"} {
		g.head(name, "gauge", "Of the process.")
		fmt.Fprintf(&g.page, "%s %s\n", name, float(g.random.Float64()*1e10))
	}
	g.head("http_requests_total", "counter", "Total number of requests by method, status and handler.")
	for _, handler := range []string{"/v1/chat/completions", "/v1/completions", "/v1/models", "/health"} {
		fmt.Fprintf(&g.page, "http_requests_total{handler=%q,method=\"POST\",status=\"2xx\"} %d.0\n", handler, g.random.IntN(1e6))
	}
}

func (g *generator) head(name, typ, help string) {
	fmt.Fprintf(&g.page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, typ)
}

// labels writes a label block as the Python client does: sorted by name.
func (g *generator) labels(rank int, f nativeMetric, value, le string) {
	fmt.Fprintf(&g.page, `{engine="%d"`, rank)
	if f.label != "" && f.label < "model_name" {
		fmt.Fprintf(&g.page, ",%s=%q", f.label, value)
	}
	if le != "" {
		fmt.Fprintf(&g.page, ",le=%q", le)
	}
	g.page.WriteString("," + modelLabel)
	if f.label > "model_name" {
		fmt.Fprintf(&g.page, ",%s=%q", f.label, value)
	}
	g.page.WriteString("} ")
}

func (g *generator) metric(f nativeMetric, ranks int) {
	name := f.name
	if f.typ == "counter" {
		name += "_total"
	}
	g.head(name, f.typ, f.help)
	for rank := range ranks {
		if f.typ == "histogram" {
			g.histogram(f, rank)
			continue
		}
		for _, value := range f.children() {
			g.page.WriteString(name)
			g.labels(rank, f, value, "")
			v := float64(g.random.IntN(1e8))
			if f.typ == "gauge" {
				v = g.random.Float64()
			}
			g.page.WriteString(float(v) + "\n")
		}
	}
}

func (f nativeMetric) children() []string {
	if f.label == "" {
		return []string{""}
	}
	return f.values
}

func (g *generator) histogram(f nativeMetric, rank int) {
	count := 0
	for _, le := range f.buckets {
		count += g.random.IntN(5000)
		g.page.WriteString(f.name + "_bucket")
		g.labels(rank, f, "", le)
		g.page.WriteString(float(float64(count)) + "\n")
	}
	g.page.WriteString(f.name + "_count")
	g.labels(rank, f, "", "")
	g.page.WriteString(float(float64(count)) + "\n")
	g.page.WriteString(f.name + "_sum")
	g.labels(rank, f, "", "")
	g.page.WriteString(float(float64(count)*g.random.Float64()) + "\n")
}

func (g *generator) created(f nativeMetric, ranks int) {
	g.head(f.name+"_created", "gauge", f.help)
	for rank := range ranks {
		for _, value := range f.children() {
			g.page.WriteString(f.name + "_created")
			g.labels(rank, f, value, "")
			g.page.WriteString(float(1.7e9+g.random.Float64()*1e6) + "\n")
		}
	}
}

// float spells a value as Python does.
func float(v float64) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if v < 1e16 && v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10) + ".0"
	}
	return s
}
