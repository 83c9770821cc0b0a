package exporter

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// smallPageBytes is the largest page that is translated without queueing. Pages of real engines are smaller.
const smallPageBytes = 512 << 10

var errQueueTimeout = errors.New("pages of other engines took all the time for translation")

// translationQueue runs translations of large pages on at most half of the processors, the smallest page first.
type translationQueue struct {
	mu      sync.Mutex
	free    int // slots
	waiting []*queuedPage
}

type queuedPage struct {
	size    int
	started chan struct{} // closed when the page has a slot
}

func newTranslationQueue() *translationQueue {
	return &translationQueue{free: max(1, runtime.GOMAXPROCS(0)/2)}
}

// acquire waits until a page of this size may be translated, at most until deadline. If the error is nil, the caller must call
// release.
func (q *translationQueue) acquire(size int, deadline time.Time) (release func(), err error) {
	if size <= smallPageBytes {
		return func() {}, nil
	}
	p := &queuedPage{size: size, started: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, p)
	q.start()
	q.mu.Unlock()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-p.started:
		return q.release, nil
	case <-timer.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-p.started: // in the same moment
		q.free++
		q.start()
	default:
		q.waiting = slices.DeleteFunc(q.waiting, func(w *queuedPage) bool { return w == p })
	}
	return nil, errQueueTimeout
}

func (q *translationQueue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.start()
}

// start gives free slots to the smallest waiting pages. q.mu is held.
func (q *translationQueue) start() {
	for q.free > 0 && len(q.waiting) > 0 {
		p := slices.MinFunc(q.waiting, func(a, b *queuedPage) int { return a.size - b.size })
		q.waiting = slices.DeleteFunc(q.waiting, func(w *queuedPage) bool { return w == p })
		q.free--
		close(p.started)
	}
}
