package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const maxDryRuns = 4 // at a time; a server starts no more

var (
	errTooManyDryRuns = fmt.Errorf("the worker already runs %d dry runs, the most that it may", maxDryRuns)
	errNoMetrics      = errors.New("the worker serves no metrics")
)

// startDryRun runs a dry run beside the stream and answers the server with its result or its error.
func (s *Session) startDryRun(ctx context.Context, m Membership, ev wire.DryRunEvent, running *requests) {
	running.start(ctx, ev.TimeoutMillis, func(ctx context.Context, fetched time.Time) {
		result, err := s.dryRun(ctx, ev, fetched)
		if err != nil {
			_, generation := s.opts.Mapping.Current()
			result = wire.DryRunResult{Generation: generation, Error: clip.End(err.Error(), maxErrorBytes), Instances: []wire.InstanceDryRun{}}
		}
		if err := s.opts.Server.AnswerDryRun(ctx, m, ev.ID, result); err != nil && ctx.Err() == nil {
			s.logger.Warn("result of a dry run could not be sent", "error", err)
		}
	}, func() {
		s.logger.Warn("dry run is skipped", "error", errTooManyDryRuns)
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
