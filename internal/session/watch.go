package session

import (
	"context"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

// stableStream is how long a watch stream must have been open for its end not to lengthen the pauses.
const stableStream = 10 * time.Second

// watch follows the mapping, and answers dry runs, requests for pages and for checks. It returns errUnknown, or nil when ctx ends.
//
// The first stream asks for any generation, not only for newer ones: a server that lost its database counts from 1 again.
func (s *Session) watch(ctx context.Context, m Membership) error {
	const anyGeneration = -1
	generation := int64(anyGeneration)
	var pauses backoff.Backoff
	dryRuns := newRequests(maxDryRuns)
	defer dryRuns.wait()
	pages := newRequests(maxPages)
	defer pages.wait()
	checks := newRequests(maxChecks)
	defer checks.wait()
	events := client.Events{
		Mapping: func(ev wire.MappingEvent) error {
			s.logOutcome("watch", nil)
			s.apply(ev)
			return nil
		},
		DryRun: func(ev wire.DryRunEvent) error {
			s.startDryRun(ctx, m, ev, dryRuns)
			return nil
		},
		Page: func(ev wire.PageEvent) error {
			s.startPage(ctx, m, ev, pages)
			return nil
		},
		Check: func(ev wire.CheckEvent) error {
			s.startCheck(ctx, m, ev, checks)
			return nil
		},
	}
	for ctx.Err() == nil {
		opened := time.Now()
		if generation != anyGeneration {
			events.Document = s.opts.Mapping.Document()
		}
		err := s.opts.Server.Watch(ctx, m, generation, events)
		switch {
		case ctx.Err() != nil:
			return nil
		case unknownToServer(err):
			return errUnknown
		}
		_, generation = s.opts.Mapping.Current()
		if time.Since(opened) >= stableStream {
			pauses.Reset()
		}
		s.logOutcome("watch", err)
		s.Changed() // a report shows whether the server is there at all
		pause(ctx, &pauses, err)
	}
	return nil
}

// apply activates a mapping. A mapping that this worker cannot use is logged, and the one before stays active.
func (s *Session) apply(ev wire.MappingEvent) {
	if err := s.opts.Mapping.Apply(ev); err != nil {
		s.logger.Error("metrics mapping cannot be applied", "error", err)
		return
	}
	s.logger.Info("metrics mapping is applied", "generation", ev.Generation, "default", ev.Default)
	s.Changed()
}
