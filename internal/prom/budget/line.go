package budget

import "slices"

type waiter struct {
	peer Peer
	turn chan *Slot // has room for one
}

// line is those who wait: peers in the order of their turns, each with its own in the order of asking.
type line struct {
	len    int
	peers  []Peer
	behind map[Peer][]*waiter
}

func (l *line) has(peer Peer) bool { return len(l.behind[peer]) > 0 }

// of returns how many wait of a peer.
func (l *line) of(peer Peer) int { return len(l.behind[peer]) }

func (l *line) push(w *waiter) {
	if l.behind == nil {
		l.behind = map[Peer][]*waiter{}
	}
	if !l.has(w.peer) {
		l.peers = append(l.peers, w.peer)
	}
	l.behind[w.peer] = append(l.behind[w.peer], w)
	l.len++
}

// next removes and returns the one whose turn it is, of a peer that is not held back; the peer goes to the end. Nil is nobody.
func (l *line) next(heldBack func(Peer) bool) *waiter {
	for i, peer := range l.peers {
		if heldBack(peer) {
			continue
		}
		w := l.behind[peer][0]
		l.remove(w)
		if l.has(peer) {
			l.peers = append(slices.Delete(l.peers, i, i+1), peer)
		}
		return w
	}
	return nil
}

// longest returns the peer of which most wait.
func (l *line) longest() Peer {
	var most Peer
	for _, peer := range l.peers {
		if l.of(peer) > l.of(most) {
			most = peer
		}
	}
	return most
}

// last returns the one of a peer that came last, nil when none waits.
func (l *line) last(peer Peer) *waiter {
	all := l.behind[peer]
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// remove tells whether one waited.
func (l *line) remove(w *waiter) bool {
	all := l.behind[w.peer]
	i := slices.Index(all, w)
	if i < 0 {
		return false
	}
	l.len--
	if len(all) == 1 {
		delete(l.behind, w.peer)
		l.peers = slices.DeleteFunc(l.peers, func(p Peer) bool { return p == w.peer })
		return true
	}
	l.behind[w.peer] = slices.Delete(all, i, i+1)
	return true
}
