package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of dry runs.
const (
	// maxDryRuns bounds the concurrent dry runs.
	maxDryRuns = 4
	// Timeouts for the workers' answers.
	defaultDryRunTime = 10 * time.Second
	minDryRunTime     = time.Second
	maxDryRunTime     = time.Minute
	// maxDryRunBody bounds a worker's answer: its counts and its lists. The event tells the worker how long the lists may be.
	maxDryRunBody    = 4 << 20
	minDryRunLists   = 64 << 10
	maxDryRunLists   = 1 << 20
	dryRunListsBytes = 16 << 20 // of all workers
	// maxDryRunBytes bounds the answers that one dry run holds.
	maxDryRunBytes = 64 << 20

	dryRunDescription = "With dry_run=1 nothing is activated or stored: each connected worker reports which series of its engines would appear, disappear or change, and the coverage before and after. Four such runs are possible at a time."
)

// dryRuns holds the dry runs that wait for answers. The zero value is ready to use.
type dryRuns struct {
	mu   sync.Mutex
	byID map[string]*dryRun
}

// dryRun waits for the answers of workers.
type dryRun struct {
	// Guarded by dryRuns.mu.
	waiting map[int64]bool // workers that have not answered
	answers map[int64]wire.DryRunResult
	bytes   int
	done    chan struct{} // closed when every worker has answered
}

// begin adds a run that waits for these workers, or returns false if there are too many runs. The caller must call end.
func (d *dryRuns) begin(id string, workers []int64) (run *dryRun, end func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.byID) >= maxDryRuns {
		return nil, nil, false
	}
	if d.byID == nil {
		d.byID = make(map[string]*dryRun)
	}
	run = &dryRun{waiting: make(map[int64]bool, len(workers)), answers: make(map[int64]wire.DryRunResult, len(workers)), done: make(chan struct{})}
	for _, worker := range workers {
		run.waiting[worker] = true
	}
	if len(workers) == 0 {
		close(run.done)
	}
	d.byID[id] = run
	return run, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.byID, id)
	}, true
}

// answer stores a worker's answer, or returns false if no run waits for it.
func (d *dryRuns) answer(id string, worker int64, result wire.DryRunResult, size int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	run := d.byID[id]
	if run == nil || !run.waiting[worker] {
		return false
	}
	delete(run.waiting, worker)
	if run.bytes+size > maxDryRunBytes {
		result = wire.DryRunResult{Generation: result.Generation, Error: fmt.Sprintf("the answers of all workers exceed %d bytes, so this worker's answer is left out", maxDryRunBytes)}
	} else {
		run.bytes += size
	}
	run.answers[worker] = result
	if len(run.waiting) == 0 {
		close(run.done)
	}
	return true
}

// got returns the answers so far and ends the wait for more.
func (d *dryRuns) got(run *dryRun) map[int64]wire.DryRunResult {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(run.waiting) // later answers are refused
	return run.answers
}

// errDryRunsFull is the error of a dry run that finds no place.
var errDryRunsFull = fmt.Errorf("%d dry runs are under way already", maxDryRuns)

// askWorkers asks every connected worker what a document would change, as workers get it; nil is the built-in default. It waits for at most
// as long as wait. Without lists the results have counts alone.
func (a *API) askWorkers(ctx context.Context, effective []byte, wait time.Duration, lists bool) ([]wire.WorkerDryRun, error) {
	connected := a.streams.open()
	answers := map[int64]wire.DryRunResult{}
	if len(connected) > 0 {
		id := rand.Text()
		run, end, ok := a.dryRuns.begin(id, connected)
		if !ok {
			return nil, errDryRunsFull
		}
		defer end()
		maxBytes := 0
		if lists {
			maxBytes = min(max(dryRunListsBytes/len(connected), minDryRunLists), maxDryRunLists)
		}
		frame, err := eventFrame("event: dry-run", wire.DryRunEvent{
			ID: id, TimeoutMillis: wait.Milliseconds(), Default: effective == nil, Document: effective, MaxBytes: maxBytes,
		})
		if err != nil {
			return nil, err
		}
		a.streams.send(connected, frame)
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-run.done:
		case <-timer.C:
		case <-a.stopping:
			return nil, errStopping
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		answers = a.dryRuns.got(run)
	}
	return workerDryRuns(a.opts.Inventory.Snapshot(), connected, answers, wait), nil
}

