package translate_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// This file holds the invariant of docs/mapping.md: adding an additive metric over ranks, engines and models gives the truth. The
// oracle reads native pages by itself and knows nothing of the mapping.

// replicaLabels number processes that repeat one value. SGLang's tp_rank is the global one, so that it differs between data-parallel
// ranks, too; dp_rank is among the labels that stay (engines-newer.md, section 2).
var replicaLabels = []string{"tp_rank", "pp_rank", "moe_ep_rank", "attn_cp_rank", "pid"}

// additive says of which native samples a unified sample is the sum: of the first of these natives that a page has.
type additive struct {
	unified string
	natives []string // without _total
	skip    map[string][]string
}

// noPriority leaves out SGLang's samples by priority, which repeat the total.
var noPriority = map[string][]string{"priority": {"!"}}

var additives = map[string][]additive{
	"vLLM": {
		{"gpustack:num_requests_running", []string{"vllm:num_requests_running"}, nil},
		{"gpustack:num_requests_waiting", []string{"vllm:num_requests_waiting"}, nil},
		{"gpustack:prompt_tokens_total", []string{"vllm:prompt_tokens"}, nil},
		{"gpustack:generation_tokens_total", []string{"vllm:generation_tokens"}, nil},
		{"gpustack:request_preemptions_total", []string{"vllm:num_preemptions"}, nil},
		{"gpustack:time_to_first_token_seconds_count", []string{"vllm:time_to_first_token_seconds_count"}, nil},
		{"gpustack:e2e_request_latency_seconds_count", []string{"vllm:e2e_request_latency_seconds_count"}, nil},
		{"gpustack:request_success_total", []string{"vllm:request_success"}, map[string][]string{"finished_reason": {"abort", "error"}, "finish_reason": {"abort", "error"}}},
	},
	"SGLang": {
		{"gpustack:num_requests_running", []string{"sglang:num_running_reqs"}, noPriority},
		{"gpustack:num_requests_waiting", []string{"sglang:num_queue_reqs"}, noPriority},
		{"gpustack:prompt_tokens_total", []string{"sglang:prompt_tokens"}, nil},
		{"gpustack:generation_tokens_total", []string{"sglang:generation_tokens"}, nil},
		{"gpustack:request_success_total", []string{"sglang:num_requests"}, nil},
		{"gpustack:time_to_first_token_seconds_count", []string{"sglang:time_to_first_token_seconds_count"}, nil},
		{"gpustack:e2e_request_latency_seconds_count", []string{"sglang:e2e_request_latency_seconds_count"}, nil},
	},
	"MindIE": {
		{"gpustack:num_requests_running", []string{"num_requests_running"}, nil},
		{"gpustack:num_requests_waiting", []string{"num_requests_waiting"}, nil},
		{"gpustack:prompt_tokens_total", []string{"prompt_tokens"}, nil},
		{"gpustack:generation_tokens_total", []string{"generation_tokens"}, nil},
		{"gpustack:e2e_request_latency_seconds_count", []string{"e2e_request_latency_seconds_count"}, nil},
	},
	"LMDeploy": {
		{"gpustack:num_requests_running", []string{"lmdeploy:num_requests_running"}, nil},
		{"gpustack:num_requests_waiting", []string{"lmdeploy:num_requests_waiting"}, nil},
	},
	"TGI": {
		{"gpustack:num_requests_waiting", []string{"tgi_queue_size"}, nil},
	},
}

// nativeSample is a sample of a native page; family has the engine's usual prefix and no _total.
type nativeSample struct {
	family string
	labels labels.Labels
	value  float64
}

func nativeSamples(page []byte, f translate.Format) []nativeSample {
	lines, _ := refLines(page, f)
	var list []nativeSample
	for _, line := range lines {
		set, value, ok := refParse(line)
		if !ok {
			continue
		}
		name := strings.TrimSuffix(set.Get("__name__"), "_total")
		for _, engine := range []string{"vllm", "sglang"} { // as Ray and rewriting scrapers write them
			for _, prefix := range []string{"ray_" + engine + ":", "ray_" + engine + "_", engine + "_"} {
				if rest, ok := strings.CutPrefix(name, prefix); ok && !strings.HasPrefix(rest, "router_") {
					name = engine + ":" + rest
				}
			}
		}
		v, _ := refNumber(value)
		list = append(list, nativeSample{name, set, v})
	}
	return list
}

