package simengine

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	promlabels "github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/enginepages"
)

// parse reads a page with both of Prometheus' parsers and refuses duplicate series.
func parse(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("expfmt: %v", err)
	}
	p, err := textparse.New(page, "text/plain; version=0.0.4", promlabels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return families
		}
		if err != nil {
			t.Fatalf("textparse: %v", err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var l promlabels.Labels
		p.Labels(&l)
		if seen[l.String()] {
			t.Fatalf("duplicate series %s", l)
		}
		seen[l.String()] = true
	}
}

// total adds up the values of a family's series, or a histogram's counts, whose labels contain want ("name=value").
func total(f *dto.MetricFamily, want ...string) float64 {
	sum := 0.
	for _, m := range f.GetMetric() {
		if !has(m, want) {
			continue
		}
		switch f.GetType() {
		case dto.MetricType_HISTOGRAM:
			sum += float64(m.GetHistogram().GetSampleCount())
		case dto.MetricType_COUNTER:
			sum += m.GetCounter().GetValue()
		default:
			sum += m.GetGauge().GetValue()
		}
	}
	return sum
}

// histogramSum adds up the sums of a histogram's series whose labels contain want ("name=value").
func histogramSum(f *dto.MetricFamily, want ...string) (sum float64) {
	for _, m := range f.GetMetric() {
		if has(m, want) {
			sum += m.GetHistogram().GetSampleSum()
		}
	}
	return sum
}

// has reports whether m has all labels want ("name=value").
func has(m *dto.Metric, want []string) bool {
	n := 0
	for _, l := range m.GetLabel() {
		if slices.Contains(want, l.GetName()+"="+l.GetValue()) {
			n++
		}
	}
	return n == len(want)
}

// cumulative refuses histograms whose buckets fall or whose last one isn't the count, and counters that fall.
func cumulative(t *testing.T, before, now map[string]*dto.MetricFamily) {
	t.Helper()
	for name, f := range now {
		if f.GetType() == dto.MetricType_COUNTER && total(f) < total(before[name]) {
			t.Fatalf("counter %s fell from %v to %v", name, total(before[name]), total(f))
		}
		for _, m := range f.GetMetric() {
			h := m.GetHistogram()
			if h == nil {
				continue
			}
			last := uint64(0)
			for _, b := range h.GetBucket() {
				if b.GetCumulativeCount() < last {
					t.Fatalf("%s: bucket %v holds %d after %d", name, b.GetUpperBound(), b.GetCumulativeCount(), last)
				}
				last = b.GetCumulativeCount()
			}
			if n := len(h.GetBucket()); n == 0 || !math.IsInf(h.GetBucket()[n-1].GetUpperBound(), 1) || last != h.GetSampleCount() {
				t.Fatalf("%s: count %d, last of %d buckets %d", name, h.GetSampleCount(), n, last)
			}
		}
	}
}

func TestInvariants(t *testing.T) {
	for _, profile := range Profiles() {
		t.Run(profile, func(t *testing.T) {
			e, c := open(t, profile, 11, tuesday(15))
			var before map[string]*dto.MetricFamily
			peak := map[string]float64{}
			for range 120 {
				c.add(30 * time.Second)
				now := parse(t, e.page())
				cumulative(t, before, now)
				checkEngine(t, e, now)
				for name, f := range now {
					peak[name] = max(peak[name], total(f))
				}
				if t.Failed() {
					t.FailNow()
				}
				before = now
			}
			for _, g := range []string{
				"vllm:num_requests_waiting", "sglang:num_queue_reqs", "num_requests_waiting", "num_requests_swapped",
				"vllm:num_preemptions_total", "num_preemptions_total",
			} {
				if _, there := before[g]; there && peak[g] == 0 {
					t.Errorf("%s was 0 for an hour", g)
				}
			}
		})
	}
}

