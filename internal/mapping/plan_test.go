package mapping

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/catalog"
)

const planDocument = `
gpustack_metrics:
  kv: {type: gauge, description: KV.}
  tokens: {type: counter, description: Tokens.}
  cached_total: {type: counter, description: Cached.}
  itl: {type: histogram, description: ITL.}
  gpustack:num_requests_running: {type: Gauge}
runtime_mapping:
  vLLM:
    "<0.9.2":
      gpu_kv: kv
      old_tokens: tokens
    "*":
      new_kv: kv
      gpu_kv: itl
      tokens_in_total: [tokens, {to: cached}]
      old_tokens: {to: tokens_total}
      hits: cached_total
    "<1":
      gpu_kv: tokens
      hits: [tokens, kv]
  SGLang:
    "*": {running: gpustack:num_requests_running}
  sglang: {}
`

// lookups spells a plan's targets as family/rank.
func lookups(p *Plan, natives ...string) map[string]string {
	got := map[string]string{}
	for _, native := range natives {
		var targets []string
		for _, target := range p.Lookup([]byte(native)) {
			targets = append(targets, fmt.Sprintf("%s/%d", p.Families()[target.Family].Name, target.Rank))
		}
		got[native] = strings.Join(targets, " ")
	}
	return got
}

func TestCompiled_Families(t *testing.T) {
	c := mustCompile(t, planDocument)
	want := []Family{
		{"kv", "kv", catalog.Gauge, "KV."},
		{"tokens", "tokens_total", catalog.Counter, "Tokens."},
		{"cached", "cached_total", catalog.Counter, "Cached."},
		{"itl", "itl", catalog.Histogram, "ITL."},
		{"gpustack:num_requests_running", "gpustack:num_requests_running", catalog.Gauge, catalog.Runtime[0].Help},
	}
	if diff := cmp.Diff(want, c.Families()); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
	if got := c.Plan("vLLM", "").Families(); len(got) == 0 || &got[0] != &c.Families()[0] {
		t.Error("the plan's families are not those of Compiled")
	}
}

func TestPlan_RangesBeforeStarInDocumentOrder(t *testing.T) {
	c := mustCompile(t, planDocument)
	natives := []string{"new_kv", "gpu_kv", "old_tokens", "tokens_in", "hits"}
	star := map[string]string{"new_kv": "kv/0", "gpu_kv": "itl/0", "old_tokens": "tokens/1", "tokens_in": "tokens/0 cached/0", "hits": "cached/1"}
	tests := map[string]map[string]string{
		"0.9.1":                                {"gpu_kv": "kv/0", "old_tokens": "tokens/0", "hits": "tokens/1 kv/1", "new_kv": "kv/2", "tokens_in": "tokens/2 cached/0"},
		"0.9.2rc2":                             {"gpu_kv": "kv/0", "old_tokens": "tokens/0", "hits": "tokens/1 kv/1", "new_kv": "kv/2", "tokens_in": "tokens/2 cached/0"},
		"0.9.2":                                {"gpu_kv": "tokens/0", "hits": "tokens/1 kv/0", "new_kv": "kv/1", "tokens_in": "tokens/2 cached/0", "old_tokens": "tokens/3"},
		"1.0":                                  star,
		"":                                     star,
		"dev":                                  star,
		strings.Repeat("9", maxVersionBytes+1): star,
	}
	for version, want := range tests {
		if diff := cmp.Diff(want, lookups(c.Plan("vLLM", version), natives...)); diff != "" {
			t.Errorf("version %.20q (-want +got):\n%s", version, diff)
		}
	}
}

func TestPlan_RanksOfAFamilyAreDistinct(t *testing.T) {
	for _, runtime := range []string{"vLLM", "SGLang", "MindIE"} {
		for _, version := range []string{"", "0.4.4", "0.8.5", "0.9.1", "0.11.0", "0.23.0"} {
			seen := map[Target]string{}
			c, err := Compile(Default())
			if err != nil {
				t.Fatal(err)
			}
			for native, targets := range c.Plan(runtime, version).natives {
				for _, target := range targets {
					if other, ok := seen[target]; ok && withoutTotal(other) != withoutTotal(native) {
						t.Errorf("%s %s: %s and %s share %+v", runtime, version, native, other, target)
					}
					seen[target] = native
				}
			}
		}
	}
}