// truth returns what an additive metric adds up to for each model, the model "" being none. It reports false if the page has none of
// the natives.
func truth(page []nativeSample, a additive) (map[string]float64, bool) {
	for _, native := range a.natives {
		largest := map[string]float64{}
		model := map[string]string{}
		for _, s := range page {
			if s.family != native || a.skips(s.labels) {
				continue
			}
			b := labels.NewBuilder(s.labels)
			b.Del(append(slices.Clone(replicaLabels), "__name__")...)
			key := b.Labels().String()
			if old, known := largest[key]; !known || s.value > old {
				largest[key] = s.value
			}
			model[key] = s.labels.Get("model_name")
		}
		if len(largest) == 0 {
			continue
		}
		sums := map[string]float64{}
		for key, v := range largest {
			sums[model[key]] += v
		}
		return sums, true
	}
	return nil, false
}

// skips reports whether a sample is none of the additive metric. "!" stands for any value.
func (a additive) skips(set labels.Labels) bool {
	for name, values := range a.skip {
		v := set.Get(name)
		if slices.Contains(values, v) || v != "" && slices.Contains(values, "!") {
			return true
		}
	}
	return false
}

// unifiedSums is sum by (model_name) of a unified sample name, as a user writes it.
func unifiedSums(t *testing.T, plan *mapping.Plan, r *translate.Result, name string) map[string]float64 {
	t.Helper()
	samples, err := readBack([]byte(unified(plan, r)))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, s := range samples {
		if s.Name != name {
			continue
		}
		set, _, ok := refParse("x" + s.Labels + " 1")
		v, err := strconv.ParseFloat(s.Value, 64)
		if !ok || err != nil {
			t.Fatalf("%v: %v", s, err)
		}
		sums[set.Get("model_name")] += v
	}
	return sums
}

func equalSums(a, b map[string]float64) bool {
	return maps.EqualFunc(a, b, func(x, y float64) bool { return x == y || math.Abs(x-y) <= 1e-9*math.Abs(x) })
}

// checkSums compares sums over the translated page with the oracle's over the native one, and returns how many metrics it compared.
func checkSums(t *testing.T, page []byte, runtime, version string) (compared int) {
	t.Helper()
	f := translate.DetectFormat("", page)
	plan := defaultMapping(t).Plan(runtime, version)
	var r translate.Result
	stats := r.Translate(page, f, plan, nil)
	if stats.Duplicates > 0 {
		return 0 // the first of two samples stays, which the oracle does not know
	}
	native := nativeSamples(page, f)
	for _, a := range additives[runtime] {
		want, ok := truth(native, a)
		if !ok {
			continue
		}
		compared++
		if got := unifiedSums(t, plan, &r, a.unified); !equalSums(want, got) {
			t.Errorf("%s: sum by (model_name) (%s) is %v, the native page says %v", strings.TrimSpace(runtime+" "+version), a.unified, got, want)
		}
	}
	return compared
}

func TestSumsAreTheTruth(t *testing.T) {
	compared := 0
	enginepages.Each(t, func(t *testing.T, p enginepages.Page) { //nolint:thelper // the body of a test: its own lines are wanted
		for runtime := range additives {
			if strings.HasPrefix(strings.ToLower(p.Name), strings.ToLower(runtime)) {
				n := checkSums(t, p.Text, runtime, p.Version)
				compared += n
			}
		}
	})
	for _, path := range []string{"testdata", "testdata/engines"} {
		for _, p := range pageFilesIn(t, path) {
			runtime := p.settings["runtime"]
			if len(additives[runtime]) > 0 {
				t.Run(p.name, func(t *testing.T) { compared += checkSums(t, p.page, runtime, p.settings["version"]) })
			}
		}
	}
	if compared < 150 {
		t.Errorf("%d metrics compared: where are the pages?", compared)
	}
}

// A topology is the ranks of an engine, and of several models behind one page.
type topology struct {
	name           string
	models         int
	dp, tp, pp, cp int // tp within a data-parallel rank
	experts, ray   bool
}

