package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// whole checks that nobody holds or waits for anything.
func whole(t *testing.T, p *Pool) {
	t.Helper()
	if p.Free() != p.Size() || p.holders != 0 || p.taken != 0 || len(p.waiting) != 0 || len(p.reading) != 0 {
		t.Errorf("%d of %d bytes are free; %d hold, %d taken, %d wait, %d read", p.free, p.size, p.holders, p.taken, len(p.waiting), len(p.reading))
	}
}

// The smallest budget has room for a page of 16 MiB and 12 MiB for what pages become.
func TestBudgetIsWhole(t *testing.T) {
	for _, mib := range []int64{28, 29, 64, 16 << 10} {
		b := New(mib << 20)
		if b.Pages.Size()+b.Results.Size() != mib<<20 || b.Pages.Size() < 16<<20 || b.Results.Size() < 12<<20 {
			t.Errorf("%d MiB: %d bytes for pages, %d for results", mib, b.Pages.Size(), b.Results.Size())
		}
	}
}

func TestGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		x, y, z := p.NewShare(nil), p.NewShare(nil), p.NewShare(nil)
		grow := func(s *Share, n int64, want error) {
			t.Helper()
			if err := s.Grow(short, n); !errors.Is(err, want) {
				t.Errorf("grow %d: got %v, want %v", n, err, want)
			}
		}
		grow(x, 6, nil)
		grow(y, 3, nil)
		start := time.Now()
		grow(z, 2, ErrExhausted) // x and y do not ask for more: they may give back at any time
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %s", took)
		}
		canceled, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := z.Grow(canceled, 2); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: got %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := z.Grow(t.Context(), 4); err != nil {
				t.Errorf("got %v for what x gave back", err)
			}
		})
		synctest.Wait()
		x.Release()
		x.Release()
		wg.Wait()
		y.Release()
		z.Release()
		whole(t, p)
	})
}

// Pages that wait for each other would all wait until their deadlines, every time.
func TestLargestShareIsRefusedWhereAllWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10)
		x, y := p.NewShare(nil), p.NewShare(nil)
		ctx := t.Context()
		if x.Grow(ctx, 4) != nil || y.Grow(ctx, 5) != nil {
			t.Fatal("9 of 10 bytes are not free")
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := y.Grow(ctx, 2); !errors.Is(err, ErrExhausted) {
				t.Errorf("the larger one got %v", err)
			}
			y.Release()
		})
		synctest.Wait()
		if err := x.Grow(ctx, 6); err != nil {
			t.Errorf("the smaller one got %v", err)
		}
		wg.Wait()
		x.Release()
		whole(t, p)
	})
}

// What TryTake took comes back, so a share waits for it however many others wait.
func TestGrowWaitsForWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10)
		s := p.NewShare(nil)
		if !p.TryTake(6) || s.Grow(t.Context(), 4) != nil || p.TryTake(1) {
			t.Fatal("10 bytes are not 6 and 4")
		}
		time.AfterFunc(time.Minute, func() { p.Give(6) })
		start := time.Now()
		if err := s.Grow(t.Context(), 5); err != nil || time.Since(start) != time.Minute {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		s.Release()
		whole(t, p)
	})
}

// A slow page is aborted for others, the largest first and no more than they need; one that is complete or that nobody waits for is
// not.
func TestSlowPagesAreAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(10)
		var aborted []string
		reader := func(name string, n int64) (s *Share) {
			s = p.NewShare(func(err error) {
				if !errors.Is(err, ErrSlow) {
					t.Errorf("%s: aborted with %v", name, err)
				}
				aborted = append(aborted, name)
				go s.Release()
			})
			if err := s.Grow(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			return s
		}
		small, large, complete := reader("small", 1), reader("large", 3), reader("complete", 5)
		complete.Complete()
		time.Sleep(time.Hour)
		if len(aborted) != 0 {
			t.Errorf("%q are aborted for nobody", aborted)
		}
		s := p.NewShare(nil)
		start := time.Now()
		if err := s.Grow(t.Context(), 4); err != nil || time.Since(start) > 2*slowCheck {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		if len(aborted) != 1 || aborted[0] != "large" {
			t.Errorf("%q are aborted", aborted)
		}
		for _, s := range []*Share{small, large, complete, s} {
			s.Release()
		}
		whole(t, p)
	})
}

func TestTryTakeReclaims(t *testing.T) {
	p := NewPool(10)
	reclaimed := 0
	p.OnShortage(func() {
		reclaimed++
		p.Give(4)
	})
	if !p.TryTake(4) || !p.TryTake(5) || reclaimed != 0 {
		t.Fatalf("reclaimed %d times for what was free", reclaimed)
	}
	if !p.TryTake(5) || reclaimed != 1 {
		t.Errorf("reclaimed %d times for what was short", reclaimed)
	}
	if p.OnShortage(func() {}); p.TryTake(1) {
		t.Error("took what was not there")
	}
	p.Give(10)
	whole(t, p)
}

func TestPoolUnderManyHolders(t *testing.T) {
	p := NewPool(100)
	var held atomic.Int64
	hold := func(n int64) {
		if held.Add(n) > p.Size() {
			t.Error("more is held than there is")
		}
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(300))*time.Microsecond)
				s := p.NewShare(func(error) {})
				var got int64
				for range 4 {
					n := 1 + rand.Int64N(20)
					if s.Grow(ctx, n) != nil {
						break
					}
					hold(n)
					got += n
				}
				if rand.IntN(2) == 0 {
					s.Complete()
				}
				held.Add(-got)
				s.Release()
				cancel()
			}
		})
		wg.Go(func() {
			for range 400 {
				if n := 1 + rand.Int64N(30); p.TryTake(n) {
					hold(n)
					held.Add(-n)
					p.Give(n)
				}
			}
		})
	}
	wg.Wait()
	whole(t, p)
}