// checkEngine holds a page's families against one another, and the simulation's own books against the page.
func checkEngine(t *testing.T, e *Engine, page map[string]*dto.MetricFamily) {
	t.Helper()
	equal := func(what string, a, b float64) {
		t.Helper()
		if math.Abs(a-b) > 1e-6*math.Max(1, math.Abs(a)) {
			t.Errorf("%s: %v and %v", what, a, b)
		}
	}
	s, st := e.sim, &e.sim.st
	var ends uint64
	for _, n := range st.ends {
		ends += n
	}
	equal("received = ended + in the engine", float64(st.received), float64(ends)+float64(len(s.running)+len(s.waiting)+len(s.swapped)))
	blocks, host := 0, 0
	for _, r := range s.running {
		blocks += r.blocks
	}
	for _, r := range s.swapped {
		host += r.blocks
	}
	equal("blocks held", float64(blocks), float64(s.blocksUsed))
	equal("blocks swapped", float64(host), float64(s.hostUsed))
	if s.blocksUsed < 0 || s.blocksUsed > s.p.blocks || s.hostUsed > s.p.hostBlocks {
		t.Errorf("%d of %d blocks, %d of %d host blocks", s.blocksUsed, s.p.blocks, s.hostUsed, s.p.hostBlocks)
	}
	switch s.p.kind {
	case ProfileVLLM:
		all := total(page["vllm:request_success_total"])
		equal("all ends", all, float64(ends))
		for _, h := range []string{
			"e2e_request_latency_seconds", "request_queue_time_seconds", "request_inference_time_seconds",
			"request_prefill_time_seconds", "request_decode_time_seconds", "request_prompt_tokens", "request_generation_tokens",
			"request_params_n", "request_params_max_tokens", "request_max_num_generation_tokens",
		} {
			equal(h+" = request_success", total(page["vllm:"+h]), all)
		}
		equal("http requests", total(page["http_requests_total"]), all)
		equal("http latencies", total(page["http_request_duration_highr_seconds"]), all)
		// A prompt counts at its first token, in the histogram at the end.
		prompts := histogramSum(page["vllm:request_prompt_tokens"]) - float64(st.lostPrompts)
		generated := histogramSum(page["vllm:request_generation_tokens"])
		for _, r := range slices.Concat(s.running, s.waiting) {
			generated += float64(r.generated)
			if r.first > 0 {
				prompts += float64(r.prompt)
			}
		}
		equal("prompt tokens", total(page["vllm:prompt_tokens_total"]), prompts)
		equal("generation tokens", total(page["vllm:generation_tokens_total"]), generated)
		equal("running", total(page["vllm:num_requests_running"]), float64(len(s.running)))
		if q, h := total(page["vllm:prefix_cache_queries_total"]), total(page["vllm:prefix_cache_hits_total"]); h > q || h == 0 && q > 1e5 {
			t.Errorf("%v hits of %v", h, q)
		}
		if old := page["vllm:gpu_cache_usage_perc"]; old != nil {
			equal("both names of the cache's usage", total(old), total(page["vllm:kv_cache_usage_perc"]))
			equal("both names of cache hits", total(page["vllm:gpu_prefix_cache_hits_total"]), total(page["vllm:prefix_cache_hits_total"]))
			return
		}
		equal("waiting by reason", total(page["vllm:num_requests_waiting_by_reason"]), total(page["vllm:num_requests_waiting"]))
		equal("prompt tokens by source", total(page["vllm:prompt_tokens_by_source_total"]), total(page["vllm:prompt_tokens_total"]))
		equal("cached", total(page["vllm:prompt_tokens_by_source_total"], "source=local_cache_hit"), total(page["vllm:prompt_tokens_cached_total"]))
		equal("accepted by position", total(page["vllm:spec_decode_num_accepted_tokens_per_pos_total"]), total(page["vllm:spec_decode_num_accepted_tokens_total"]))
		equal("three tokens a draft", 3*total(page["vllm:spec_decode_num_drafts_total"]), total(page["vllm:spec_decode_num_draft_tokens_total"]))
	case ProfileSGLang:
		finished := total(page["sglang:num_requests_total"])
		equal("finished", finished, float64(st.successes()))
		for _, h := range []string{"e2e_request_latency_seconds", "prompt_tokens_histogram", "generation_tokens_histogram", "uncached_prompt_tokens_histogram"} {
			equal(h+" = num_requests", total(page["sglang:"+h]), finished)
		}
		equal("prompt tokens", total(page["sglang:prompt_tokens_total"]), histogramSum(page["sglang:prompt_tokens_histogram"]))
		equal("generation tokens", total(page["sglang:generation_tokens_total"]), histogramSum(page["sglang:generation_tokens_histogram"]))
		equal("cached tokens", total(page["sglang:cached_tokens_total"]),
			histogramSum(page["sglang:prompt_tokens_histogram"])-histogramSum(page["sglang:uncached_prompt_tokens_histogram"]))
		equal("aborts", total(page["sglang:num_aborted_requests_total"]), float64(st.ends[aborted]+st.ends[failed]))
		equal("slots", total(page["sglang:kv_used_tokens"])+total(page["sglang:kv_evictable_tokens"])+total(page["sglang:kv_available_tokens"]),
			float64(s.p.blocks*s.p.blockSize))
	case ProfileMindIE:
		success := total(page["request_success_total"])
		equal("received", total(page["request_received_total"]), success+total(page["request_failed_total"])+
			total(page["num_requests_running"])+total(page["num_requests_waiting"])+total(page["num_requests_swapped"]))
		equal("e2e", total(page["e2e_request_latency_seconds"]), success)
		equal("generation histogram", total(page["request_generation_tokens"]), success)
		equal("first tokens", total(page["time_to_first_token_seconds"]), total(page["request_prompt_tokens"]))
		equal("prompt tokens", total(page["prompt_tokens_total"]), histogramSum(page["request_prompt_tokens"]))
		equal("generation tokens", total(page["generation_tokens_total"]), histogramSum(page["request_generation_tokens"]))
	}
}

