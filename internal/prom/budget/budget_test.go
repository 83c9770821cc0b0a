package budget

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoolGrantsSlotsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Class{"small", 5 << 20, 2}, 10)
		first, second := take(t, p), take(t, p)
		if s := p.State(); s.Taken != 2 || s.Held != 10<<20 {
			t.Errorf("two slots of 5 MiB: %+v", s)
		}
		turns := make(chan int, 3)
		for i := range 3 {
			go func() {
				slot, err := p.Take(t.Context())
				if err != nil {
					t.Error(err)
				}
				turns <- i
				slot.Release()
			}()
			synctest.Wait()
		}
		if s := p.State(); s.Waiting != 3 || len(turns) != 0 {
			t.Errorf("three wait: %+v, %d got one", s, len(turns))
		}
		first.Release()
		first.Release()
		(*Slot)(nil).Release()
		synctest.Wait()
		for want := range 3 {
			if got := <-turns; got != want {
				t.Errorf("number %d has its turn before number %d", got, want)
			}
		}
		second.Release()
		if s := p.State(); s.Taken != 0 || s.Waiting != 0 || s.Held != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

func take(t *testing.T, p *Pool) *Slot {
	t.Helper()
	slot, err := p.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slot
}

func TestPoolRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Class{"large", 256 << 20, 1}, 2)
		slot := take(t, p)
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gone, leave := context.WithCancel(t.Context())
		answers := make(chan error, 1)
		go func() { _, err := p.Take(short); answers <- err }()
		left := make(chan error, 1)
		go func() { _, err := p.Take(gone); left <- err }()
		synctest.Wait()

		_, err := p.Take(t.Context())
		full, ok := errors.AsType[ErrFull](err)
		if !ok || full.Reason != ReasonQueue || !strings.Contains(err.Error(), "all 1 slots for queries of up to 256 MiB (large) are in use and the queue is full: retry later") {
			t.Errorf("the queue is full: %v", err)
		}
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("one who left: %v", err)
		}
		begin := time.Now()
		full, ok = errors.AsType[ErrFull](<-answers)
		if !ok || full.Reason != ReasonTimeout || time.Since(begin) != time.Minute || !strings.Contains(full.Error(), "none became free in time") {
			t.Errorf("after %v: %v", time.Since(begin), full)
		}
		if s := p.State(); s.Waiting != 0 || s.Refused[ReasonQueue] != 1 || s.Refused[ReasonTimeout] != 1 {
			t.Errorf("%+v", s)
		}
		slot.Release()
		if _, err := p.Take(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("one who has left already: %v", err)
		}
		take(t, p).Release()
	})
}

// Whose turn comes in the moment in which it gives up keeps nothing.
func TestPoolLosesNoSlot(t *testing.T) {
	t.Parallel()
	p := NewPool(Class{"small", 1, 1}, 10)
	for range 2000 {
		slot := take(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if slot, err := p.Take(ctx); err == nil {
				slot.Release()
			}
		}()
		go cancel()
		slot.Release()
		<-done
	}
	if s := p.State(); s.Taken != 0 || s.Waiting != 0 || s.Held != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	a := NewAccount(100)
	first := a.Hold(60)
	if first == nil || a.Hold(41) != nil || a.Held() != 60 {
		t.Errorf("60 of 100 are held: %d", a.Held())
	}
	second := a.Hold(40)
	first.Release()
	first.Release()
	(*Amount)(nil).Release()
	if second == nil || a.Held() != 40 {
		t.Errorf("40 are held: %d", a.Held())
	}
}
