// Package mapsync carries the metrics mapping from the server to its workers in numbered generations: Publisher is the
// server's half, Follower the worker's.
package mapsync

import "sync"

// fanout notifies any number of listeners of changes. A listener's queue holds one notice, so notices that come faster than they
// are received count as one: the receiver reads the newest state. The zero value is ready to use.
type fanout struct {
	mu        sync.Mutex
	listeners map[chan struct{}]struct{}
}

// subscribe adds a listener. cancel removes it and closes the channel.
func (f *fanout) subscribe() (notices <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = make(map[chan struct{}]struct{})
	}
	f.listeners[ch] = struct{}{}
	return ch, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, ch)
		close(ch)
	})
}

// send queues a notice for every listener. It returns how many there are, and how many already had one pending.
func (f *fanout) send() (notified, coalesced int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.listeners {
		select {
		case ch <- struct{}{}:
		default:
			coalesced++
		}
	}
	return len(f.listeners), coalesced
}

// depth returns how many listeners there are and how many of them have a notice pending.
func (f *fanout) depth() (listeners, waiting int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.listeners {
		waiting += len(ch)
	}
	return len(f.listeners), waiting
}
