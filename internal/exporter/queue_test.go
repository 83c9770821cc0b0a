package exporter

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever the scraper's time, the page goes out while a fifth of it is left, with all that other engines have.
func TestPageGoesOutInTime(t *testing.T) {
	for header, limit := range map[string]time.Duration{"0.01": 10 * time.Millisecond, "1e-9": time.Nanosecond, "0.3": 300 * time.Millisecond, "1": time.Second, "10": 10 * time.Second, "29": 29 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			engines := []Engine{newEngine("good")}
			for range 64 {
				hung := newEngine("hung")
				hung.delay = time.Hour
				engines = append(engines, hung)
			}
			e, _ := newExporter(t, engines...)
			for _, path := range []string{"/metrics", "/metrics/raw", "/metrics/raw?unmapped=1"} {
				start := time.Now()
				page := get(t, e.Handler(), path, timeoutHeader, header)
				if took := time.Since(start); took > limit*8/10 {
					t.Errorf("%s of %s took %s", path, header, took)
				}
				if limit > time.Millisecond && path == "/metrics" && len(series(page, "gpustack:num_requests_running{")) != 1 {
					t.Errorf("%s of %s: the good engine is not there", path, header)
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// A scrape with little time does not end the fetch that it began: an engine that needs longer is not taken for dead, and the
// next scrape has the page.
func TestScrapeWithLittleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEngine("a")
		a.delay = time.Second
		e, _ := newExporter(t, a)
		if page := get(t, e.Handler(), "/metrics", timeoutHeader, "0.01"); len(series(page, "gpustack:num_")) != 0 {
			t.Error("the page was there at once")
		}
		if page := get(t, e.Handler(), "/metrics", timeoutHeader, "5"); len(series(page, "gpustack:num_")) != 1 || a.fetches.Load() != 1 {
			t.Errorf("%d fetches, and the page has %q", a.fetches.Load(), series(page, "gpustack:num_"))
		}
	})
}

// Large pages are translated one after the other, smaller ones first, and usual ones do not wait for them.
func TestTranslationQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &translationQueue{free: 1}
		start := time.Now()
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		for i, c := range []struct {
			name string
			size int
			left time.Duration
		}{
			{"first", 16 << 20, time.Minute}, {"huge", 16 << 20, 10 * time.Second}, {"large", 2 << 20, time.Minute}, {"usual", 100 << 10, time.Minute}, {"late", 3 << 20, 1500 * time.Millisecond},
		} {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				done, err := q.acquire(c.size, start.Add(c.left))
				mu.Lock()
				if err != nil {
					if !errors.Is(err, errQueueTimeout) || time.Since(start) != c.left {
						t.Errorf("%s: %v after %s", c.name, err, time.Since(start))
					}
					order = append(order, "no "+c.name)
				} else {
					order = append(order, c.name)
				}
				mu.Unlock()
				if err == nil {
					time.Sleep(time.Second)
					done()
				}
			})
		}
		wg.Wait()
		if got := strings.Join(order, ", "); got != "first, usual, large, no late, huge" {
			t.Errorf("the order was %s", got)
		}
		if q.free != 1 || len(q.waiting) != 0 {
			t.Errorf("%d slots are free and %d wait", q.free, len(q.waiting))
		}
	})
}

// A large page that is not translated in time is left out of the scrape, and its memory is given back.
func TestScrapeWithoutASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newEngine("a"), newEngine("b")
		a.set(vllmPage+strings.Repeat("# nothing\n", smallPageBytes/10), nil)
		e, _ := newExporter(t, a, b)
		e.queue = &translationQueue{}
		start := time.Now()
		page := get(t, e.Handler(), "/metrics", timeoutHeader, "10")
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("it took %s", took)
		}
		if got := series(page, "gpustack:num_"); len(got) != 1 || !strings.Contains(got[0], `model_instance_name="b"`) {
			t.Errorf("the page has %q", got)
		}
		if success := strings.Join(series(page, "gpustack:runtime_scrape_success"), "\n"); strings.Count(success, "} 1") != 1 {
			t.Errorf("got %s", success)
		}
		synctest.Wait()
		if a.released.Load() != 1 {
			t.Errorf("the page was given back %d times", a.released.Load())
		}
		e.queue.release()
		if got := series(get(t, e.Handler(), "/metrics"), "gpustack:num_"); len(got) != 2 {
			t.Errorf("the next page has %q", got)
		}
	})
}
