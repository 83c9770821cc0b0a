package translate_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
)

// TestNoAllocations checks that a page like the one before costs no memory.
func TestNoAllocations(t *testing.T) {
	for _, p := range pageFiles(t) {
		if p.settings["runtime"] == "" {
			continue // pages with faults say so in a text
		}
		source := translate.NewSource(p.labels)
		var result translate.Result
		var w exposition.Writer
		run := func() {
			w.Reset()
			result.Translate(p.page, p.format, p.plan, source)
			translate.Merge(&w, p.plan.Families(), &result)
		}
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("%s: %v allocations a page", p.name, n)
		}
		if w.Len() == 0 {
			t.Errorf("%s: nothing written", p.name)
		}
	}
}

func TestNilPlanAndSource(t *testing.T) {
	var result translate.Result
	stats := result.Translate([]byte("a 1\n"), translate.Text, nil, nil)
	if stats.Unmapped != 1 || stats.Samples != 0 {
		t.Errorf("without a plan: %+v", stats)
	}
	plan := testMapping(t).Plan("Test", "")
	if stats := result.Translate([]byte("engine:running{a=\"1\"} 1\nengine:tokens 2\n"), translate.Text, plan, nil); stats.Samples != 2 {
		t.Errorf("without a source: %+v", stats)
	}
	var w exposition.Writer
	translate.Merge(&w, plan.Families(), &result)
	wantLines(t, string(w.Bytes()), `gpustack:running{a="1"} 1`, `gpustack:tokens_total 2`)
	var raw translate.Raw
	raw.Collect([]byte("a 1\n"), translate.Text, nil)
	if got := string(mergeRaw(&raw)); got != "a 1\n" {
		t.Errorf("raw without a source: %q", got)
	}
}

// TestManyNamesAndLabelBlocks checks that a page with more names and label blocks than are remembered loses nothing.
func TestManyNamesAndLabelBlocks(t *testing.T) {
	const n = 40_000
	var page bytes.Buffer
	for i := range n {
		fmt.Fprintf(&page, "name%d{a=\"1\"} 1\nengine:running{a=\"%d\"} 1\nengine:latency_seconds_bucket{a=\"%d\",le=\"1\"} 1\n", i, i, i)
	}
	plan := testMapping(t).Plan("Test", "")
	var result translate.Result
	source := translate.NewSource(instanceLabels("1"))
	for range 2 {
		stats := result.Translate(page.Bytes(), translate.Text, plan, source)
		if stats.Samples != 2*n || stats.Unmapped != n || stats.ParseErrors+stats.Duplicates+stats.OverLimit != 0 {
			t.Errorf("stats %+v, want %d samples and %d unmapped lines", stats, 2*n, n)
		}
	}
}

// TestDuplicatesAmongMany repeats every line of a page in another order of labels.
func TestDuplicatesAmongMany(t *testing.T) {
	const n = 5000
	var page bytes.Buffer
	for i := range n {
		fmt.Fprintf(&page, "engine:running{a=\"%d\",b=\"x\"} 1\n", i)
	}
	for i := range n {
		fmt.Fprintf(&page, "engine:running{b=\"x\",a=\"%d\"} 1\n", i)
	}
	var result translate.Result
	stats := result.Translate(page.Bytes(), translate.Text, testMapping(t).Plan("Test", ""), nil)
	if stats.Samples != n || stats.Duplicates != n {
		t.Errorf("stats %+v, want %d samples and as many duplicates", stats, n)
	}
}

func TestControlCharacters(t *testing.T) {
	page := []byte("\x00 0\nengine:running{a=\"\x01\"} 1\nengine:running{a=\"\x00\"} 2\nengine:running\x00 3\n\x7f\nengine:running 4\n")
	compare(t, page, translate.Text, testMapping(t).Plan("Test", ""), nil)
}

func TestLongLine(t *testing.T) {
	page := fmt.Appendf(nil, "engine:running{a=%q} 1\nengine:tokens 2\n", strings.Repeat("x", exposition.MaxLineBytes))
	compare(t, page, translate.Text, testMapping(t).Plan("Test", ""), nil)
}

