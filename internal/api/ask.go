package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Why a worker that was asked something gave no answer. The errors say which worker, and what it was asked for.
var (
	ErrNotConnected   = errors.New("is not connected to this server now")
	ErrConnectionLost = errors.New("lost its connection to this server")
	ErrNotTaken       = errors.New("does not take what this server sends")
	ErrUnanswered     = errors.New("did not answer") // an older worker, or one that is busy
)

// questions are what workers are asked on their streams at this time. All who ask for the same share a question, which K tells; A is what
// a worker answers, R what is made of it.
type questions[K comparable, A, R any] struct {
	most int

	mu    sync.Mutex
	byID  map[string]*question[A, R]
	byKey map[K]*question[A, R]
}

type question[A, R any] struct {
	id       string
	worker   *fleet.Worker
	answered chan A        // holds one
	ended    chan struct{} // closed when result and err are set

	result R
	err    error
}

func newQuestions[K comparable, A, R any](most int) *questions[K, A, R] {
	return &questions[K, A, R]{most: most, byID: make(map[string]*question[A, R]), byKey: make(map[K]*question[A, R])}
}

// share returns the result of the question for key that is open, or of a new one, for which it calls run. ok is false if there are too many.
func (q *questions[K, A, R]) share(ctx context.Context, key K, worker *fleet.Worker, run func(*question[A, R]) (R, error)) (result R, ok bool, err error) {
	asked, begun := q.join(key, worker)
	switch {
	case asked == nil:
		return result, false, nil
	case begun:
		go func() { // others may wait for it when this request is gone
			defer q.end(key, asked)
			asked.result, asked.err = run(asked)
		}()
	}
	select {
	case <-asked.ended:
		return asked.result, true, asked.err
	case <-ctx.Done():
		return result, true, ctx.Err()
	}
}

func (q *questions[K, A, R]) join(key K, worker *fleet.Worker) (asked *question[A, R], begun bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if asked = q.byKey[key]; asked != nil {
		return asked, false
	}
	if len(q.byKey) >= q.most {
		return nil, false
	}
	asked = &question[A, R]{id: rand.Text(), worker: worker, answered: make(chan A, 1), ended: make(chan struct{})}
	q.byKey[key], q.byID[asked.id] = asked, asked
	return asked, true
}

// answer passes on a worker's answer, or returns false if nobody waits for it.
func (q *questions[K, A, R]) answer(id string, worker int64, a A) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	asked := q.byID[id]
	if asked == nil || asked.worker.ID != worker {
		return false
	}
	delete(q.byID, id)
	asked.answered <- a
	return true
}

// end lets the next request ask anew.
func (q *questions[K, A, R]) end(key K, asked *question[A, R]) {
	q.mu.Lock()
	delete(q.byKey, key)
	delete(q.byID, asked.id)
	q.mu.Unlock()
	close(asked.ended)
}

// ask sends the event of a question to its worker and waits for the answer. what is what the worker is asked for.
func ask[A, R any](a *API, q *question[A, R], event string, data any, wait time.Duration, what string) (answer A, err error) {
	name := q.worker.Name
	frame, err := eventFrame("event: "+event, data)
	if err != nil {
		return answer, fmt.Errorf("worker %s cannot be asked for %s: %w", name, what, err)
	}
	if !slices.Contains(a.streams.open(), q.worker.ID) {
		return answer, fmt.Errorf("worker %s %w, so it cannot be asked for %s", name, ErrNotConnected, what)
	}
	if a.streams.send([]int64{q.worker.ID}, frame) == 0 {
		return answer, fmt.Errorf("worker %s %w", name, ErrNotTaken)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case answer = <-q.answered:
		return answer, nil
	case <-timer.C:
		if !slices.Contains(a.streams.open(), q.worker.ID) {
			return answer, fmt.Errorf("worker %s %w while it was asked for %s", name, ErrConnectionLost, what)
		}
		return answer, fmt.Errorf("worker %s %w within %s: its version (%s) does not answer such requests, or it is busy", name, ErrUnanswered, wait, cmp.Or(q.worker.Version, fleet.Unknown))
	case <-a.stopping:
		return answer, errStopping
	}
}
