package quota_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/base/quota"
)

// record keeps the reports with the time since its beginning.
type record struct {
	mu          sync.Mutex
	periodStart time.Time
	lines       []string
}

func (r *record) report(key string, overflow bool, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if overflow {
		key = "others"
	}
	r.lines = append(r.lines, fmt.Sprintf("%s %s %d", time.Since(r.periodStart), key, refused))
}

func (r *record) want(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.lines, lines) {
		t.Errorf("reports: %q, want %q", r.lines, lines)
	}
}

func newQuota(maxKeys int, ignoreRest bool) (*quota.Quota[string], *record) {
	r := &record{periodStart: time.Now()}
	return quota.New(quota.Options[string]{Allowed: 20, Period: time.Minute, MaxKeys: maxKeys, IgnoreRest: ignoreRest, OnRefused: r.report}), r
}

// take calls Take n times and returns how often it was refused.
func take(q *quota.Quota[string], key string, n int) (refused int) {
	for range n {
		if q.Take(key) > 0 {
			refused++
		}
	}
	return refused
}

func TestTwentyFirstWithinAMinuteIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, reportedAt := newQuota(10, false)
		if n := take(q, "a", 19); n != 0 || q.Wait("a") != 0 {
			t.Errorf("%d of 19 are refused; wait %s", n, q.Wait("a"))
		}
		time.Sleep(10 * time.Second)
		if wait := q.Take("a"); wait != 0 || q.Wait("a") != 50*time.Second {
			t.Errorf("the 20th waits %s, another would wait %s", wait, q.Wait("a"))
		}
		reportedAt.want(t)
		if wait := q.Take("a"); wait != 50*time.Second {
			t.Errorf("the 21st after 10 s waits %s", wait)
		}
		if n := take(q, "b", 20); n != 0 {
			t.Errorf("another is refused %d times", n)
		}
		time.Sleep(50 * time.Second)
		if q.Wait("a") != 0 || take(q, "a", 21) != 1 {
			t.Error("the next minute isn't like the first")
		}
	})
}

// The refusals of a key are reported at once, and then once a minute with their number since. The last ones are reported, too.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, reportedAt := newQuota(10, false)
		take(q, "a", 21)
		reportedAt.want(t, "0s a 1")
		time.Sleep(time.Second)
		take(q, "a", 1000)
		reportedAt.want(t, "0s a 1")
		time.Sleep(time.Minute)
		reportedAt.want(t, "0s a 1", "1m0s a 1000")
		take(q, "a", 30) // a minute after the first, a second after the last report
		reportedAt.want(t, "0s a 1", "1m0s a 1000")
		time.Sleep(time.Hour)
		reportedAt.want(t, "0s a 1", "1m0s a 1000", "2m0s a 10")
		take(q, "a", 22)
		time.Sleep(time.Hour)
		reportedAt.want(t, "0s a 1", "1m0s a 1000", "2m0s a 10", "1h1m1s a 1", "1h2m1s a 1")
	})
}

func TestKeysBeyondMaxKeysShareOneCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, reportedAt := newQuota(2, false)
		take(q, "a", 1)
		time.Sleep(30 * time.Second)
		take(q, "b", 1)
		refused := 0
		for n := range 1000 {
			refused += take(q, fmt.Sprint("new ", n), 1)
		}
		if q.Len() != 2 || refused != 980 {
			t.Errorf("%d are counted separately, and %d of 1000 new keys were refused", q.Len(), refused)
		}
		reportedAt.want(t, "30s others 1")
		if n := take(q, "a", 19); n != 0 {
			t.Errorf("a key that has its own count is refused %d times", n)
		}
		// A key whose period is over is replaced. The other key is not.
		time.Sleep(30 * time.Second)
		if n := take(q, "c", 21); n != 1 || q.Len() != 2 {
			t.Errorf("a new key was refused %d times; %d are counted separately", n, q.Len())
		}
		if n := take(q, "b", 20); n != 1 {
			t.Errorf("the other key was removed")
		}
		// The shared count starts a new period, too.
		time.Sleep(29 * time.Second)
		if n := take(q, "d", 21); n != 21 {
			t.Errorf("%d of 21 are refused", n)
		}
		time.Sleep(time.Second)
		if n := take(q, "e", 20); n != 0 {
			t.Errorf("%d of 20 are refused", n)
		}
	})
}

// An active key does not keep an inactive one from being replaced.
func TestInactiveKeyIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := newQuota(2, false)
		take(q, "a", 1)
		time.Sleep(10 * time.Second)
		take(q, "b", 20)
		time.Sleep(51 * time.Second)
		take(q, "a", 20)
		time.Sleep(10 * time.Second)
		take(q, "c", 20)
		if take(q, "c", 1) != 1 || q.Wait("a") == 0 || q.Wait("c") == 0 {
			t.Error("the active key was removed, or the new key isn't counted separately")
		}
	})
}

func TestIgnoredKeysAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, reportedAt := newQuota(1, true)
		take(q, "a", 1)
		if n := take(q, "b", 1000); n != 0 || q.Len() != 1 {
			t.Errorf("%d were refused; %d are counted", n, q.Len())
		}
		if n := take(q, "a", 20); n != 1 {
			t.Errorf("the counted key was refused %d times", n)
		}
		reportedAt.want(t, "0s a 1")
	})
}

func TestTakeAllocatesNothing(t *testing.T) {
	q, _ := newQuota(1, false)
	q.Take("a")
	if n := testing.AllocsPerRun(100, func() { q.Take("a"); q.Take("b"); q.Wait("a") }); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	q, _ := newQuota(50, false)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				key := fmt.Sprint((n + i) % 100)
				q.Take(key)
				q.Wait(key)
			}
		})
	}
	wg.Wait()
	if q.Len() > 50 {
		t.Errorf("%d are counted separately", q.Len())
	}
}
