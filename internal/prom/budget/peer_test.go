package budget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

const (
	flooding = "192.0.2.1:1000"
	ordinary = "192.0.2.2:1000"
	here     = "127.0.0.1:1000"
)

// asker takes slots of a pool for several peers, and notes who has got one.
type asker struct {
	pool  *Pool
	order []string
	slots map[string][]*Slot
	full  map[string]int // refused
}

func newAsker(slots, queue int) *asker {
	return &asker{pool: NewPool(Class{"small", 1, slots}, queue), slots: map[string][]*Slot{}, full: map[string]int{}}
}

// ask asks n times for a peer, and returns when each has got a slot, waits or is refused.
func (a *asker) ask(t *testing.T, peer string, n int) {
	t.Helper()
	for range n {
		go func() {
			slot, err := a.pool.Take(WithPeer(t.Context(), peer))
			switch full, ok := errors.AsType[ErrFull](err); {
			case ok && full.Reason == ReasonQueue:
				a.full[peer]++
			case err == nil:
				a.order, a.slots[peer] = append(a.order, peer), append(a.slots[peer], slot)
			}
		}()
		synctest.Wait()
	}
}

// free gives back a slot of a peer.
func (a *asker) free(peer string) {
	slot := a.slots[peer][0]
	a.slots[peer] = a.slots[peer][1:]
	slot.Release()
	synctest.Wait()
}

func TestPeerMayTakeAllWhileNobodyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsker(6, 10)
		a.ask(t, flooding, 6)
		if n := len(a.slots[flooding]); n != 6 {
			t.Errorf("one peer has %d slots of six that nobody else wants", n)
		}
	})
}

// While there are some who wait, one address holds at most half: who comes from another one does not wait at all.
func TestPeerHasItsShareWhileOthersWait(t *testing.T) {
	t.Parallel()
	for peer, want := range map[string]int{flooding: 3, "[2001:db8::1]:1": 3, here: 6, "[::1]:1": 6} {
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			a := newAsker(6, 20)
			a.ask(t, peer, 6)
			a.ask(t, peer, 5)
			go func() { _, _ = a.pool.Take(WithPeer(ctx, peer)) }()
			synctest.Wait()
			for range 3 {
				a.free(peer)
			}
			if n := len(a.slots[peer]); n != want {
				t.Errorf("%s holds %d of 6 slots while its requests wait, want %d", peer, n, want)
			}
			a.ask(t, ordinary, 1)
			if n := len(a.slots[ordinary]); n != min(1, 6-want) {
				t.Errorf("%s floods: another has %d slots at once", peer, n)
			}
			a.free(peer)
			a.free(peer)
			if n := len(a.slots[ordinary]); n != 1 {
				t.Errorf("%s floods: another has %d slots when two were given back", peer, n)
			}
			leave()
			for range 20 {
				for p, slots := range a.slots {
					if len(slots) > 0 {
						a.free(p)
					}
				}
			}
			if s := a.pool.State(); s.Taken != 0 || s.Waiting != 0 || s.Held != 0 || len(a.pool.holders) != 0 {
				t.Errorf("at the end: %+v, %v", s, a.pool.holders)
			}
		})
	}
}

func TestPeersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsker(1, 20)
		a.ask(t, here, 1)
		a.ask(t, flooding, 3)
		a.ask(t, ordinary, 2)
		a.ask(t, here, 2)
		for range 7 {
			a.free(a.order[len(a.order)-1])
		}
		if want := []string{here, flooding, ordinary, here, flooding, ordinary, here, flooding}; !slices.Equal(a.order, want) {
			t.Errorf("got slots in the order %v, want %v", a.order, want)
		}
	})
}

// Who floods a full queue makes room for those who ask little, until all have as much of it.
func TestPeersShareTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsker(1, 8)
		a.ask(t, flooding, 1+8+2)
		if a.full[flooding] != 2 {
			t.Errorf("%d were refused of two that found the queue full", a.full[flooding])
		}
		a.ask(t, ordinary, 6)
		if a.full[flooding] != 2+4 || a.full[ordinary] != 2 || a.pool.State().Waiting != 8 {
			t.Errorf("refused: %v, %d wait; want each peer to have half of the queue", a.full, a.pool.State().Waiting)
		}
		a.free(flooding)
		if len(a.slots[flooding]) != 1 {
			t.Errorf("the oldest of those who flood has lost its turn: %v", a.order)
		}
		if n := a.pool.State().Refused[ReasonQueue]; n != 8 {
			t.Errorf("%d refusals are counted, want 8", n)
		}
	})
}

func TestPeersAreNetworks(t *testing.T) {
	t.Parallel()
	peer := func(remote string) Peer { return peerOf(WithPeer(t.Context(), remote)) }
	for _, same := range [][2]string{
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2"}, {"[2001:db8::1]:1", "[2001:db8::2:3%eth0]:1"}, {"127.0.0.1:1", "127.9.9.9:1"}, {"127.0.0.1:1", "[::1]:1"}, {"@", ""},
	} {
		if peer(same[0]) != peer(same[1]) {
			t.Errorf("%s and %s are two peers", same[0], same[1])
		}
	}
	for _, other := range []string{"192.0.2.2:1", "[2001:db8:0:1::1]:1", "127.0.0.1:1", "@"} {
		if peer(other) == peer("192.0.2.1:1") || peer(other) == peer("[2001:db8::1]:1") {
			t.Errorf("%s is another's peer: %s", other, fmt.Sprint(peer(other)))
		}
	}
}
