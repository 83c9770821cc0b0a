package backoff

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNext(t *testing.T) {
	const s = time.Second
	var b Backoff
	var got []time.Duration
	for range 5 {
		got = append(got, b.Next(s, 5*s))
	}
	got = append(got, b.Next(20*s, 30*s), b.Next(s, 5*s)) // other bounds hold at once
	b.Reset()
	got = append(got, b.Next(s, 5*s))
	if diff := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s, 20 * s, 5 * s, s}, got); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
}

func TestJitter(t *testing.T) {
	for _, pause := range []time.Duration{0, 1, 2, 3, time.Second} {
		for range 100 {
			if got := Jitter(pause); got < pause/2 || got > pause {
				t.Fatalf("of %s: %s", pause, got)
			}
		}
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		Sleep(ctx, time.Minute)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("slept for %s", took)
		}
		time.AfterFunc(time.Second, cancel)
		Sleep(ctx, time.Hour)
		if took := time.Since(began); took != time.Minute+time.Second {
			t.Errorf("a context that ended did not end it: %s", took)
		}
	})
}
