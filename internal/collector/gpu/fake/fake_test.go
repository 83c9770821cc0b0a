package fake

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

func newFake(t *testing.T, cards int, users ...User) *Backend {
	t.Helper()
	b, err := New(Options{Cards: cards, Seed: 1, Users: func() []User { return users }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t *testing.T, b *Backend) []gpu.Device {
	t.Helper()
	r, err := b.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r.Devices
}

func TestNumberOfCards(t *testing.T) {
	for _, n := range []int{-1, 0, MaxCards + 1} {
		if _, err := New(Options{Cards: n}); err == nil {
			t.Errorf("%d cards are taken", n)
		}
	}
}

func TestCardsAreDealt(t *testing.T) {
	users := func(n int) (list []User) {
		for i := range n {
			list = append(list, User{Instance: fmt.Sprint(i)})
		}
		return list
	}
	for _, c := range []struct {
		cards, users int
		want         string
	}{
		{8, 0, "- - - - - - - -"},
		{8, 1, "0 0 0 0 0 0 0 0"},
		{8, 3, "0 0 0 1 1 1 2 2"},
		{2, 4, "01 23"},
		{1, 3, "012"},
	} {
		var got strings.Builder
		for i := range c.cards {
			if i > 0 {
				got.WriteString(" ")
			}
			on := dealt(i, c.cards, users(c.users))
			if len(on) == 0 {
				got.WriteString("-")
			}
			for _, u := range on {
				got.WriteString(u.Instance)
			}
		}
		if got.String() != c.want {
			t.Errorf("%d cards, %d users: got %q, want %q", c.cards, c.users, got.String(), c.want)
		}
	}
}

// An hour under load: numbers stay within what a card can be, counters grow, the hot card throttles and no other does.
func TestHourUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake(t, 8, User{"a", 0.9}, User{"b", 0.9})
		throttled := map[string]int{}
		joules := make([]float64, 8)
		for range 3600 {
			for i, d := range read(t, b) {
				if len(d.Throttles) > 0 {
					throttled[d.Index]++
				}
				now, _ := d.Energy.Get()
				if now < joules[i] {
					t.Fatalf("card %s: energy fell from %v to %v", d.Index, joules[i], now)
				}
				joules[i] = now
				used, _ := d.MemoryUsed.Get()
				total, _ := d.MemoryTotal.Get()
				heat, _ := d.Temperature.Get()
				if used > total || heat < 25 || heat > 95 {
					t.Fatalf("card %s: %v of %v bytes, %v °C", d.Index, used, total, heat)
				}
				for _, v := range []gpu.Value{d.Utilization, d.SMActive, d.SMOccupancy, d.TensorActive, d.DRAMActive} {
					if share, ok := v.Get(); !ok || share < 0 || share > 1 {
						t.Fatalf("card %s: share %v", d.Index, share)
					}
				}
			}
			time.Sleep(time.Second)
		}
		if throttled["3"] < 600 || len(throttled) != 1 {
			t.Errorf("seconds of throttling by card: %v", throttled)
		}
		if joules[0] < 3600*300 || joules[0] > 3600*700 {
			t.Errorf("card 0 used %v J in an hour", joules[0])
		}
	})
}

func TestIdleCardsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake(t, 2, User{"a", 0})
		for range 60 {
			read(t, b)
			time.Sleep(time.Second)
		}
		for _, d := range read(t, b) {
			busy, _ := d.Utilization.Get()
			watts, _ := d.PowerUsed.Get()
			if busy > 0.01 || watts > 80 {
				t.Errorf("card %s without work: busy %v, %v W", d.Index, busy, watts)
			}
		}
	})
}

func TestSameSeedSameCards(t *testing.T) {
	run := func() []gpu.Device {
		b := newFake(t, 4, User{"a", 0.5})
		for range 5 {
			read(t, b)
		}
		b.last = time.Time{}
		return read(t, b)
	}
	var first, second []gpu.Device
	synctest.Test(t, func(*testing.T) { first = run() })
	synctest.Test(t, func(*testing.T) { second = run() })
	if diff := cmp.Diff(first, second, cmp.AllowUnexported(gpu.Value{})); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake(t, 8)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		var events []gpu.Event
		start := time.Now()
		if err := b.Watch(ctx, func(e gpu.Event) { events = append(events, e) }); err != nil {
			t.Fatal(err)
		}
		if n := len(events); n < 60 || n > 200 {
			t.Errorf("%d errors in ten hours, one every five minutes was asked for", n)
		}
		if first := events[0].At.Sub(start); first > time.Minute {
			t.Errorf("the first error came after %s", first)
		}
		for _, e := range events {
			if e.Kind != "xid" || e.Code == "" || e.UUID == "" || e.Vendor != vendor {
				t.Fatalf("event %+v", e)
			}
		}
	})
}
