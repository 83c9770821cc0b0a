package bench

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestRatios measures all ways in turns, so that whatever else the machine does hits them alike, by the processor time that
// they take. What counts is the median of the ratios of all rounds.
func TestRatios(t *testing.T) {
	if os.Getenv("STACKSCOPE_BENCH") == "" {
		t.Skip("measures speed, which a busy machine spoils: set STACKSCOPE_BENCH=1 or run make bench")
	}
	const rounds = 21
	m := compiled(t)
	for _, p := range pages {
		pages := Pages(p.ranks, p.created)
		translators := make([]Translator, len(ways))
		for i, w := range ways {
			translators[i] = w.make(m)
			run(t, translators[i], pages, len(pages))
		}
		rates, ratios := map[string][]float64{}, map[string][]float64{}
		for range rounds {
			var ours float64
			for i, w := range ways {
				n := len(pages)
				if w.name == nameOurs || w.name == nameVictoria {
					n = max(len(pages), 8<<20/len(pages[0]))
				}
				rate := float64(n) * float64(len(pages[0])) / run(t, translators[i], pages, n).Seconds() / 1e6
				if w.name == nameOurs {
					ours = rate
				}
				rates[w.name] = append(rates[w.name], rate)
				ratios[w.name] = append(ratios[w.name], ours/rate)
			}
		}
		t.Logf("%s (%d bytes): ours %.0f MB/s", p.name, len(pages[0]), median(rates[nameOurs]))
		for _, w := range ways[1:] {
			t.Logf("  %-15s %4.0f MB/s, ours is %.1f times as fast", w.name, median(rates[w.name]), median(ratios[w.name]))
		}
		if r := median(ratios[nameVictoria]); r < p.victoria {
			t.Errorf("%s: %.2f times VictoriaMetrics' speed, want at least %.0f", p.name, r, p.victoria)
		}
		if r := median(ratios[nameExpfmt]); r < p.expfmt {
			t.Errorf("%s: %.1f times expfmt's speed, want at least %.0f", p.name, r, p.expfmt)
		}
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// run translates n pages and returns the processor time of it.
func run(t *testing.T, way Translator, pages [][]byte, n int) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime(t)
	for i := range n {
		if _, err := way.Translate(pages[i%len(pages)]); err != nil {
			t.Fatal(err)
		}
	}
	return max(threadTime(t)-start, time.Microsecond)
}
