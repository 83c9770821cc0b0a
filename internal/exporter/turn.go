package exporter

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"
)

// smallPageBytes is what a page may have to be translated at once: all usual ones are smaller.
const smallPageBytes = 512 << 10

var errNoTurn = errors.New("pages of other engines took all the time for translations")

// turns are for the translation of large pages, smaller ones first. They leave half of the processors to all else.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting []*turn
}

type turn struct {
	size  int
	begin chan struct{} // closed when it begins
}

func newTurns() *turns { return &turns{free: max(1, runtime.GOMAXPROCS(0)/2)} }

// wait waits until a page of a size may be translated. The caller must then call done.
func (q *turns) wait(size int, closing time.Time) (done func(), err error) {
	if size <= smallPageBytes {
		return func() {}, nil
	}
	t := &turn{size: size, begin: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, t)
	q.next()
	q.mu.Unlock()
	timer := time.NewTimer(time.Until(closing))
	defer timer.Stop()
	select {
	case <-t.begin:
		return q.done, nil
	case <-timer.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-t.begin: // at the last moment
		q.free++
		q.next()
	default:
		q.waiting = slices.DeleteFunc(q.waiting, func(w *turn) bool { return w == t })
	}
	return nil, errNoTurn
}

func (q *turns) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.next()
}

// next begins what may begin. The caller holds q.mu.
func (q *turns) next() {
	for q.free > 0 && len(q.waiting) > 0 {
		t := slices.MinFunc(q.waiting, func(a, b *turn) int { return a.size - b.size })
		q.waiting = slices.DeleteFunc(q.waiting, func(w *turn) bool { return w == t })
		q.free--
		close(t.begin)
	}
}
