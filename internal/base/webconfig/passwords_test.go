package webconfig

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// testQueue is a passwordQueue that records whose turn it was.
type testQueue struct {
	passwordQueue
	turns []int // credentials, in the order of their checks
}

func at(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }

// await calls await for the credential c of an address on another goroutine. The channel gets its result.
func (q *testQueue) await(t *testing.T, peer, c byte, version int) <-chan passwordResult {
	t.Helper()
	got := make(chan passwordResult, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), maxWait)
		defer cancel()
		p := q.passwordQueue.await(ctx, at(peer), credential{c}, version)
		if p == check {
			q.turns = append(q.turns, int(c))
		}
		got <- p
	}()
	synctest.Wait()
	return got
}

func (q *testQueue) finish(c byte, version int, result passwordResult) {
	q.passwordQueue.finish(credential{c}, version, result)
	synctest.Wait()
}

// An address that sends many passwords gets no more turns than one that sends few.
func TestAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q testQueue
		for c := range byte(5) {
			q.await(t, 1, c, 1)
		}
		q.await(t, 2, 10, 1)
		q.await(t, 2, 11, 1)
		q.await(t, 3, 20, 1)
		for i := 0; i < len(q.turns); i++ {
			q.finish(byte(q.turns[i]), 1, knownWrong)
		}
		if want := []int{0, 10, 20, 1, 11, 2, 3, 4}; !slices.Equal(q.turns, want) {
			t.Errorf("turns %v, want %v", q.turns, want)
		}
		if q.busy || len(q.waiting) > 0 {
			t.Errorf("busy %t, %d wait", q.busy, len(q.waiting))
		}
		// An address that is new, or that had no turn for long, waits only for the running check.
		q.turns = nil
		for peer := range byte(3) {
			q.await(t, 1+peer, 30+peer, 1)
		}
		q.await(t, 9, 40, 1)
		for i := 0; i < len(q.turns); i++ {
			q.finish(byte(q.turns[i]), 1, knownWrong)
		}
		if want := []int{30, 40, 32, 31}; !slices.Equal(q.turns, want) {
			t.Errorf("turns %v, want %v", q.turns, want)
		}
		for i := range 2 * maxServed {
			q.noteTurn(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
		}
		if len(q.served) > maxServed {
			t.Errorf("%d addresses are remembered", len(q.served))
		}
	})
}

// The queue is bounded, and an address that is not in it yet replaces a waiter of one with many.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q testQueue
		q.await(t, 1, 0, 1)
		c := byte(0)
		var first []<-chan passwordResult
		for peer := range byte(maxWaiting / maxOfPeer) {
			for range maxOfPeer {
				c++
				first = append(first, q.await(t, 10+peer, c, 1))
			}
			c++
			if got := <-q.await(t, 10+peer, c, 1); got != queueFull {
				t.Fatalf("an address has more than %d: %d", maxOfPeer, got)
			}
		}
		for peer := range byte(maxWaiting - maxWaiting/maxOfPeer) {
			if got := q.await(t, 100+peer, 150+peer, 1); len(got) > 0 {
				t.Fatalf("another address is not queued: %d", <-got)
			}
		}
		if len(q.waiting) != maxWaiting {
			t.Errorf("%d wait", len(q.waiting))
		}
		if got := q.await(t, 200, 250, 1); len(got) == 0 || <-got != queueFull {
			t.Error("an address is queued although the queue is full of different addresses")
		}
		for i, got := range first {
			if stays := i%maxOfPeer == 0; (len(got) == 0) != stays {
				t.Errorf("number %d of an address stays: %t, want %t", i%maxOfPeer, !stays, stays)
			}
		}
		time.Sleep(maxWait + time.Second)
		synctest.Wait()
		if len(q.waiting) > 0 {
			t.Errorf("%d wait after their time", len(q.waiting))
		}
		q.finish(0, 1, knownWrong)
		if q.busy {
			t.Error("it is busy with nothing")
		}
	})
}

// After a change of the file, a credential that was right is checked first, even if its address sends many wrong ones.
func TestKnownCredentialIsCheckedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q testQueue
		q.await(t, 1, 1, 1)
		q.finish(1, 1, knownRight)
		for c := range byte(maxOfPeer + 1) {
			q.await(t, 1, 10+c, 1)
		}
		if got := <-q.await(t, 1, 1, 1); got != knownRight {
			t.Fatalf("by the same version: %d", got)
		}
		got := q.await(t, 1, 1, 2)
		if len(got) > 0 {
			t.Fatalf("by another version, it isn't checked: %d", <-got)
		}
		q.finish(10, 1, knownWrong)
		if len(got) == 0 || <-got != check {
			t.Fatal("its turn isn't the next one")
		}
		q.finish(1, 2, knownWrong)
		if got := <-q.await(t, 1, 1, 2); got != knownWrong {
			t.Errorf("one that is wrong now: %d", got)
		}
	})
}

// A wrong credential is checked once for each version of the file, however many requests have it.
func TestWrongCredentialIsCheckedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q testQueue
		q.await(t, 1, 1, 1)
		same := q.await(t, 1, 1, 1)
		q.await(t, 1, 2, 1)
		q.finish(1, 1, knownWrong)
		if got := <-same; got != retry {
			t.Errorf("the same one for another request: %d", got)
		}
		if got := <-q.await(t, 1, 1, 1); got != knownWrong {
			t.Errorf("the same one again: %d", got)
		}
		if want := []int{1, 2}; !slices.Equal(q.turns, want) {
			t.Errorf("turns %v, want %v", q.turns, want)
		}
		q.finish(2, 1, undecided)
		if got := <-q.await(t, 1, 2, 1); got != check {
			t.Errorf("one without a result: %d", got)
		}
		q.finish(2, 2, knownWrong)
		if got := <-q.await(t, 1, 1, 2); got != check {
			t.Errorf("after a change: %d", got)
		}
		q.finish(1, 1, knownWrong) // by the previous version
		if got := <-q.await(t, 1, 1, 2); got != check {
			t.Errorf("one that was wrong before the change: %d", got)
		}
		for c := range maxWrong + 10 {
			q.passwordQueue.finish(credential{byte(c), byte(c >> 8), 1}, 2, knownWrong)
		}
		if len(q.wrong) > maxWrong {
			t.Errorf("%d are remembered as wrong", len(q.wrong))
		}
	})
}

func TestRightCredentialsAreBounded(t *testing.T) {
	var ts passwordQueue
	for c := range byte(maxRight) {
		ts.finish(credential{c}, 2+int(c%2), knownRight)
	}
	ts.finish(credential{5}, 1, knownRight) // known already, by a newer version
	ts.finish(credential{200}, 3, knownRight)
	if len(ts.right) != maxRight || ts.right[credential{200}] != 3 || ts.right[credential{5}] != 3 {
		t.Errorf("%d are remembered as right: %v", len(ts.right), ts.right[credential{5}])
	}
}