func TestMaxSamples(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a large page")
	}
	var page bytes.Buffer
	for i := range translate.MaxSamples + 10 {
		fmt.Fprintf(&page, "engine:running{a=\"%d\"} 1\n", i)
	}
	plan := testMapping(t).Plan("Test", "")
	var result translate.Result
	stats := result.Translate(page.Bytes(), translate.Text, plan, nil)
	if stats.Samples != translate.MaxSamples || stats.OverLimit != 10 {
		t.Errorf("%+v, want %d samples and 10 over the limit", stats, translate.MaxSamples)
	}
	// A better native takes the place of the samples that filled the page.
	page.WriteString("engine:usage_old 1\n")
	text := strings.ReplaceAll(page.String(), "engine:running", "engine:usage_old") + "engine:usage 2\n"
	stats = result.Translate([]byte(text), translate.Text, plan, nil)
	if stats.Samples != 1 {
		t.Errorf("%+v, want the one sample of the better native", stats)
	}
	var raw translate.Raw
	if stats := raw.Collect(page.Bytes(), translate.Text, nil); stats.Samples != translate.MaxSamples || stats.OverLimit != 11 {
		t.Errorf("raw: %+v, want %d samples and 11 over the limit", stats, translate.MaxSamples)
	}
}

func TestMaxPageMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes much memory")
	}
	const label = 1 << 20
	source := translate.NewSource([]translate.Label{{Name: "huge", Value: strings.Repeat("x", label)}})
	var page bytes.Buffer
	const lines = translate.MaxPageMemory/label + 10
	for range lines {
		fmt.Fprintf(&page, "engine:latency_seconds_bucket{a=\"%d\",le=\"1\"} 1\n", page.Len())
	}
	var result translate.Result
	stats := result.Translate(page.Bytes(), translate.Text, testMapping(t).Plan("Test", ""), source)
	if stats.OverMemory == 0 || stats.Samples+stats.OverMemory != lines {
		t.Errorf("%+v of %d lines", stats, lines)
	}
	var raw translate.Raw
	if stats := raw.Collect(page.Bytes(), translate.Text, source); stats.OverMemory == 0 || stats.Samples+stats.OverMemory != lines {
		t.Errorf("raw: %+v of %d lines", stats, lines)
	}
}

func TestRawManyNames(t *testing.T) {
	var page bytes.Buffer
	const names = 21_000
	for i := range names {
		fmt.Fprintf(&page, "# TYPE n%d gauge\nn%d 1\n", i, i)
	}
	var raw translate.Raw
	stats := raw.Collect(page.Bytes(), translate.Text, nil)
	if stats.OverLimit != 1000 || stats.Samples != 20_000 || stats.Families != 20_000 {
		t.Errorf("%+v", stats)
	}
}

// TestTypeChangesBetweenScrapes checks that nothing of an earlier page's form sticks.
func TestTypeChangesBetweenScrapes(t *testing.T) {
	plan := testMapping(t).Plan("Test", "")
	source := translate.NewSource(instanceLabels("1"))
	var result translate.Result
	gauge := []byte("# TYPE engine:latency_seconds gauge\nengine:latency_seconds{a=\"1\"} 3\n")
	histogram := []byte("# TYPE engine:latency_seconds histogram\nengine:latency_seconds_bucket{a=\"1\",le=\"+Inf\"} 1\nengine:latency_seconds_sum{a=\"1\"} 3\n")
	for range 2 {
		if stats := result.Translate(gauge, translate.Text, plan, source); stats.Samples != 0 || stats.TypeConflicts != 1 {
			t.Errorf("gauge: %+v", stats)
		}
		if stats := result.Translate(histogram, translate.Text, plan, source); stats.Samples != 2 || stats.TypeConflicts != 0 {
			t.Errorf("histogram: %+v", stats)
		}
	}
}

// TestResultGivesMemoryBack checks that one large page does not stay for ever.
func TestResultGivesMemoryBack(t *testing.T) {
	var page bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&page, "engine:running{a=\"%d\"} 1\n", i)
	}
	plan := testMapping(t).Plan("Test", "")
	source := translate.NewSource(instanceLabels("1"))
	var result translate.Result
	small := []byte("engine:running{a=\"1\"} 1\n")
	for _, p := range [][]byte{page.Bytes(), small, small} {
		result.Translate(p, translate.Text, plan, source)
	}
	if got := translate.OutputCapacity(&result); got > 2<<20 {
		t.Errorf("%d bytes are held for a page of %d", got, len(small))
	}
}