// TestFirstMinute: whatever the hour, an engine that was just started shows, within a minute, everything that is shown of it,
// and between two looks ten seconds apart its histograms get observations.
func TestFirstMinute(t *testing.T) {
	families := map[string][]string{
		ProfileVLLM: {
			"vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total",
			"vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_prompt_tokens", "vllm:request_generation_tokens",
			"vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds", "vllm:request_time_per_output_token_seconds",
			"vllm:e2e_request_latency_seconds", "vllm:request_success_total", "vllm:prompt_tokens_cached_total",
			"vllm:spec_decode_num_accepted_tokens_total", "vllm:request_queue_time_seconds",
		},
		ProfileVLLM09: {
			"vllm:num_requests_running", "vllm:gpu_cache_usage_perc", "vllm:gpu_prefix_cache_queries_total",
			"vllm:gpu_prefix_cache_hits_total", "vllm:time_per_output_token_seconds", "vllm:time_to_first_token_seconds", "vllm:request_success_total",
		},
		ProfileSGLang: {
			"sglang:num_running_reqs", "sglang:token_usage", "sglang:cache_hit_rate", "sglang:prompt_tokens_total",
			"sglang:generation_tokens_total", "sglang:cached_tokens_total", "sglang:prompt_tokens_histogram", "sglang:generation_tokens_histogram",
			"sglang:time_to_first_token_seconds", "sglang:inter_token_latency_seconds", "sglang:e2e_request_latency_seconds",
			"sglang:num_requests_total", "sglang:queue_time_seconds", "sglang:prefill_effective_tokens_total", "sglang:per_stage_req_latency_seconds",
		},
		ProfileMindIE: {
			"num_requests_running", "npu_cache_usage_perc", "npu_prefix_cache_hit_rate", "all_radix_match_num",
			"npu_radix_match_hit_num", "prompt_tokens_total", "generation_tokens_total", "request_prompt_tokens", "request_generation_tokens",
			"time_to_first_token_seconds", "time_per_output_token_seconds", "e2e_request_latency_seconds", "request_success_total",
		},
	}
	for profile, names := range families {
		for _, hour := range []int{0, 4, 9, 15, 21} {
			e, c := open(t, profile, uint64(hour), time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC)) // a Sunday
			moved := map[string]int{}
			before := parse(t, e.page())
			for range 6 {
				c.add(10 * time.Second)
				now := parse(t, e.page())
				for _, name := range names {
					if total(now[name]) != total(before[name]) {
						moved[name]++
					}
				}
				before = now
			}
			for _, name := range names {
				if least := 3; moved[name] < least {
					t.Errorf("%s at %d o'clock: %s moved in %d of 6 looks", profile, hour, name, moved[name])
				}
			}
			for _, name := range []string{"vllm:num_requests_waiting", "sglang:num_queue_reqs", "num_requests_waiting", "num_requests_swapped"} {
				if f := before[name]; f == nil && (strings.HasPrefix(name, profile+":") || profile == ProfileMindIE && strings.HasPrefix(name, "num_")) {
					t.Errorf("%s has no %s", profile, name)
				}
			}
		}
	}
}

