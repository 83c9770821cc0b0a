package api

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of workers' checks.
const (
	// maxChecks bounds the workers that are being asked, and so the answers in memory before they are taken.
	maxChecks = 8
	// maxWorkerChecks are those of one worker: with and without its log.
	maxWorkerChecks = 2
	// checkTime is how long a worker may take: four fifths of it are more than the 5 s of a scrape.
	checkTime = 7 * time.Second
	// maxCheckBody bounds an answer: 1 MiB of metrics, the settings and the log, with the escapes of JSON.
	maxCheckBody = 6 << 20
)

// WorkerCheck is what a worker says of itself, and when. The worker's clock was read between Asked and Answered.
type WorkerCheck struct {
	Asked, Answered time.Time
	wire.WorkerCheck
}

// checkKey tells checks apart: one without the log cannot serve those who want it.
type checkKey struct {
	worker int64
	log    bool
}

// checks are the workers that are asked to examine themselves. Any number may wait for a place: they hold nothing.
type checks struct {
	*questions[checkKey, receivedCheck, *WorkerCheck]
	places chan struct{}
}

type receivedCheck struct {
	at    time.Time
	check wire.WorkerCheck
}

func newChecks() checks {
	return checks{questions: newQuestions[checkKey, receivedCheck, *WorkerCheck](math.MaxInt), places: make(chan struct{}, maxChecks)}
}

func (a *API) registerChecks(h huma.API, workersTag string) {
	register(a, h, route{
		id: "answer-check", method: "POST", path: "/v2/workers/{id}/checks/{run}", access: self, tag: workersTag, maxBody: maxCheckBody,
		status: http.StatusNoContent, summary: "Answer with what a worker says of itself",
		errors: []int{http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
	}, a.answerCheck)
}

// CheckWorker asks a worker to examine itself and waits 7 s for its answer; log asks for its settings and its last log records, too. Those who
// ask for the same worker at a time share the answer, which must not be changed. Eight workers are asked at a time, and others wait for that.
//
// The error is ErrNotConnected, ErrConnectionLost, ErrNotTaken or ErrUnanswered with a sentence that names the worker, fleet.ErrNoWorker, or that of ctx.
func (a *API) CheckWorker(ctx context.Context, workerID int64, log bool) (*WorkerCheck, error) {
	snapshot := a.opts.Inventory.Snapshot()
	i, ok := slices.BinarySearchFunc(snapshot.Workers, workerID, func(w fleet.Worker, id int64) int { return cmp.Compare(w.ID, id) })
	if !ok {
		return nil, fmt.Errorf("%w: worker %d is not registered here or was removed", fleet.ErrNoWorker, workerID)
	}
	check, _, err := a.checks.share(ctx, checkKey{workerID, log}, &snapshot.Workers[i], func(asked *question[receivedCheck, *WorkerCheck]) (*WorkerCheck, error) {
		select {
		case a.checks.places <- struct{}{}:
			defer func() { <-a.checks.places }()
		case <-a.stopping:
			return nil, errStopping
		}
		begun := time.Now()
		got, err := ask(a, asked, "check", wire.CheckEvent{ID: asked.id, TimeoutMillis: checkTime.Milliseconds(), Log: log}, checkTime, "a check of itself")
		if err != nil {
			return nil, err
		}
		if !log {
			got.check.Settings, got.check.Log = nil, nil
		}
		return &WorkerCheck{begun, got.at, got.check}, nil
	})
	return check, err
}

// Connected returns the workers that have a watch stream now, in no order.
func (a *API) Connected() []int64 { return a.streams.open() }

type checkAnswerInput struct {
	ID   int64  `path:"id" minimum:"1" doc:"Worker id"`
	Run  string `path:"run" maxLength:"64" doc:"Id of the check, as in its event"`
	Body wire.WorkerCheck
}

func (a *API) answerCheck(_ context.Context, in *checkAnswerInput) (*none, error) {
	if !a.checks.answer(in.Run, in.ID, receivedCheck{time.Now(), in.Body}) {
		return nil, &Problem{Status: http.StatusGone, Detail: "the check has ended and no longer waits for this answer"}
	}
	return nil, nil
}