// dryRun says what a proposal would change.
func (a *API) dryRun(ctx context.Context, p *proposal, wait time.Duration) (*mappingOutput, error) {
	before := a.opts.Mapping.Current()
	workers, err := a.askWorkers(ctx, p.effective, wait, true)
	switch {
	case errors.Is(err, errDryRunsFull):
		return nil, huma.ErrorWithHeaders(
			&Problem{Status: http.StatusServiceUnavailable, Detail: err.Error() + "; try again in a moment"},
			http.Header{"Retry-After": {"2"}})
	case errors.Is(err, errStopping):
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "the server stops"}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, a.problem(ctx, admin, "try metrics mapping", err)
	}
	answer := &wire.MappingDryRun{Status: "dry run", Generation: before.Number, Unchanged: p.isActive(&before), Workers: workers}
	for _, w := range workers {
		for _, in := range w.Instances {
			answer.Added += in.Added
			answer.Removed += in.Removed
			answer.Changed += in.Changed
		}
	}
	if !answer.Unchanged {
		metrics, err := a.vanishingMetrics(&before, p)
		if err != nil {
			return nil, a.problem(ctx, admin, "try metrics mapping", err)
		}
		answer.Vanishing = vanishing(metrics, workers)
	}
	return &mappingOutput{ETag: generationTag(before.Number), Body: mappingAnswer{dryRun: answer}}, nil
}

// workerDryRuns lists the results of all workers of the inventory, and of those that were connected.
func workerDryRuns(snapshot *fleet.Snapshot, connected []int64, answers map[int64]wire.DryRunResult, wait time.Duration) []wire.WorkerDryRun {
	workers := make(map[int64]wire.WorkerDryRun, len(snapshot.Workers))
	for i := range snapshot.Workers {
		workers[snapshot.Workers[i].ID] = wire.WorkerDryRun{
			WorkerName: snapshot.Workers[i].Name, State: wire.DryRunNotConnected, Detail: "it has no watch stream to this server now, so it was not asked",
		}
	}
	for _, id := range connected {
		w := workers[id]
		result, answered := answers[id]
		switch {
		case !answered:
			w.State, w.Detail = wire.DryRunUnanswered, fmt.Sprintf("it did not answer within %s; older versions of the worker cannot", wait)
		case result.Error != "":
			w.State, w.Detail, w.Generation = wire.DryRunFailed, result.Error, &result.Generation
		default:
			w.State, w.Detail, w.Generation, w.Instances = wire.DryRunAnswered, "", &result.Generation, result.Instances
		}
		workers[id] = w
	}
	list := make([]wire.WorkerDryRun, 0, len(workers))
	for _, id := range slices.Sorted(maps.Keys(workers)) {
		w := workers[id]
		w.WorkerID = id
		if w.Instances == nil {
			w.Instances = []wire.InstanceDryRun{}
		}
		list = append(list, w)
	}
	return list
}

type dryRunAnswerInput struct {
	ID      int64  `path:"id" minimum:"1" doc:"Worker id"`
	Run     string `path:"run" maxLength:"64" doc:"Id of the dry run, as in its event"`
	RawBody []byte
	Body    wire.DryRunResult
}

func (a *API) answerDryRun(_ context.Context, in *dryRunAnswerInput) (*none, error) {
	if !a.dryRuns.answer(in.Run, in.ID, in.Body, len(in.RawBody)) {
		return nil, &Problem{Status: http.StatusGone, Detail: "the dry run has ended and no longer waits for this answer"}
	}
	return nil, nil
}