// TestLikeRecordedPages compares names, types, label names with their order, and latency buckets with pages of the real engines.
func TestLikeRecordedPages(t *testing.T) {
	recorded := map[string][]byte{}
	for _, p := range enginepages.Recorded(t) {
		recorded[p.Name] = p.Text
	}
	for _, c := range []struct {
		profile string
		files   []string
		newer   []string          // families that the captured version doesn't have
		labels  map[string]string // label names that differ from the capture, with good reason
	}{
		{
			profile: ProfileVLLM, files: []string{"vllm-0.23.0-generated", "vllm-0.10.x-pymotor"},
			// The capture's settings are cut down.
			labels: map[string]string{"vllm:cache_config_info": "block_size cache_dtype enable_prefix_caching engine gpu_memory_utilization num_cpu_blocks num_gpu_blocks num_gpu_blocks_override sliding_window"},
		},
		{
			profile: ProfileVLLM09, files: []string{"vllm-0.9.2-generated", "vllm-0.10.x-pymotor"},
			labels: map[string]string{"vllm:cache_config_info": "block_size cache_dtype enable_prefix_caching engine gpu_memory_utilization num_cpu_blocks num_gpu_blocks num_gpu_blocks_override sliding_window"},
		},
		{
			profile: ProfileSGLang, files: []string{"sglang-0.5.18-generated"},
			// The capture was made in one process and leaves stages out.
			labels: map[string]string{
				"sglang:num_retracted_reqs":            "engine_type model_name moe_ep_rank pid pp_rank tp_rank",
				"sglang:num_paused_reqs":               "engine_type model_name moe_ep_rank pid pp_rank tp_rank",
				"sglang:per_stage_req_latency_seconds": "engine_type model_name moe_ep_rank pp_rank stage tp_rank",
				"sglang:num_aborted_requests_total":    "model_name",
			},
		},
		{profile: ProfileMindIE, files: []string{"mindie-3.0-motor-pd-node0"}, newer: []string{"all_radix_match_num", "npu_radix_match_hit_num"}},
	} {
		t.Run(c.profile, func(t *testing.T) {
			e, clk := open(t, c.profile, 2, tuesday(15))
			clk.add(5 * time.Minute)
			got, real := outline(e.page()), map[string]family{}
			for _, file := range slices.Backward(c.files) {
				if recorded[file] == nil {
					t.Fatalf("there is no recorded page %s", file)
				}
				maps.Copy(real, outline(recorded[file]))
			}
			for name, f := range got {
				want, there := real[name]
				switch {
				case slices.Contains(c.newer, name):
					continue
				case !there:
					t.Errorf("%s is in no capture", name)
					continue
				}
				if l, there := c.labels[name]; there {
					want.labels = l
				}
				if f.typ != want.typ || f.labels != want.labels {
					t.Errorf("%s: %s with labels %q, the real one is a %s with %q", name, f.typ, f.labels, want.typ, want.labels)
				}
				tokens := strings.Contains(name, "tokens") // these follow from the model's length
				if diff := cmp.Diff(want.bounds, f.bounds); diff != "" && !tokens && want.bounds != nil {
					t.Errorf("%s: buckets differ (-real +simulated):\n%s", name, diff)
				}
			}
			if len(got) < 20 {
				t.Errorf("only %d families", len(got))
			}
		})
	}
}

