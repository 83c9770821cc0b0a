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

func newFake(t *testing.T, devices int, users ...User) *Backend {
	t.Helper()
	b, err := New(Options{Devices: devices, Seed: 1, Users: func() []User { return users }})
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
	for _, n := range []int{-1, 0, MaxDevices + 1} {
		if _, err := New(Options{Devices: n}); err == nil {
			t.Errorf("%d GPUs are taken", n)
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
		devices, users int
		want           string
		spread         string
	}{
		{6, 0, "- - - - - -", ""},
		{8, 1, "0 0 0 0 0 0 0 0", "01234567"},
		{6, 4, "0 0 1 2 2 3", "0134"},
		{2, 4, "01 23", ""},
		{1, 3, "012", ""},
	} {
		var got, spread strings.Builder
		for i, h := range deal(c.devices, users(c.users)) {
			if i > 0 {
				got.WriteString(" ")
			}
			if len(h.users) == 0 {
				got.WriteString("-")
			}
			for _, u := range h.users {
				got.WriteString(u.Instance)
			}
			if h.spread {
				fmt.Fprint(&spread, i)
			}
		}
		if got.String() != c.want || spread.String() != c.spread {
			t.Errorf("%d GPUs, %d users: got %q, spread %q, want %q, %q", c.devices, c.users, got.String(), spread.String(), c.want, c.spread)
		}
	}
}

// An hour under load: numbers stay within what a GPU can be, counters grow, the hot GPU throttles and no other does.
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
					t.Fatalf("GPU %s: energy fell from %v to %v", d.Index, joules[i], now)
				}
				joules[i] = now
				used, _ := d.MemoryUsed.Get()
				total, _ := d.MemoryTotal.Get()
				heat, _ := d.Temperature.Get()
				if used > total || heat < 25 || heat > 95 {
					t.Fatalf("GPU %s: %v of %v bytes, %v °C", d.Index, used, total, heat)
				}
				if _, ok := d.Utilization.Get(); ok == (len(d.Slices) > 0) {
					t.Fatalf("GPU %s with %d slices: utilization %v", d.Index, len(d.Slices), d.Utilization)
				}
				for _, v := range []gpu.Value{d.SMActive, d.SMOccupancy, d.TensorActive, d.DRAMActive, d.Fans[0].Speed} {
					if share, ok := v.Get(); !ok || share < 0 || share > 1 {
						t.Fatalf("GPU %s: share %v", d.Index, share)
					}
				}
			}
			time.Sleep(time.Second)
		}
		if throttled["3"] < 600 || len(throttled) != 1 {
			t.Errorf("seconds of throttling by GPU: %v", throttled)
		}
		if joules[0] < 3600*300 || joules[0] > 3600*700 {
			t.Errorf("GPU 0 used %v J in an hour", joules[0])
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
				t.Errorf("GPU %s without work: busy %v, %v W", d.Index, busy, watts)
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

// A whole node has one GPU of each kind of trouble, and healthy ones; two GPUs are nobody's.
func TestFaultsOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake(t, 8, User{"a", 0.9}, User{"b", 0.9}, User{"c", 0.9}, User{"d", 0.9})
		for range 1800 {
			read(t, b)
			time.Sleep(time.Second)
		}
		number := func(v gpu.Value) float64 {
			n, _ := v.Get()
			return n
		}
		var got []string
		for _, d := range read(t, b) {
			var says []string
			say := func(is bool, what string) {
				if is {
					says = append(says, what)
				}
			}
			say(d.ECC[0].Count > 10, "corrected")
			say(d.ECC[1].Count > 0, "uncorrected")
			say(number(d.RowRemapPending) == 1, "remap")
			say(number(d.PCIe.Width) < number(d.PCIe.WidthMax), "narrow")
			say(number(d.PCIe.Replays) > 0, "replays")
			say(number(d.Temperature) > 75, "hot")
			say(number(d.Links[1].Received) > 0, "talks")
			say(d.Links[1].Errors[0].Count > 0, "link")
			say(len(d.Slices) == 3, "slices")
			say(number(d.PowerUsed) < 80, "idle")
			got = append(got, strings.Join(says, " "))
		}
		want := []string{"talks", "corrected talks", "narrow replays", "hot talks", "talks", "link", "uncorrected remap idle", "slices"}
		got[7] = strings.TrimSuffix(got[7], " idle") // now and then
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestErrorsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake(t, 8)
		const past = 2 // events of the days before
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		var events []gpu.Event
		start := time.Now()
		if err := b.Watch(ctx, func(e gpu.Event) { events = append(events, e) }); err != nil {
			t.Fatal(err)
		}
		if n := len(events) - past; n < 15 || n > 60 {
			t.Errorf("%d errors in ten hours, one every twenty minutes was asked for", n)
		}
		for _, e := range events[:past] {
			if e.UUID != uuid(6) || start.Sub(e.At) < 25*time.Hour {
				t.Errorf("event %+v, want one of yesterday's on the worn GPU", e)
			}
		}
		if first := events[past].At.Sub(start); first > time.Minute {
			t.Errorf("the first error came after %s", first)
		}
		for _, e := range events {
			if e.Kind != "xid" || e.Code == "" || e.UUID == "" || e.Vendor != vendor {
				t.Fatalf("event %+v", e)
			}
		}
	})
}
