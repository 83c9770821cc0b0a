package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A server asks anew when it has an answer, although the request that was answered still holds its slot.
func TestRequestsWaitForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 2
		r := newRequests(most)
		answered, skipped := 0, 0
		start := func(took time.Duration) {
			r.start(t.Context(), 8000, func(context.Context, time.Time) {
				answered++
				time.Sleep(took)
			}, func() { skipped++ })
		}
		for range most {
			start(slotWait / 2)
		}
		synctest.Wait()
		for range most {
			start(0)
		}
		r.wait()
		if answered != 2*most || skipped != 0 {
			t.Errorf("%d were answered and %d skipped, want %d and 0", answered, skipped, 2*most)
		}
		for range 2*most + 1 {
			start(2 * slotWait)
			synctest.Wait()
		}
		r.wait()
		if answered != 3*most || skipped != most+1 {
			t.Errorf("%d were answered and %d skipped, want %d and %d", answered, skipped, 3*most, most+1)
		}
	})
}
