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
	// maxRight and maxWrong bound the credentials that are remembered as right and as wrong.
	maxRight = 64
	maxWrong = 1024
	// maxWaiting bounds the passwords that wait for their check, and maxOfPeer those of one address. A check takes a core for a tenth of
	// a second, and the toolkit runs one at a time, so that one check for each address fits into maxWait.
	maxWaiting = 64
	maxOfPeer  = 8
	// maxServed bounds the addresses whose last turn is remembered.
	maxServed = 256
	// maxWait is shorter than a scrape timeout.
	maxWait = 8 * time.Second
)

// passwordQueue schedules checks of passwords: one at a time, addresses in turn, so that guesses from one address do not keep out a
// client that knows the password. It grants nothing itself: the toolkit checks every password. The zero value is ready to use.
type passwordQueue struct {
	mu      sync.Mutex
	version int                 // of the file, for wrong
	wrong   map[credential]bool // refused without another check
	right   map[credential]int  // the last version of the file by which it was right; after a change it is checked first
	busy    bool                // a check is running
	waiting []*waiter           // in order of arrival
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
	known      bool // the credential was right by an earlier version of the file
	turn       chan passwordResult
}

// passwordResult is what is known about a credential, or what to do with its request.
type passwordResult int

const (
	queueFull  passwordResult = iota // too many checks are waiting
	check                            // check it now, then call finish
	retry                            // another request with the same credential was checked: call await again
	knownRight                       // right by this version of the file
	knownWrong                       // wrong by this version of the file
	undecided                        // the check ended without a result
)

// await returns what is known about a credential by a version of the file. If it must be checked, await waits for its turn, or until ctx
// ends.
func (q *passwordQueue) await(ctx context.Context, peer netip.Addr, c credential, version int) passwordResult {
	q.mu.Lock()
	by, known := q.right[c]
	switch {
	case q.version == version && q.wrong[c]:
		q.mu.Unlock()
		return knownWrong
	case known && by == version:
		q.mu.Unlock()
		return knownRight
	case !q.busy:
		q.busy = true
		q.noteTurn(peer)
		q.mu.Unlock()
		return check
	}
	w := &waiter{credential: c, peer: peer, known: known, turn: make(chan passwordResult, 1)}
	added := q.add(w)
	q.mu.Unlock()
	if !added {
		return queueFull
	}
	select {
	case r := <-w.turn:
		return r
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case r := <-w.turn: // in the same moment
		return r
	default:
		q.waiting = slices.DeleteFunc(q.waiting, func(o *waiter) bool { return o == w })
		return queueFull
	}
}

// add queues w. If the queue is full, w replaces the newest waiter of the address with the most, if that has at least two more than the
// address of w. q.mu is held.
func (q *passwordQueue) add(w *waiter) bool {
	if w.known { // there are few credentials that were right
		q.waiting = append(q.waiting, w)
		return true
	}
	total, ofPeer := 0, map[netip.Addr]int{}
	for _, o := range q.waiting {
		if !o.known {
			total++
			ofPeer[o.peer]++
		}
	}
	if ofPeer[w.peer] >= maxOfPeer {
		return false
	}
	if total >= maxWaiting {
		newest := -1
		for i, o := range q.waiting {
			if !o.known && (newest < 0 || ofPeer[o.peer] >= ofPeer[q.waiting[newest].peer]) {
				newest = i
			}
		}
		replaced := q.waiting[newest]
		if ofPeer[replaced.peer] <= ofPeer[w.peer]+1 {
			return false
		}
		replaced.turn <- queueFull
		q.waiting = slices.Delete(q.waiting, newest, newest+1)
	}
	q.waiting = append(q.waiting, w)
	return true
}

// finish ends the check of a credential by a version of the file, and starts the next one.
func (q *passwordQueue) finish(c credential, version int, r passwordResult) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch r {
	case knownRight:
		q.rememberRight(c, version)
	case knownWrong:
		delete(q.right, c)
		if version > q.version || len(q.wrong) >= maxWrong {
			q.wrong = nil
		}
		if q.wrong == nil {
			q.wrong = map[credential]bool{}
		}
		if version >= q.version {
			q.version, q.wrong[c] = version, true
		}
	}
	if r != undecided {
		q.waiting = slices.DeleteFunc(q.waiting, func(o *waiter) bool {
			if o.credential != c {
				return false
			}
			o.turn <- retry
			return true
		})
	}
	q.next()
}

// rememberRight keeps a right credential. Beyond maxRight it replaces the one that was right by the oldest version. q.mu is held.
func (q *passwordQueue) rememberRight(c credential, version int) {
	if _, known := q.right[c]; !known && len(q.right) >= maxRight {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(q.right)), func(a, b credential) int { return q.right[a] - q.right[b] })
		delete(q.right, oldest)
	}
	if q.right == nil {
		q.right = map[credential]int{}
	}
	q.right[c] = max(version, q.right[c])
}

// next starts the next check: of a credential that was right once, else the oldest of the address whose last turn is longest ago. q.mu is
// held.
func (q *passwordQueue) next() {
	if len(q.waiting) == 0 {
		q.busy = false
		return
	}
	i := slices.IndexFunc(q.waiting, func(w *waiter) bool { return w.known })
	if i < 0 {
		first := slices.MinFunc(q.waiting, func(a, b *waiter) int { return slices.Index(q.served, a.peer) - slices.Index(q.served, b.peer) })
		i = slices.Index(q.waiting, first)
		q.noteTurn(first.peer)
	}
	w := q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	w.turn <- check
}

// noteTurn remembers that an address had its turn. q.mu is held.
func (q *passwordQueue) noteTurn(peer netip.Addr) {
	q.served = append(slices.DeleteFunc(q.served, func(o netip.Addr) bool { return o == peer }), peer)
	q.served = q.served[max(0, len(q.served)-maxServed):]
}