func TestPlan_BothSpellingsOfACounter(t *testing.T) {
	p := mustCompile(t, planDocument).Plan("vLLM", "")
	for _, native := range []string{"tokens_in", "old_tokens"} {
		short, long := p.Lookup([]byte(native)), p.Lookup([]byte(native+"_total"))
		if len(short) == 0 || cmp.Diff(short, long) != "" {
			t.Errorf("%s: %v, %s_total: %v", native, short, native, long)
		}
	}
	for _, native := range []string{"tokens_in_total_total", "_total", "", "tokens"} {
		if got := p.Lookup([]byte(native)); got != nil {
			t.Errorf("%q: %v, want nothing", native, got)
		}
	}
}

func TestPlan_TotalTwice(t *testing.T) {
	p := mustCompile(t, `
gpustack_metrics: {a: {type: gauge}, b: {type: gauge}}
runtime_mapping: {x: {"*": {n_total_total: a, n: b, _total: a}}}
`).Plan("x", "")
	want := map[string]string{"n": "b/0", "n_total": "a/0", "n_total_total": "a/0", "_total": "a/1"}
	if diff := cmp.Diff(want, lookups(p, "n", "n_total", "n_total_total", "_total")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompiled_RuntimeNames(t *testing.T) {
	c := mustCompile(t, planDocument)
	for runtime, want := range map[string]bool{"vLLM": true, "vllm": true, "VLLM": true, "SGLang": true, "sglang": false, "SGLANG": true, "MindIE": false, "": false} {
		p := c.Plan(runtime, "0.1")
		if p == nil || p.Empty() == want {
			t.Errorf("runtime %q: empty = %v", runtime, p.Empty())
		}
		if len(p.Families()) != 5 {
			t.Errorf("runtime %q: %d families", runtime, len(p.Families()))
		}
	}
}

func TestNil(t *testing.T) {
	var c *Compiled
	p := c.Plan("vLLM", "")
	if c.Families() != nil || !p.Empty() || p.Families() != nil || p.Lookup([]byte("x")) != nil {
		t.Error("a nil mapping maps something")
	}
	if _, err := Compile(nil); err == nil {
		t.Error("Compile(nil) succeeded")
	}
	var d *Document
	if data, err := d.MarshalJSON(); err != nil || string(data) != "null" {
		t.Errorf("MarshalJSON of nil = %s, %v", data, err)
	}
	if data, err := d.EncodeYAML(); err != nil || string(data) != "null\n" {
		t.Errorf("EncodeYAML of nil = %q, %v", data, err)
	}
}

func TestDefault_IsDecodedOnce(t *testing.T) {
	if first := Default(); first != Default() {
		t.Error("the built-in document is decoded again")
	}
}

func TestCompiled_CacheIsBounded(t *testing.T) {
	c := mustCompile(t, planDocument)
	first := c.Plan("vLLM", "0.9.1")
	if c.Plan("vLLM", " 0.9.1\n") != first || c.Plan("vLLM", "0.8.0") != first {
		t.Error("versions in the same ranges do not share a plan")
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range maxCachedVersions {
				if got := lookups(c.Plan("vLLM", fmt.Sprintf("0.9.1.dev%d+g%d", i, g)), "gpu_kv")["gpu_kv"]; got != "kv/0" {
					t.Errorf("gpu_kv: %s", got)
					return
				}
			}
		})
	}
	wg.Wait()
	if len(c.versions) > maxCachedVersions || len(c.plans) > maxCachedPlans {
		t.Errorf("%d versions and %d plans are kept", len(c.versions), len(c.plans))
	}
}

