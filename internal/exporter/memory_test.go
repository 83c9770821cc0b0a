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

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/translate"
)

// largePage is a page for smallMapping that needs more memory than translate.OwnMemory.
func largePage(value int) string {
	var b strings.Builder
	for i := range 25_000 {
		fmt.Fprintf(&b, "e:a{number=\"%05d\"} %d\n", i, value)
	}
	return b.String()
}

// grantedFor returns how much memory a page takes from the shared pool.
func grantedFor(t *testing.T, m *fakeMapping, runtime, page string) int64 {
	t.Helper()
	var r translate.Result
	r.Translate([]byte(page), translate.Text, m.compiled.Plan(runtime, ""), nil)
	if r.Granted() == 0 {
		t.Fatal("the page is not large")
	}
	return int64(r.Granted())
}

// usage is an exporter with one engine, which leave removes.
type usage struct {
	t     *testing.T
	e     *Exporter
	a     *fakeEngine
	leave func()
}

// Whatever happens to an engine with a large page, all of the shared memory is free afterwards.
func TestMemoryIsWholeAgain(t *testing.T) {
	need := grantedFor(t, small(t), "vLLM", largePage(1))
	for what, use := range map[string]func(u usage){
		"the engine stays": func(u usage) {
			get(u.t, u.e.Handler(), "/metrics")
		},
		"it goes between scrapes": func(u usage) {
			get(u.t, u.e.Handler(), "/metrics")
			u.leave()
			get(u.t, u.e.Handler(), "/metrics")
		},
		"it goes while its page comes": func(u usage) {
			time.AfterFunc(500*time.Millisecond, func() { u.leave(); get(u.t, u.e.Handler(), "/metrics") })
			if page := get(u.t, u.e.Handler(), "/metrics"); len(series(page, "gpustack:a{")) != 25_000 {
				u.t.Error("its last page is not whole")
			}
		},
		"it goes while its native metrics come": func(u usage) {
			time.AfterFunc(500*time.Millisecond, func() { u.leave(); get(u.t, u.e.Handler(), "/metrics") })
			get(u.t, u.e.Handler(), "/metrics/raw")
		},
		"more pages at a time than wait for the next": func(u usage) {
			var wg sync.WaitGroup
			for i := range maxSpareResults + 2 {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					get(u.t, u.e.Handler(), "/metrics")
				})
			}
			wg.Wait()
		},
		"native metrics of all kinds": func(u usage) {
			var wg sync.WaitGroup
			for _, path := range []string{"/metrics/raw", "/metrics/raw?unmapped=1", "/metrics/raw?cluster_labels=target", "/metrics"} {
				wg.Go(func() { get(u.t, u.e.Handler(), path) })
			}
			wg.Wait()
		},
		"a dry run": func(u usage) {
			if _, _, err := u.e.DryRun(u.t.Context(), small(u.t).compiled, time.Now().Add(time.Minute)); err != nil {
				u.t.Error(err)
			}
		},
		"a dry run that nobody waits for": func(u usage) {
			ctx, cancel := context.WithCancel(u.t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			if _, _, err := u.e.DryRun(ctx, small(u.t).compiled, time.Now().Add(time.Minute)); err == nil {
				u.t.Error("it did not end")
			}
			time.Sleep(time.Minute)
		},
		"pages that fail": func(u usage) {
			get(u.t, u.e.Handler(), "/metrics")
			u.a.set("", errors.New("down"))
			get(u.t, u.e.Handler(), "/metrics")
		},
		"pages that do not come in time": func(u usage) {
			get(u.t, u.e.Handler(), "/metrics")
			u.a.delay = time.Hour
			get(u.t, u.e.Handler(), "/metrics")
			get(u.t, u.e.Handler(), "/metrics/raw")
			time.Sleep(time.Minute)
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newEngine("a")
				a.delay = time.Second
				a.set(largePage(1), nil)
				var mu sync.Mutex
				engines := []Engine{a}
				all := (maxSpareResults + 2) * need
				var scrapes atomic.Int32
				e, err := New(Options{
					Engines: func() []Engine {
						mu.Lock()
						defer mu.Unlock()
						return engines
					},
					Mapping: small(t), Memory: budget.NewPool(all),
					Identity: func() Identity { return Identity{WorkerName: fmt.Sprint("node-", scrapes.Add(1))} }, // no two share a translation
				})
				if err != nil {
					t.Fatal(err)
				}
				use(usage{t, e, a, func() {
					mu.Lock()
					defer mu.Unlock()
					engines = nil
				}})
				synctest.Wait()
				if !e.memory.TryTake(all) {
					t.Errorf("%d bytes of %d are lost", all-e.memory.Free(), all)
				}
				if e.memory.TryTake(1) {
					t.Error("more was given back than was taken")
				}
			})
		})
	}
}

// What is kept for an engine's next scrape is given back for another's large page, and the first engine's page is as before.
func TestKeptResultsAreReclaimed(t *testing.T) {
	a, b := newEngine("a"), newEngine("b")
	e, err := New(Options{
		Engines: func() []Engine { return []Engine{a, b} }, Mapping: small(t), Identity: func() Identity { return Identity{} },
		Memory: budget.NewPool(grantedFor(t, small(t), "vLLM", largePage(1))),
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		large, down := a, b
		if n%2 == 1 {
			large, down = b, a
		}
		large.set(largePage(n), nil)
		down.set("", errors.New("down"))
		page := get(t, e.Handler(), "/metrics")
		if got := series(page, "gpustack:a{"); len(got) != 25_000 || !strings.HasSuffix(got[0], fmt.Sprint("} ", n)) {
			t.Errorf("page %d has %d series", n, len(got))
		}
		for _, line := range series(page, "gpustack:runtime_dropped_samples_total{") {
			if !strings.HasSuffix(line, " 0") {
				t.Errorf("page %d: %s", n, line)
			}
		}
	}
}
