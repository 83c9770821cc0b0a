package webconfig

import (
	"context"
	"crypto/sha256"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// maxRight bounds the credentials that are remembered as right, and maxWrong those that are as wrong.
	maxRight = 64
	maxWrong = 1024
	// maxWaiting is how many passwords wait for being looked at, and maxOfPeer how many of them are of one address. Each takes a core for
	// a tenth of a second, and the toolkit takes one after the other, so that a turn of all addresses fits into maxWait.
	maxWaiting = 64
	maxOfPeer  = 8
	// maxServed is of how many addresses it is remembered when they had their turn.
	maxServed = 256
	// maxWait is shorter than a scrape may take.
	maxWait = 8 * time.Second
)

// attempts lets passwords be looked at, one at a time, and the addresses in turn: whoever guesses must not keep those out who know. What it
// remembers lets nobody in. The zero value is ready to use.
type attempts struct {
	mu      sync.Mutex
	number  int                 // of the reading of the file that wrong is of
	wrong   map[credential]bool // each costs nothing when it comes again
	right   map[credential]int  // the reading that it was right by last; it goes first after a change
	busy    bool                // one is being looked at
	waiting []*waiter           // as they came
	served  []netip.Addr        // addresses that had a turn lately, the last one last
}

// credential is the hash of a user and a password.
type credential [sha256.Size]byte

func credentialOf(user, password string) credential {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	return sha256.Sum256(append(u[:], p[:]...))
}

type waiter struct {
	credential credential
	peer       netip.Addr
	known      bool // it was right once
	turn       chan place
}

// place is where a credential stands.
type place int

const (
	refused   place = iota // too many are before it
	own                    // it is being looked at now: end says how that ended
	again                  // the same one was looked at for another request: ask again
	rightNow               // it was right by this reading of the file
	wrongNow               // it was wrong by it
	undecided              // nobody knows
)

// ask returns where a credential of peer stands by a reading of the file, once that is known. It waits until then, or until ctx ends.
func (t *attempts) ask(ctx context.Context, peer netip.Addr, c credential, number int) place {
	t.mu.Lock()
	by, known := t.right[c]
	switch {
	case t.number == number && t.wrong[c]:
		t.mu.Unlock()
		return wrongNow
	case known && by == number:
		t.mu.Unlock()
		return rightNow
	case !t.busy:
		t.busy = true
		t.serve(peer)
		t.mu.Unlock()
		return own
	}
	w := &waiter{credential: c, peer: peer, known: known, turn: make(chan place, 1)}
	joined := t.join(w)
	t.mu.Unlock()
	if !joined {
		return refused
	}
	select {
	case p := <-w.turn:
		return p
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case p := <-w.turn: // in the same moment
		return p
	default:
		t.waiting = slices.DeleteFunc(t.waiting, func(o *waiter) bool { return o == w })
		return refused
	}
}

// join makes w wait, in the place of one of the address with the most where there is no other. t.mu is held.
func (t *attempts) join(w *waiter) bool {
	if w.known { // those who know one are few
		t.waiting = append(t.waiting, w)
		return true
	}
	total, of := 0, map[netip.Addr]int{}
	for _, o := range t.waiting {
		if !o.known {
			total++
			of[o.peer]++
		}
	}
	if of[w.peer] >= maxOfPeer {
		return false
	}
	if total >= maxWaiting {
		newest := -1
		for i, o := range t.waiting {
			if !o.known && (newest < 0 || of[o.peer] >= of[t.waiting[newest].peer]) {
				newest = i
			}
		}
		gives := t.waiting[newest]
		if of[gives.peer] <= of[w.peer]+1 {
			return false
		}
		gives.turn <- refused
		t.waiting = slices.Delete(t.waiting, newest, newest+1)
	}
	t.waiting = append(t.waiting, w)
	return true
}

// end says how the look at a credential ended, by which reading of the file, and gives the next one its turn.
func (t *attempts) end(c credential, number int, how place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch how {
	case rightNow:
		t.remember(c, number)
	case wrongNow:
		delete(t.right, c)
		if number > t.number || len(t.wrong) >= maxWrong {
			t.wrong = nil
		}
		if t.wrong == nil {
			t.wrong = map[credential]bool{}
		}
		if number >= t.number {
			t.number, t.wrong[c] = number, true
		}
	}
	if how != undecided {
		t.waiting = slices.DeleteFunc(t.waiting, func(o *waiter) bool {
			if o.credential != c {
				return false
			}
			o.turn <- again
			return true
		})
	}
	t.next()
}

// remember keeps a right credential. One that isn't right any longer gives way first. t.mu is held.
func (t *attempts) remember(c credential, number int) {
	if _, known := t.right[c]; !known && len(t.right) >= maxRight {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(t.right)), func(a, b credential) int { return t.right[a] - t.right[b] })
		delete(t.right, oldest)
	}
	if t.right == nil {
		t.right = map[credential]int{}
	}
	t.right[c] = max(number, t.right[c])
}

// next gives one that waits its turn: first a credential that was right once, then the oldest of the address whose turn is the longest ago.
// t.mu is held.
func (t *attempts) next() {
	if len(t.waiting) == 0 {
		t.busy = false
		return
	}
	i := slices.IndexFunc(t.waiting, func(w *waiter) bool { return w.known })
	if i < 0 {
		first := slices.MinFunc(t.waiting, func(a, b *waiter) int { return slices.Index(t.served, a.peer) - slices.Index(t.served, b.peer) })
		i = slices.Index(t.waiting, first)
		t.serve(first.peer)
	}
	w := t.waiting[i]
	t.waiting = slices.Delete(t.waiting, i, i+1)
	w.turn <- own
}

// serve remembers that an address has its turn. t.mu is held.
func (t *attempts) serve(peer netip.Addr) {
	t.served = append(slices.DeleteFunc(t.served, func(o netip.Addr) bool { return o == peer }), peer)
	t.served = t.served[max(0, len(t.served)-maxServed):]
}