// TestSumsOfGeneratedPages knows the truth beforehand: it invents what each data-parallel rank of each model does, writes it as every
// rank of SGLang writes it, in whatever order, some of them one step behind, and adds the page up.
func TestSumsOfGeneratedPages(t *testing.T) {
	for _, top := range []topology{
		{name: "one rank", models: 1, dp: 1, tp: 1, pp: 1, cp: 1},
		{name: "tensor parallel 8", models: 1, dp: 1, tp: 8, pp: 1, cp: 1},
		{name: "data-parallel attention, tp 8, dp 2", models: 1, dp: 2, tp: 4, pp: 1, cp: 1},
		{name: "data-parallel attention, tp 16, dp 16", models: 1, dp: 16, tp: 1, pp: 1, cp: 1},
		{name: "attention context parallel 8", models: 1, dp: 1, tp: 1, pp: 1, cp: 8},
		{name: "pipeline 4, tensor 2", models: 1, dp: 1, tp: 2, pp: 4, cp: 1},
		{name: "experts 8, dp 4", models: 1, dp: 4, tp: 2, pp: 1, cp: 1, experts: true},
		{name: "all of them", models: 1, dp: 3, tp: 2, pp: 2, cp: 2, experts: true},
		{name: "two models behind Ray", models: 2, dp: 1, tp: 2, pp: 1, cp: 1, ray: true},
		{name: "three models with ranks", models: 3, dp: 2, tp: 4, pp: 2, cp: 1, experts: true, ray: true},
	} {
		t.Run(top.name, func(t *testing.T) {
			for seed := range uint64(4) {
				page, want := top.write(rand.New(rand.NewPCG(seed, 5)))
				plan := defaultMapping(t).Plan("SGLang", "0.5.18")
				var r translate.Result
				for range 3 { // the third page matches a template
					r.Translate([]byte(page), translate.Text, plan, nil)
				}
				for name, sums := range want {
					if got := unifiedSums(t, plan, &r, name); !equalSums(sums, got) {
						t.Fatalf("seed %d: sum by (model_name) (%s) is %v, want %v\n%s", seed, name, got, sums, page)
					}
				}
				if checkSums(t, []byte(page), "SGLang", "0.5.18") == 0 {
					t.Error("the oracle found nothing to compare")
				}
			}
		})
	}
}

// write writes a page and what it must add up to, by sample name and model.
func (top topology) write(r *rand.Rand) (page string, want map[string]map[string]float64) {
	natives := []struct{ native, unified string }{
		{"num_running_reqs", "gpustack:num_requests_running"},
		{"num_queue_reqs", "gpustack:num_requests_waiting"},
		{"max_total_num_tokens", "gpustack:kv_cache_capacity_tokens"},
	}
	prefix := "sglang:"
	if top.ray {
		prefix = "ray_sglang_"
	}
	want = map[string]map[string]float64{}
	var lines []string
	for m := range top.models {
		model := fmt.Sprintf("model-%d", m)
		for _, n := range natives {
			if want[n.unified] == nil {
				want[n.unified] = map[string]float64{}
			}
			for dp := range top.dp {
				value := 1 + r.IntN(1000)
				want[n.unified][model] += float64(value)
				current := r.IntN(top.tp * top.pp * top.cp) // one rank has certainly the newest value
				for i := range top.tp * top.pp * top.cp {
					stage, rank := i/(top.tp*top.cp), i%(top.tp*top.cp)
					set := fmt.Sprintf(`engine_type="unified",model_name=%q,pp_rank="%d",tp_rank="%d"`, model, stage, dp*top.tp*top.cp+rank)
					if top.experts {
						set += fmt.Sprintf(`,moe_ep_rank="%d"`, (dp*top.tp*top.cp+rank)%8)
					}
					if top.dp > 1 {
						set += fmt.Sprintf(`,dp_rank="%d"`, dp)
					}
					if top.ray {
						set += fmt.Sprintf(`,ReplicaId="r%d"`, m)
					}
					lag := 0
					if i != current {
						lag = r.IntN(2)
					}
					lines = append(lines, fmt.Sprintf("%s%s{%s} %d.0\n", prefix, n.native, set, value-lag))
				}
			}
		}
	}
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return strings.Join(lines, ""), want
}

// TestReplicasKeepTheirLabels translates pages of the same ranks with other values in another order: the series stay the same.
func TestReplicasKeepTheirLabels(t *testing.T) {
	top := topology{models: 2, dp: 3, tp: 4, pp: 2, cp: 1, experts: true}
	plan := defaultMapping(t).Plan("SGLang", "0.5.18")
	var first []string
	for seed := range uint64(6) {
		page, _ := top.write(rand.New(rand.NewPCG(seed, 9)))
		var r translate.Result
		r.Translate([]byte(page), translate.Text, plan, nil)
		samples, err := readBack([]byte(unified(plan, &r)))
		if err != nil {
			t.Fatal(err)
		}
		var series []string
		for _, s := range samples {
			series = append(series, s.Name+s.Labels)
		}
		slices.SortFunc(series, cmp.Compare)
		if first == nil {
			first = series
		}
		if !slices.Equal(first, series) {
			t.Fatalf("seed %d: series %q, the first page has %q", seed, series, first)
		}
	}
}
