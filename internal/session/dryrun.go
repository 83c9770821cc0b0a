package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	maxDryRuns       = 4 // at a time; a server starts no more
	maxDryRunTimeout = time.Minute
	// fetchShare of the time that the server waits is for fetching pages, the rest for comparing them and answering.
	fetchShare = 0.8
)

var (
	errTooManyDryRuns = fmt.Errorf("the worker already runs %d dry runs, the most that it may", maxDryRuns)
	errNoMetrics      = errors.New("the worker serves no metrics")
)

// dryRuns are the dry runs in progress. They run beside the stream that asks for them.
type dryRuns struct {
	session *Session
	member  Membership
	slots   chan struct{}
	running sync.WaitGroup
}

func newDryRuns(s *Session, m Membership) *dryRuns {
	return &dryRuns{session: s, member: m, slots: make(chan struct{}, maxDryRuns)}
}

// wait returns when all have ended, which they do with the context that they were started with.
func (d *dryRuns) wait() { d.running.Wait() }

// start runs a dry run and answers the server with its result or its error.
func (d *dryRuns) start(ctx context.Context, ev wire.DryRunEvent) {
	started := time.Now()
	timeout := min(time.Duration(ev.TimeoutMillis)*time.Millisecond, maxDryRunTimeout)
	select {
	case d.slots <- struct{}{}:
	default:
		d.session.logger.Warn("dry run is skipped", "error", errTooManyDryRuns)
		return
	}
	d.running.Go(func() {
		defer func() { <-d.slots }()
		ctx, cancel := context.WithDeadline(ctx, started.Add(timeout))
		defer cancel()
		result, err := d.session.dryRun(ctx, ev, started.Add(time.Duration(fetchShare*float64(timeout))))
		if err != nil {
			_, generation := d.session.opts.Mapping.Current()
			result = wire.DryRunResult{Generation: generation, Error: clip.End(err.Error(), maxErrorBytes), Instances: []wire.InstanceDryRun{}}
		}
		if err := d.session.opts.Server.AnswerDryRun(ctx, d.member, ev.ID, result); err != nil && ctx.Err() == nil {
			d.session.logger.Warn("result of a dry run could not be sent", "error", err)
		}
	})
}

// dryRun returns what the mapping of ev would change. Pages that do not come before the deadline are left out with an error.
func (s *Session) dryRun(ctx context.Context, ev wire.DryRunEvent, deadline time.Time) (wire.DryRunResult, error) {
	if s.opts.DryRun == nil {
		return wire.DryRunResult{}, errNoMetrics
	}
	doc := mapping.Default()
	if !ev.Default {
		var err error
		if doc, err = mapping.Decode(ev.Document); err != nil {
			return wire.DryRunResult{}, fmt.Errorf("this worker would refuse the mapping: %w", err)
		}
	}
	proposed, err := mapping.Compile(doc)
	if err != nil {
		return wire.DryRunResult{}, fmt.Errorf("this worker would refuse the mapping: %w", err)
	}
	engines, generation, err := s.opts.DryRun(ctx, proposed, deadline)
	if err != nil {
		return wire.DryRunResult{}, err
	}
	result := wire.DryRunResult{Generation: generation, Instances: make([]wire.InstanceDryRun, len(engines))}
	left := newByteBudget(ev.MaxBytes)
	for i := range engines {
		result.Instances[i] = left.instance(&engines[i])
	}
	return result, nil
}