// TestLikeOwnPages compares what a simulated page and the repository's page of the same version both have: types and label names
// with their order. The repository's pages have fewer buckets than the engines'.
func TestLikeOwnPages(t *testing.T) {
	own := map[string][]byte{}
	for _, p := range enginepages.Own(t) {
		own[p.Name] = p.Text
	}
	for profile, name := range map[string]string{
		ProfileVLLM: "vllm-current-dp2", ProfileVLLM09: "vllm-0.9.2", ProfileSGLang: "sglang", ProfileMindIE: "mindie",
	} {
		t.Run(profile, func(t *testing.T) {
			e, clk := open(t, profile, 2, tuesday(15))
			clk.add(5 * time.Minute)
			got, want := outline(e.page()), outline(own[name])
			common := 0
			for name, f := range got {
				w, there := want[name]
				if !there {
					continue
				}
				common++
				// SGLang's labels depend on its settings, and the page is of others.
				if f.typ != w.typ || f.labels != w.labels && profile != ProfileSGLang {
					t.Errorf("%s: %s with labels %q, want %s with %q", name, f.typ, f.labels, w.typ, w.labels)
				}
			}
			if common < 10 {
				t.Errorf("only %d families are on both pages", common)
			}
		})
	}
}

// family is the shape of a family: its type, the names of its labels in order, its bucket bounds.
type family struct {
	typ, labels string
	bounds      []string
}

var (
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? `)
	labelName  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

func outline(page []byte) map[string]family {
	families := map[string]family{}
	name := ""
	for line := range strings.Lines(string(page)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "# TYPE") {
			name = f[2]
			families[name] = family{typ: f[3]}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f := families[name]
		var names []string
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if f.typ == "histogram" && l[1] == "le" {
				if !slices.Contains(f.bounds, l[2]) {
					f.bounds = append(f.bounds, l[2])
				}
				continue
			}
			names = append(names, l[1])
		}
		f.labels = strings.Join(names, " ")
		families[name] = f
	}
	return families
}

// TestOrderOfLines holds the quirks in which the engines differ.
func TestOrderOfLines(t *testing.T) {
	for profile, want := range map[string]string{
		ProfileVLLM:   "vllm:e2e_request_latency_seconds: bucket count sum",
		ProfileSGLang: "sglang:queue_time_seconds: sum bucket count",
		ProfileMindIE: "e2e_request_latency_seconds: count sum bucket",
	} {
		e, c := open(t, profile, 2, tuesday(15))
		c.add(time.Minute)
		page := e.page()
		name, order, _ := strings.Cut(want, ": ")
		var got []string
		lines := bufio.NewScanner(bytes.NewReader(page))
		for lines.Scan() {
			kind, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), name+"_"), "{")
			if strings.HasPrefix(lines.Text(), name+"_") && !slices.Contains(got, kind) && kind != "created" && !strings.Contains(kind, " ") {
				got = append(got, kind)
			}
		}
		if strings.Join(got, " ") != order {
			t.Errorf("%s writes %s in the order %v, want %s", profile, name, got, order)
		}
		if has := bytes.Contains(page, []byte("_created")); has != (profile == ProfileVLLM) {
			t.Errorf("%s: _created series: %v", profile, has)
		}
		if bytes.Contains(page, []byte(secret)) {
			t.Errorf("%s: the secret is on the page", profile)
		}
	}
}
