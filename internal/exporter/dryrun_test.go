package exporter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

const proposal = `{"gpustack_metrics":{"gpustack:mine":{"type":"gauge","description":"Mine."},"gpustack:prompt_tokens":{"type":"counter","description":"Tokens."}},
"runtime_mapping":{"vLLM":{"*":{"vllm:num_requests_running":"gpustack:mine","vllm:prompt_tokens":"gpustack:prompt_tokens"}}}}`

func compileProposal(t *testing.T) *mapping.Compiled {
	t.Helper()
	doc, err := mapping.Decode([]byte(proposal))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestDryRun(t *testing.T) {
	a, b := newEngine("a"), newEngine("b")
	b.set("", errors.New("down"))
	e, _ := newExporter(t, a, b)
	page := get(t, e.Handler(), "/metrics")
	results, generation, err := e.DryRun(t.Context(), compileProposal(t), time.Now().Add(time.Minute))
	if err != nil || generation != 4 || len(results) != 2 {
		t.Fatalf("%d results of generation %d: %v", len(results), generation, err)
	}
	labels := "{" + cluster + worker + "," + fmt.Sprintf(instance, "a") + `,engine="0"`
	want := translate.Difference{
		Added: 1, Removed: 1,
		Families: []translate.FamilyDifference{
			{Name: "gpustack:mine", Added: 1},
			{Name: "gpustack:num_requests_running", Removed: 1},
			{Name: "gpustack:prompt_tokens_total"},
		},
		Series: []translate.SeriesDifference{
			{Series: "gpustack:mine" + labels + "}", After: "3.0"},
			{Series: "gpustack:num_requests_running" + labels + "}", Before: "3.0"},
		},
	}
	got := results[0].Difference
	got.Families[2].HelpBefore, got.Families[2].HelpAfter = "", ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
	if !strings.Contains(page, got.Series[1].Series+" 3.0\n") {
		t.Errorf("%s is not on the page", got.Series[1].Series)
	}
	if p := results[0].Before; p != (DryRunPage{Fed: 2, Countable: 28, Series: 2}) {
		t.Errorf("before: %+v", p)
	}
	if p := results[0].After; p != (DryRunPage{Fed: 1, Countable: 1, Series: 2}) {
		t.Errorf("after: %+v", p)
	}
	if results[1].Err == nil || results[1].Instance.Name != "b" || !cmp.Equal(results[1].Difference, translate.Difference{}) {
		t.Errorf("an engine that is down: %+v", results[1])
	}
	if a.fetches.Load() != 2 || a.released.Load() != 2 {
		t.Errorf("%d fetches, %d pages given back, want 2 each: one of the scrape, one of the dry run", a.fetches.Load(), a.released.Load())
	}
	if again := get(t, e.Handler(), "/metrics"); !cmp.Equal(series(page, "gpustack:runtime"), series(again, "gpustack:runtime")) {
		t.Errorf("a dry run changed the page:\n%s\n%s", page, again)
	}
}

// Trials and scrapes that overlap have one fetch among them.
func TestDryRunSharesTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = time.Second
		e, _ := newExporter(t, a)
		proposed := compileProposal(t)
		var wg sync.WaitGroup
		wg.Go(func() { get(t, e.Handler(), "/metrics") })
		for range 8 {
			wg.Go(func() {
				results, _, err := e.DryRun(t.Context(), proposed, time.Now().Add(2*time.Second))
				if err != nil || results[0].Err != nil || results[0].Difference.Added != 1 || results[0].Difference.Removed != 1 {
					t.Errorf("%+v, %v", results, err)
				}
			})
		}
		wg.Wait()
		if n := a.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestDryRunIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, good := newEngine("hung"), newEngine("good")
		hung.delay = time.Hour
		e, _ := newExporter(t, hung, good)
		began := time.Now()
		results, _, err := e.DryRun(t.Context(), compileProposal(t), time.Now().Add(3*time.Second))
		if took := time.Since(began); err != nil || took != 3*time.Second {
			t.Errorf("it took %s: %v", took, err)
		}
		if results[0].Err == nil || results[1].Err != nil || results[1].Difference.Added != 1 {
			t.Errorf("%+v", results)
		}
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		began = time.Now()
		if _, _, err := e.DryRun(ctx, compileProposal(t), time.Now().Add(time.Minute)); !errors.Is(err, stop) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		time.Sleep(time.Minute) // what was begun ends at its deadline
	})
}

// A dry run's page counts as any page does, once, whoever else has it.
func TestDryRunCountsItsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = time.Second
		a.set(vllmPage+"vllm:num_requests_running x\n", nil)
		e, log := newExporter(t, a)
		errorsOf := func() string {
			lines := series(get(t, e.Handler(), "/metrics"), "gpustack:runtime_parse_errors_total")
			return lines[0][strings.LastIndexByte(lines[0], ' ')+1:]
		}
		try := func() {
			results, _, err := e.DryRun(t.Context(), compileProposal(t), time.Now().Add(time.Minute))
			if err != nil || results[0].Err != nil || results[0].Before.ParseErrors != 1 || results[0].After.ParseErrors != 1 {
				t.Errorf("%+v, %v", results, err)
			}
		}
		try()
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
		if got := errorsOf(); got != "2" {
			t.Errorf("%s errors after a dry run and a scrape, want 2", got)
		}
		var wg sync.WaitGroup
		wg.Go(try)
		wg.Go(try)
		wg.Go(func() {
			if got := errorsOf(); got != "3" {
				t.Errorf("%s errors after a page more, want 3", got)
			}
		})
		wg.Wait()
	})
}

// brokenEngine is one whose page is faulty and that panics when it is asked for its name in order to log that.
type brokenEngine struct {
	*fakeEngine
	asked atomic.Int32
}

func (b *brokenEngine) Instance() Instance {
	if b.asked.Add(1) > 1 {
		panic("a fault of ours")
	}
	return b.fakeEngine.Instance()
}

// What fails in a dry run costs the others nothing, however many of them fail.
func TestDryRunSurvivesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var engines []Engine
		for i := range maxDryRunTranslations + 2 {
			b := &brokenEngine{fakeEngine: newEngine(fmt.Sprint("broken-", i))}
			b.set(vllmPage+"vllm:num_requests_running x\n", nil)
			engines = append(engines, b)
		}
		engines = append(engines, newEngine("good"))
		e, log := newExporter(t, engines...)
		results, _, err := e.DryRun(t.Context(), compileProposal(t), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for i := range results {
			name := engines[i].(interface{ name() string }).name()
			if failed := results[i].Err != nil; failed != strings.HasPrefix(name, "broken") || results[i].Instance.Name != name {
				t.Errorf("%s: %+v", name, results[i])
			}
			if f, r := engines[i].(interface{ pages() (int32, int32) }).pages(); f != 1 || r != 1 {
				t.Errorf("%s: %d fetches, %d pages given back", name, f, r)
			}
		}
		if n := strings.Count(log.String(), "dry run: the engine's page could not be translated"); n != maxDryRunTranslations+2 {
			t.Errorf("logged %d times:\n%s", n, log)
		}
	})
}

func (f *fakeEngine) name() string { return f.instance.Name }

func (f *fakeEngine) pages() (fetched, released int32) { return f.fetches.Load(), f.released.Load() }
