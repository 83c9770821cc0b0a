package exporter

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fetch that fails by itself is not tried again, neither for the scrape that began it nor for those that joined.
func TestFailedFetchIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = 100 * time.Millisecond
		a.set("", errors.New("down"))
		e, _ := newExporter(t, a)
		h := e.Handler()
		began := time.Now()
		var wg sync.WaitGroup
		for i, path := range []string{"/metrics", "/metrics", "/metrics?cluster_labels=target", "/metrics/raw"} {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				page := get(t, h, path, timeoutHeader, "10")
				if took := time.Since(began); took != 100*time.Millisecond {
					t.Errorf("%s took %s", path, took)
				}
				if !strings.HasPrefix(path, "/metrics/raw") && !strings.Contains(page, `model_instance_name="a",runtime="vLLM"} 0`) {
					t.Errorf("%s does not say that the scrape failed", path)
				}
			})
		}
		wg.Go(func() {
			results, _, err := e.DryRun(t.Context(), compileProposal(t), began.Add(time.Minute))
			if err != nil || results[0].Err == nil {
				t.Errorf("%+v, %v", results, err)
			}
		})
		wg.Wait()
		if n := a.fetches.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
		a.set(vllmPage, nil)
		if got := series(get(t, h, "/metrics"), "gpustack:num_"); len(got) != 1 || a.fetches.Load() != 2 {
			t.Errorf("the next scrape got %q with %d fetches in all", got, a.fetches.Load())
		}
	})
}
