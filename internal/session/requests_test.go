package session

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A server asks anew when it has an answer, although the request that was answered still holds its slot.
func TestRequestsWaitForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 2
		r := newRequests(most)
		var answered, skipped atomic.Int32
		start := func(took time.Duration) {
			r.start(t.Context(), 8000, func(context.Context, time.Time) {
				answered.Add(1)
				time.Sleep(took)
			}, func() { skipped.Add(1) })
		}
		for range most {
			start(slotWait / 2)
		}
		synctest.Wait()
		for range most {
			start(0)
		}
		r.wait()
		if answered.Load() != 2*most || skipped.Load() != 0 {
			t.Errorf("%d were answered and %d skipped, want %d and 0", answered.Load(), skipped.Load(), 2*most)
		}
		for range 2*most + 1 {
			start(2 * slotWait)
			synctest.Wait()
		}
		r.wait()
		if answered.Load() != 3*most || skipped.Load() != most+1 {
			t.Errorf("%d were answered and %d skipped, want %d and %d", answered.Load(), skipped.Load(), 3*most, most+1)
		}
	})
}
