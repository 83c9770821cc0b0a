package webconfig

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// queue is attempts, and what asks them.
type queue struct {
	attempts
	turns []int // whose turn came, in order
}

func at(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }

// ask asks for the credential c of an address and returns where that leads to once it is known.
func (q *queue) ask(t *testing.T, peer, c byte, number int) <-chan place {
	t.Helper()
	got := make(chan place, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), maxWait)
		defer cancel()
		p := q.attempts.ask(ctx, at(peer), credential{c}, number)
		if p == own {
			q.turns = append(q.turns, int(c))
		}
		got <- p
	}()
	synctest.Wait()
	return got
}

func (q *queue) end(c byte, number int, how place) {
	q.attempts.end(credential{c}, number, how)
	synctest.Wait()
}

// An address that guesses much gets no more turns than one that asks once.
func TestAddressesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		for c := range byte(5) {
			q.ask(t, 1, c, 1)
		}
		q.ask(t, 2, 10, 1)
		q.ask(t, 2, 11, 1)
		q.ask(t, 3, 20, 1)
		for i := 0; i < len(q.turns); i++ {
			q.end(byte(q.turns[i]), 1, wrongNow)
		}
		if want := []int{0, 10, 20, 1, 11, 2, 3, 4}; !slices.Equal(q.turns, want) {
			t.Errorf("turns %v, want %v", q.turns, want)
		}
		if q.busy || len(q.waiting) > 0 {
			t.Errorf("busy %t, %d wait", q.busy, len(q.waiting))
		}
		// One that comes for the first time, or for the first time in a while, waits for none but the one that is looked at.
		q.turns = nil
		for peer := range byte(3) {
			q.ask(t, 1+peer, 30+peer, 1)
		}
		q.ask(t, 9, 40, 1)
		for i := 0; i < len(q.turns); i++ {
			q.end(byte(q.turns[i]), 1, wrongNow)
		}
		if want := []int{30, 40, 32, 31}; !slices.Equal(q.turns, want) {
			t.Errorf("turns %v, want %v", q.turns, want)
		}
		for i := range 2 * maxServed {
			q.serve(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}))
		}
		if len(q.served) > maxServed {
			t.Errorf("%d addresses are remembered", len(q.served))
		}
	})
}

// What waits is bounded, and an address that isn't among it yet finds a place.
func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.ask(t, 1, 0, 1)
		c := byte(0)
		var first []<-chan place
		for peer := range byte(maxWaiting / maxOfPeer) {
			for range maxOfPeer {
				c++
				first = append(first, q.ask(t, 10+peer, c, 1))
			}
			c++
			if got := <-q.ask(t, 10+peer, c, 1); got != refused {
				t.Fatalf("an address has more than %d: %d", maxOfPeer, got)
			}
		}
		for peer := range byte(maxWaiting - maxWaiting/maxOfPeer) {
			if got := q.ask(t, 100+peer, 150+peer, 1); len(got) > 0 {
				t.Fatalf("another address finds no place: %d", <-got)
			}
		}
		if len(q.waiting) != maxWaiting {
			t.Errorf("%d wait", len(q.waiting))
		}
		if got := q.ask(t, 200, 250, 1); len(got) == 0 || <-got != refused {
			t.Error("with one of each address there is a place")
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
		q.end(0, 1, wrongNow)
		if q.busy {
			t.Error("it is busy with nothing")
		}
	})
}

// A credential that was right goes first after a change of the file, also where its address guesses.
func TestRightCredentialGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.ask(t, 1, 1, 1)
		q.end(1, 1, rightNow)
		for c := range byte(maxOfPeer + 1) {
			q.ask(t, 1, 10+c, 1)
		}
		if got := <-q.ask(t, 1, 1, 1); got != rightNow {
			t.Fatalf("by the same reading: %d", got)
		}
		got := q.ask(t, 1, 1, 2)
		if len(got) > 0 {
			t.Fatalf("by another reading, it isn't looked at: %d", <-got)
		}
		q.end(10, 1, wrongNow)
		if len(got) == 0 || <-got != own {
			t.Fatal("its turn isn't the next one")
		}
		q.end(1, 2, wrongNow)
		if got := <-q.ask(t, 1, 1, 2); got != wrongNow {
			t.Errorf("one that is wrong now: %d", got)
		}
	})
}

// A credential that is wrong is looked at once by a reading of the file, for however many requests.
func TestWrongCredentialIsLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.ask(t, 1, 1, 1)
		same := q.ask(t, 1, 1, 1)
		q.ask(t, 1, 2, 1)
		q.end(1, 1, wrongNow)
		if got := <-same; got != again {
			t.Errorf("the same one for another request: %d", got)
		}
		if got := <-q.ask(t, 1, 1, 1); got != wrongNow {
			t.Errorf("the same one again: %d", got)
		}
		if want := []int{1, 2}; !slices.Equal(q.turns, want) {
			t.Errorf("turns %v, want %v", q.turns, want)
		}
		q.end(2, 1, undecided)
		if got := <-q.ask(t, 1, 2, 1); got != own {
			t.Errorf("one of which nobody knows: %d", got)
		}
		q.end(2, 2, wrongNow)
		if got := <-q.ask(t, 1, 1, 2); got != own {
			t.Errorf("after a change: %d", got)
		}
		q.end(1, 1, wrongNow) // by the reading before
		if got := <-q.ask(t, 1, 1, 2); got != own {
			t.Errorf("one that was wrong before the change: %d", got)
		}
		for c := range maxWrong + 10 {
			q.attempts.end(credential{byte(c), byte(c >> 8), 1}, 2, wrongNow)
		}
		if len(q.wrong) > maxWrong {
			t.Errorf("%d are remembered as wrong", len(q.wrong))
		}
	})
}

func TestRightCredentialsAreBounded(t *testing.T) {
	var ts attempts
	for c := range byte(maxRight) {
		ts.end(credential{c}, 2+int(c%2), rightNow)
	}
	ts.end(credential{5}, 1, rightNow) // known already, by a newer reading
	ts.end(credential{200}, 3, rightNow)
	if len(ts.right) != maxRight || ts.right[credential{200}] != 3 || ts.right[credential{5}] != 3 {
		t.Errorf("%d are remembered as right: %v", len(ts.right), ts.right[credential{5}])
	}
}
