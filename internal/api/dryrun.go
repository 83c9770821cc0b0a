package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
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

	dryRunParameter   = "dry_run"
	timeoutParameter  = "timeout"
	dryRunDescription = "With dry_run=1 nothing is activated or stored: each connected worker reports which series of its engines would appear, disappear or change, and the coverage before and after. Four such runs are possible at a time."
)

// DryRunQuery has the query parameters of a dry run.
type DryRunQuery struct {
	DryRun  string `query:"dry_run" doc:"1: say what would change, and change nothing"`
	Timeout string `query:"timeout" doc:"How long a dry run waits for workers, 1s to 1m, as a duration or in seconds; 10s by default"`

	dry  bool
	wait time.Duration
}

// Resolve reads the parameters. A misspelled dry_run must not cause a change, so anything similar to it is an error.
func (in *DryRunQuery) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return []error{invalidQuery("parameters", err.Error())}
	}
	for name := range query {
		spelled := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(strings.TrimSpace(name)))
		if spelled == "dryrun" && name != dryRunParameter {
			return []error{invalidQuery(fmt.Sprintf("%.40q", name), "write it as "+dryRunParameter)}
		}
	}
	if values, given := query[dryRunParameter]; given {
		switch value := values[0]; {
		case len(values) > 1:
			return []error{invalidQuery(dryRunParameter, "it is given more than once")}
		case value == "1", value == "true":
			in.dry = true
		case value == "0", value == "false":
		default:
			return []error{invalidQuery(dryRunParameter, fmt.Sprintf("found %.40q, allowed are 1 and 0", value))}
		}
	}
	in.wait = defaultDryRunTime
	values, given := query[timeoutParameter]
	if !given {
		return nil
	}
	if !in.dry {
		return []error{invalidQuery(timeoutParameter, "only a dry run waits; add "+dryRunParameter+"=1 or leave it out")}
	}
	wait, err := time.ParseDuration(values[0])
	if seconds, numberErr := strconv.ParseFloat(values[0], 64); numberErr == nil && seconds >= 0 && seconds <= maxDryRunTime.Seconds() {
		wait, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || wait < minDryRunTime || wait > maxDryRunTime {
		return []error{invalidQuery(timeoutParameter, fmt.Sprintf("found %.40q, allowed are %s to %s", values[0], minDryRunTime, maxDryRunTime))}
	}
	in.wait = wait
	return nil
}

func invalidQuery(name, detail string) error {
	return &huma.ErrorDetail{Location: "query." + name, Message: detail + "; nothing was changed"}
}

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

// dryRun asks every connected worker what the document would change; nil is the built-in default.
func (a *API) dryRun(ctx context.Context, document []byte, wait time.Duration) (*mappingOutput, error) {
	var effective []byte // what workers understand, whatever their own built-in document is
	if document != nil {
		var err error
		if effective, err = mapping.EffectiveJSON(document); err != nil {
			return nil, a.problem(ctx, admin, "try metrics mapping", err)
		}
	}
	connected := a.streams.open()
	id := rand.Text()
	run, end, ok := a.dryRuns.begin(id, connected)
	if !ok {
		return nil, huma.ErrorWithHeaders(
			&Problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("%d dry runs are under way already; try again in a moment", maxDryRuns)},
			http.Header{"Retry-After": {"2"}})
	}
	defer end()
	before := a.opts.Mapping.Current()
	frame, err := eventFrame("event: dry-run", wire.DryRunEvent{
		ID: id, TimeoutMillis: wait.Milliseconds(), Default: document == nil, Document: effective,
		MaxBytes: min(max(dryRunListsBytes/max(len(connected), 1), minDryRunLists), maxDryRunLists),
	})
	if err != nil {
		return nil, a.problem(ctx, admin, "try metrics mapping", err)
	}
	a.streams.send(connected, frame)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-run.done:
	case <-timer.C:
	case <-a.stopping:
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "the server stops"}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answer := &wire.MappingDryRun{
		Status: "dry run", Generation: before.Number,
		Unchanged: document == nil && before.Default || document != nil && bytes.Equal(document, before.Document),
	}
	answer.Workers = workerDryRuns(a.opts.Inventory.Snapshot(), connected, a.dryRuns.got(run), wait)
	for _, w := range answer.Workers {
		for _, in := range w.Instances {
			answer.Added += in.Added
			answer.Removed += in.Removed
			answer.Changed += in.Changed
		}
	}
	return &mappingOutput{Body: mappingAnswer{dryRun: answer}}, nil
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
