package bench

import (
	"regexp"
	"testing"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

var plainTarget = regexp.MustCompile(`(?m)^( +vllm:\w+): (gpustack:\w+)$`)

// replicaPlan is the built-in mapping of vLLM with max_over on every target that has no other option.
func replicaPlan(tb testing.TB, label string) *mapping.Plan {
	tb.Helper()
	text, err := mapping.Default().EncodeYAML()
	if err != nil {
		tb.Fatal(err)
	}
	document, err := mapping.Decode(plainTarget.ReplaceAll(text, []byte("$1: {to: $2, max_over: "+label+"}")))
	if err != nil {
		tb.Fatal(err)
	}
	m, err := mapping.Compile(document)
	if err != nil {
		tb.Fatal(err)
	}
	return m.Plan("vLLM", "")
}

// replicaCases are a page of nine ranks as they are, under max_over where each stands alone, and as nine replicas.
func replicaCases(tb testing.TB) map[string]*mapping.Plan {
	tb.Helper()
	return map[string]*mapping.Plan{
		"plain": compiled(tb).Plan("vLLM", ""), "stand alone": replicaPlan(tb, "tp_rank"), "9 replicas": replicaPlan(tb, "engine"),
	}
}

func BenchmarkReplicas(b *testing.B) {
	pages, source := Pages(9, true), splitSource(0)
	for name, plan := range replicaCases(b) {
		b.Run(name, func(b *testing.B) {
			var r translate.Result
			for i := range 12 {
				r.Translate(pages[i%len(pages)], translate.Text, plan, source)
			}
			b.SetBytes(int64(len(pages[0])))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Translate(pages[i%len(pages)], translate.Text, plan, source)
			}
		})
	}
}

// Pages of replicas cost no allocation either.
func TestReplicasAllocateNothing(t *testing.T) {
	pages, source := Pages(9, true), splitSource(0)
	for name, plan := range replicaCases(t) {
		var r translate.Result
		i, samples := 0, 0
		next := func() {
			samples = r.Translate(pages[i%len(pages)], translate.Text, plan, source).Samples
			i++
		}
		for range 12 {
			next()
		}
		if n := testing.AllocsPerRun(50, next); n > 0 || samples < 100 {
			t.Errorf("%s: %v allocations for %d samples", name, n, samples)
		}
	}
}