// TestMemoryIsAskedFor checks that a page takes no more than it is granted, keeps what it was granted for the next page and
// gives it back when it is told to.
func TestMemoryIsAskedFor(t *testing.T) {
	var page bytes.Buffer
	const lines = 100_000
	for i := range lines {
		fmt.Fprintf(&page, "engine:running{a=\"%d\"} 1\n", i)
	}
	plan, source := testMapping(t).Plan("Test", ""), translate.NewSource(instanceLabels("1"))
	for _, size := range []int64{0, 4 << 20, 256 << 20} {
		pool := budget.NewPool(size)
		result := translate.Result{Memory: pool}
		for range 3 {
			stats := result.Translate(page.Bytes(), translate.Text, plan, source)
			if cut := stats.OverMemory > 0; cut != (size < 256<<20) || stats.Samples+stats.OverMemory != lines || stats.Samples < 5000 {
				t.Errorf("of a budget of %d: %+v", size, stats)
			}
		}
		taken := size - pool.Free()
		if int64(result.Granted()) != taken || (taken > 0) != (size > 0) {
			t.Errorf("of a budget of %d the result took %d and says %d", size, taken, result.Granted())
		}
		if result.Trim(); result.Granted() != 0 || pool.Free() != size {
			t.Errorf("of a budget of %d %d are free after all was given back", size, pool.Free())
		}
		raw := translate.Raw{Memory: pool}
		if stats := raw.Collect(page.Bytes(), translate.Text, source); stats.Samples+stats.OverMemory != lines || pool.Free() < 0 {
			t.Errorf("raw, of a budget of %d: %+v", size, stats)
		}
		if raw.Trim(); raw.Granted() != 0 || pool.Free() != size {
			t.Errorf("raw: of a budget of %d %d are free after all was given back", size, pool.Free())
		}
		// A small page needs nothing of it.
		empty := budget.NewPool(0)
		empty.OnShortage(func() { t.Error("asked for more") })
		small := translate.Result{Memory: empty}
		for range 3 {
			if stats := small.Translate([]byte("engine:running{a=\"1\"} 1\n"), translate.Text, plan, source); stats.Samples != 1 {
				t.Errorf("%+v", stats)
			}
		}
	}
}

// TestMemoryIsUsedAgain checks that what a page no longer needs serves the rest of the page: nearly all of the memory ends
// up in lines.
func TestMemoryIsUsedAgain(t *testing.T) {
	plan := testMapping(t).Plan("Test", "")
	empty := budget.NewPool(0)
	const own, remembered = 2 << 20, 32
	t.Run("of label blocks", func(t *testing.T) {
		var page bytes.Buffer
		const lines = 100_000
		for i := range lines {
			fmt.Fprintf(&page, "engine:running{a=\"%05d\"} 1\n", i)
		}
		line := len("gpustack:running{a=\"00000\"} 1\n")
		least := own / (line + remembered) * 9 / 10
		result := translate.Result{Memory: empty}
		for range 3 {
			stats := result.Translate(page.Bytes(), translate.Text, plan, nil)
			if stats.Samples < least || stats.Samples+stats.OverMemory != lines {
				t.Errorf("%+v, want at least %d samples", stats, least)
			}
		}
		for range 3 { // a page whose lines alone fit
			native := len("engine:running{a=\"00000\"} 1\n")
			if stats := result.Translate(page.Bytes()[:native*least], translate.Text, plan, nil); stats.Samples != least || stats.OverMemory > 0 {
				t.Errorf("%+v, want %d samples", stats, least)
			}
		}
	})
	t.Run("of a native that another one replaces", func(t *testing.T) {
		var page bytes.Buffer
		const lines = 20_000
		for _, native := range []string{"engine:usage_old", "engine:usage"} {
			for i := range lines {
				fmt.Fprintf(&page, "%s{a=\"%05d\"} 1\n", native, i)
			}
		}
		result := translate.Result{Memory: empty}
		for range 3 {
			if stats := result.Translate(page.Bytes(), translate.Text, plan, nil); stats.Samples != lines || stats.OverMemory > 0 {
				t.Errorf("%+v, want %d samples of the better native", stats, lines)
			}
		}
	})
	t.Run("of users beyond the limit", func(t *testing.T) {
		const many = 20_000
		users := userPlan(t)
		result := translate.Result{Memory: empty, Users: translate.NewUsers(0, nil)}
		for range 3 {
			stats := result.Translate(usersPage(many, 1), translate.Text, users, nil)
			if want := fmt.Sprintf("user=\"other\"} %d\n", many*(many+1)/2); stats.OverMemory > 0 || !strings.Contains(unified(users, &result), want) {
				t.Errorf("%+v, want %s in\n%s", stats, want, unified(users, &result))
			}
		}
	})
	t.Run("of duplicates of a native page", func(t *testing.T) {
		page := strings.Repeat("a{b=\"1\"} 1\n", 100_000) + "c 2\n"
		raw := translate.Raw{Memory: empty}
		for range 3 {
			if stats := raw.Collect([]byte(page), translate.Text, nil); stats.Samples != 2 || stats.OverMemory > 0 {
				t.Errorf("%+v, want 2 samples", stats)
			}
		}
	})
}
