package translate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/translate"
)

// pick returns one of the choices.
func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// randomPage writes a page out of few names, labels and values, so that series collide, families come back and faults
// stand everywhere.
func randomPage(r *rand.Rand) []byte {
	var b strings.Builder
	end := pick(r, "\n", "\n", "\n", "\r\n")
	for n := r.IntN(40); n > 0; n-- {
		name := pick(r, "engine:running", "engine:usage", "engine:usage_old", "engine:usage_new", "engine:tokens", "engine:cached",
			"engine:latency_seconds", "engine:iteration_tokens_total", "engine:queue_duration_bucket", "engine:delay_seconds", "vllm:prompt_tokens",
			"vllm:gpu_prefix_cache_hits", "vllm:prefix_cache_hits", "vllm:time_to_first_token_seconds", "other", "engine:latency_seconds_sum", "other_count",
			"engine:ended", "engine:wait_ms", "engine:wait_seconds", "engine:rate", "engine:rate_old", "engine:info", "engine:stage", "engine:input_length", "engine:load", "engine:load_old", "engine:work",
			"engine:transfer_ms", "engine:one", "other:one", "third:one", "last:one", "engine:one_seconds",
			"other:one_seconds", "engine:new", "engine:old", "engine:sign", "old_engine:sign", "engine:transfer_seconds", "old_engine:ended")
		switch r.IntN(12) {
		case 0:
			b.WriteString("# TYPE " + name + " " + pick(r, "counter", "gauge", "histogram", "summary", "untyped", "nonsense") + end)
		case 1:
			b.WriteString(pick(r, "# HELP "+name+" Some \\n help.", "# comment", "\x00 1", " # comment", "\t# EOF", "", "# EOF", "...", "<p>", "#", "# UNIT a s") + end)
		case 2:
			// A run of buckets as engines write them, sometimes twice.
			for range 1 + r.IntN(2) {
				block := randomLabels(r)
				for _, le := range []string{"0.005", "0.1", "1", "2.5", "10.0", "+Inf"} {
					fmt.Fprintf(&b, "%s_bucket{%sle=%q} %d%s", name, block, le, r.IntN(100), end)
				}
				fmt.Fprintf(&b, "%s_sum{%s} %d%s%s_count{%s} %d%s", name, block, r.IntN(9), end, name, block, r.IntN(9), end)
			}
		default:
			b.WriteString(pick(r, "", "", "", "", " ", "\t"))
			b.WriteString(name + pick(r, "", "", "_total", "_bucket", "_sum", "_count", "_created", "x"))
			if r.IntN(4) > 0 {
				b.WriteString(pick(r, "", "", "", " ") + "{" + randomLabels(r))
				if r.IntN(3) == 0 {
					b.WriteString("le=" + pick(r, `"1"`, `"1"`, `"0.5"`, `"+Inf"`, `"Inf"`, `"1e5"`, `"x"`, `""`, `"-1"`))
				}
				b.WriteString(pick(r, "}", "}", "}", "}", "} ", ""))
			}
			b.WriteString(pick(r, " ", " ", " ", " ", "  ", "\t", ""))
			b.WriteString(pick(r, "1", "2.5", "-3", "NaN", "+Inf", "-0", "1e5", "2.99e+010", "1e999", "-nan(ind)", "0x1p4", "", "x", "12345678901234567890"))
			b.WriteString(pick(r, "", "", "", "", "", "", " 1700000000000", " -5", " 1.5", " x", " # {a=\"b\"} 1", " # {} 1 2", " ", "\t"))
			b.WriteString(end)
		}
	}
	page := b.String()
	if r.IntN(4) == 0 {
		page = page[:r.IntN(len(page)+1)]
	}
	if r.IntN(8) == 0 && len(page) > 0 {
		i := r.IntN(len(page))
		page = page[:i] + pick(r, "\x00", "\xff", "\\", "\"", "{", "}", "=", ",", "#", "\n") + page[i:]
	}
	return []byte(page)
}

// randomLabels writes labels with a comma behind each.
func randomLabels(r *rand.Rand) string {
	var b strings.Builder
	for n := r.IntN(4); n > 0; n-- {
		name := pick(r, "a", "b", "engine", "model_name", "dp_rank", "rank", "exported_a", "exported_model_name", "cluster_id", "native_cluster_id",
			"exported_cluster_name", "cluster", "quantile", "worker_id", "runtime", "__name__", `"a"`, `"a.b"`)
		if r.IntN(3) > 0 {
			name = pick(r, "a", "b", "engine")
		}
		value := pick(r, "0", "1", "1", "", "llama", "R", `x\\y`, `x\y`, `\"`, `\n`, "é", "7")
		b.WriteString(name + pick(r, "=", "=", "=", " = ") + `"` + value + `"` + pick(r, ",", ",", ",", ",", " , ", " "))
	}
	return b.String()
}

func TestReferenceAgreesOnRandomPages(t *testing.T) {
	pages := 1500
	if testing.Short() {
		pages = 400
	}
	test := testMapping(t)
	vllm := defaultMapping(t).Plan("vLLM", "0.9.2")
	for seed := range uint64(pages) {
		r := rand.New(rand.NewPCG(seed, 0))
		page := randomPage(r)
		plan := test.Plan("Test", pick(r, "1.0", "2.0", ""))
		if r.IntN(4) == 0 {
			plan = vllm
		}
		own := ownLabels[r.IntN(len(ownLabels))]
		compare(t, page, pick(r, translate.Text, translate.OpenMetrics), plan, own)
		collectRaw(t, pick(r, translate.Text, translate.OpenMetrics), page, randomPage(r))
		if t.Failed() {
			t.Fatalf("seed %d, page:\n%s", seed, page)
		}
	}
}