// A version that is too long is one that is not known, and is not kept: engines say what they like.
func TestCompiled_LongVersions(t *testing.T) {
	c := mustCompile(t, planDocument)
	long := func(n, bytes int) string {
		start := fmt.Sprintf("0.9.1+g%d.", n)
		return start + strings.Repeat("g", bytes-len(start))
	}
	for bytes, want := range map[int]*Plan{
		maxVersionBytes - 1: c.Plan("vLLM", "0.9.1"), maxVersionBytes: c.Plan("vLLM", "0.9.1"),
		maxVersionBytes + 1: c.Plan("vLLM", ""), 1 << 20: c.Plan("vLLM", ""),
	} {
		if got := c.Plan("vLLM", long(0, bytes)); got != want {
			t.Errorf("a version of %d bytes has a plan that feeds %v", bytes, lookups(got, "gpu_kv"))
		}
	}
	var versions []string
	for i := range 200 {
		versions = append(versions, long(i, maxVersionBytes+1))
	}
	next := 0
	if n := testing.AllocsPerRun(len(versions)-1, func() { // and once before
		c.Plan("vLLM", versions[next])
		next++
	}); n != 0 {
		t.Errorf("%v allocations for a version that is too long: it is kept", n)
	}
}

func TestCompiled_PlansAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("gpustack_metrics: {a: {type: gauge}}\nruntime_mapping:\n")
	for i := range 3 * maxCachedPlans {
		fmt.Fprintf(&b, "  r%d: {\"*\": {n%d: a}}\n", i, i)
	}
	c := mustCompile(t, b.String())
	for i := range 3 * maxCachedPlans {
		if c.Plan(fmt.Sprintf("r%d", i), "1").Lookup(fmt.Appendf(nil, "n%d", i)) == nil {
			t.Fatalf("runtime r%d is lost", i)
		}
	}
	if len(c.plans) > maxCachedPlans {
		t.Errorf("%d plans are kept", len(c.plans))
	}
}

func TestPlan_LookupDoesNotAllocate(t *testing.T) {
	c, err := Compile(Default())
	if err != nil {
		t.Fatal(err)
	}
	mapped, unmapped := []byte("vllm:time_to_first_token_seconds"), []byte("python_gc_objects_collected_total")
	allocs := testing.AllocsPerRun(100, func() {
		p := c.Plan("vLLM", "0.11.0")
		if p.Lookup(mapped) == nil || p.Lookup(unmapped) != nil {
			t.Error("wrong lookup")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkPlan_Lookup(b *testing.B) {
	c, err := Compile(Default())
	if err != nil {
		b.Fatal(err)
	}
	p := c.Plan("vLLM", "0.11.0")
	for _, native := range []string{"vllm:time_to_first_token_seconds", "vllm:prompt_tokens_total", "python_gc_objects_collected_total"} {
		b.Run(native, func(b *testing.B) {
			name := []byte(native)
			b.ReportAllocs()
			for b.Loop() {
				p.Lookup(name)
			}
		})
	}
}

func BenchmarkDecode_Default(b *testing.B) {
	data, err := Default().MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

// What is missing is told: the runtime, or a version range.
func TestMissing(t *testing.T) {
	c := mustCompile(t, `
gpustack_metrics: {x: {type: gauge}}
runtime_mapping:
  Engine: {">=1.0,<2.0": {a: x}, "3.0.RC1": {a: x}}
  Old: {">=1.0": {a: {to: x, since: "2.0"}}}
  Any: {"*": {a: x}}
  None: {}`)
	for _, test := range []struct{ runtime, version, want string }{
		{"Engine", "1.5", ""},
		{"Any", "", ""},
		{"vllm", "1.5", `runtime_mapping has no runtime "vllm"`},
		{"engine", "2.0", `no version range of runtime "engine" matches version "2.0": it has ">=1.0,<2.0", "3.0.RC1"`},
		{"Engine", "", `none of the version ranges of runtime "Engine" holds for an engine of unknown version: it has ">=1.0,<2.0", "3.0.RC1"`},
		{"Engine", "dev", `no version range of runtime "Engine" matches version "dev": it has ">=1.0,<2.0", "3.0.RC1"`},
		{"Old", "1.5", `runtime "Old" has no target that holds for version "1.5": see its since and until`},
		{"None", "1", `no version range of runtime "None" matches version "1": it has none`},
	} {
		if got := c.Missing(test.runtime, test.version); got != test.want {
			t.Errorf("%s %q: %q, want %q", test.runtime, test.version, got, test.want)
		}
	}
}
