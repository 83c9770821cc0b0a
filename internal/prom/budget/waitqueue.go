package budget

import "slices"

type waiter struct {
	peer    Peer
	granted chan *Slot // capacity 1; receives nil if the waiter is displaced
}

// waitQueue holds waiters: peers in the order of their turns, and each peer's waiters in order of arrival.
type waitQueue struct {
	len     int
	peers   []Peer
	waiting map[Peer][]*waiter
}

func (q *waitQueue) has(peer Peer) bool { return len(q.waiting[peer]) > 0 }

// count returns the number of a peer's waiters.
func (q *waitQueue) count(peer Peer) int { return len(q.waiting[peer]) }

func (q *waitQueue) push(w *waiter) {
	if q.waiting == nil {
		q.waiting = map[Peer][]*waiter{}
	}
	if !q.has(w.peer) {
		q.peers = append(q.peers, w.peer)
	}
	q.waiting[w.peer] = append(q.waiting[w.peer], w)
	q.len++
}

// next removes and returns the next waiter of a peer that is not at its share, nil if there is none. The peer moves to the end.
func (q *waitQueue) next(atShare func(Peer) bool) *waiter {
	for i, peer := range q.peers {
		if atShare(peer) {
			continue
		}
		w := q.waiting[peer][0]
		q.remove(w)
		if q.has(peer) {
			q.peers = append(slices.Delete(q.peers, i, i+1), peer)
		}
		return w
	}
	return nil
}

// busiestPeer returns the peer with the most waiters.
func (q *waitQueue) busiestPeer() Peer {
	var most Peer
	for _, peer := range q.peers {
		if q.count(peer) > q.count(most) {
			most = peer
		}
	}
	return most
}

// last returns a peer's newest waiter, nil if it has none.
func (q *waitQueue) last(peer Peer) *waiter {
	all := q.waiting[peer]
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// remove removes a waiter and reports whether it was in the queue.
func (q *waitQueue) remove(w *waiter) bool {
	all := q.waiting[w.peer]
	i := slices.Index(all, w)
	if i < 0 {
		return false
	}
	q.len--
	if len(all) == 1 {
		delete(q.waiting, w.peer)
		q.peers = slices.DeleteFunc(q.peers, func(p Peer) bool { return p == w.peer })
		return true
	}
	q.waiting[w.peer] = slices.Delete(all, i, i+1)
	return true
}
