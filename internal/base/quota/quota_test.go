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

// record keeps what was told, with the time since its beginning.
type record struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
}

func (r *record) tell(key string, shared bool, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if shared {
		key = "others"
	}
	r.lines = append(r.lines, fmt.Sprintf("%s %s %d", time.Since(r.begun), key, refused))
}

func (r *record) want(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.lines, lines) {
		t.Errorf("told: %q, want %q", r.lines, lines)
	}
}

func newQuota(maxKeys int, noShare bool) (*quota.Quota[string], *record) {
	r := &record{begun: time.Now()}
	return quota.New(quota.Options[string]{Allowed: 20, Period: time.Minute, MaxKeys: maxKeys, NoShare: noShare, Tell: r.tell}), r
}

// take takes n times and returns how many were too many.
func take(q *quota.Quota[string], key string, n int) (refused int) {
	for range n {
		if q.Take(key) > 0 {
			refused++
		}
	}
	return refused
}

func TestTheTwentyFirstWithinAMinuteIsTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, told := newQuota(10, false)
		if n := take(q, "a", 19); n != 0 || q.Wait("a") != 0 {
			t.Errorf("%d of 19 are too many; wait %s", n, q.Wait("a"))
		}
		time.Sleep(10 * time.Second)
		if wait := q.Take("a"); wait != 0 || q.Wait("a") != 50*time.Second {
			t.Errorf("the 20th waits %s, another would wait %s", wait, q.Wait("a"))
		}
		told.want(t)
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

// Whoever goes on is told once a minute, with how many there were since; so is the rest of who stops.
func TestTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, told := newQuota(10, false)
		take(q, "a", 21)
		told.want(t, "0s a 1")
		time.Sleep(time.Second)
		take(q, "a", 1000)
		told.want(t, "0s a 1")
		time.Sleep(time.Minute)
		told.want(t, "0s a 1", "1m0s a 1000")
		take(q, "a", 30) // a minute after the first, a second after it was told
		told.want(t, "0s a 1", "1m0s a 1000")
		time.Sleep(time.Hour)
		told.want(t, "0s a 1", "1m0s a 1000", "2m0s a 10")
		take(q, "a", 22)
		time.Sleep(time.Hour)
		told.want(t, "0s a 1", "1m0s a 1000", "2m0s a 10", "1h1m1s a 1", "1h2m1s a 1")
	})
}

func TestStrangersShareWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, told := newQuota(2, false)
		take(q, "a", 1)
		time.Sleep(30 * time.Second)
		take(q, "b", 1)
		refused := 0
		for n := range 1000 {
			refused += take(q, fmt.Sprint("stranger ", n), 1)
		}
		if q.Len() != 2 || refused != 980 {
			t.Errorf("%d are counted apart, and %d of 1000 strangers were refused", q.Len(), refused)
		}
		told.want(t, "30s others 1")
		if n := take(q, "a", 19); n != 0 {
			t.Errorf("one that is known is refused %d times", n)
		}
		// The one whose minute is over makes room, the other doesn't.
		time.Sleep(30 * time.Second)
		if n := take(q, "c", 21); n != 1 || q.Len() != 2 {
			t.Errorf("a new one was refused %d times; %d are counted apart", n, q.Len())
		}
		if n := take(q, "b", 20); n != 1 {
			t.Errorf("the other one was forgotten")
		}
		// Those that count as one have a new minute too.
		time.Sleep(29 * time.Second)
		if n := take(q, "d", 21); n != 21 {
			t.Errorf("%d of 21 are too many", n)
		}
		time.Sleep(time.Second)
		if n := take(q, "e", 20); n != 0 {
			t.Errorf("%d of 20 are too many", n)
		}
	})
}

// Who goes on is not in the way of forgetting who doesn't.
func TestTheOneThatStoppedIsForgotten(t *testing.T) {
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
			t.Error("the one that went on is forgotten, or the new one isn't counted apart")
		}
	})
}

func TestStrangersThatAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, told := newQuota(1, true)
		take(q, "a", 1)
		if n := take(q, "b", 1000); n != 0 || q.Len() != 1 {
			t.Errorf("%d were refused; %d are counted", n, q.Len())
		}
		if n := take(q, "a", 20); n != 1 {
			t.Errorf("one that is known was refused %d times", n)
		}
		told.want(t, "0s a 1")
	})
}

func TestTakingAllocatesNothing(t *testing.T) {
	q, _ := newQuota(1, false)
	q.Take("a")
	if n := testing.AllocsPerRun(100, func() { q.Take("a"); q.Take("b"); q.Wait("a") }); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}

func TestAllAtOnce(t *testing.T) {
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
		t.Errorf("%d are counted apart", q.Len())
	}
}
