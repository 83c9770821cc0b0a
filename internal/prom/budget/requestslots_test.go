package budget

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestHolderKnowsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		small, large := NewPool(Class{Name: "small", Slots: 1}, 10), NewPool(Class{Name: "large", Slots: 1}, 10)
		ctx, holder := TrackSlots(t.Context())
		first, err := small.Take(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := func(want bool, when string) {
			t.Helper()
			if got := holder.Contended(); got != want {
				t.Errorf("%s: %t", when, got)
			}
		}
		want(false, "nobody waits")
		await := func(p *Pool) (end func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				if s, err := p.Take(ctx); err == nil {
					s.Release()
				}
			}()
			synctest.Wait()
			return func() { cancel(); <-done }
		}
		other, err := large.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		end := await(large)
		want(false, "others wait for a class of which it holds none")
		end()
		other.Release()
		end = await(small)
		want(true, "others wait")
		second, err := large.Take(ctx)
		if err != nil {
			t.Fatal(err)
		}
		first.Release()
		end()
		want(false, "it has moved to another class")
		end = await(large)
		want(true, "others wait for that one")
		second.Release()
		end()
		want(false, "it holds nothing")
	})
}
