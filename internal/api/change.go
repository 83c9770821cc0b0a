package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	// vanishingTime is how long a change waits for workers, which spend four fifths of it on engines' pages.
	vanishingTime = 2 * time.Second
	// maxVanishingUnknown bounds how many workers and instances are named of which nothing is known. A mapping has 1000 metrics at most.
	maxVanishingUnknown = 50
)

// proposal is a mapping that is to be activated or tried.
type proposal struct {
	doing        string
	document     *mapping.Document // nil: the built-in default
	expect       int64             // as ChangeRequest.IfGeneration
	restoredFrom *int64            // as Note.RestoredFrom

	posted, effective []byte // canonical JSON; nil of the built-in default
}

// isActive reports whether the mapping is the active one.
func (p *proposal) isActive(active *Generation) bool {
	return p.document == nil && active.Default || p.document != nil && bytes.Equal(p.posted, active.Document)
}

// compiled returns the mapping compiled.
func (p *proposal) compiled() (*mapping.Compiled, error) {
	if p.document == nil {
		return mapping.Compile(mapping.Default())
	}
	return mapping.Compile(p.document)
}

// change activates a mapping, or says what that would change.
func (a *API) change(ctx context.Context, q *ChangeQuery, p proposal) (*mappingOutput, error) {
	if p.document != nil {
		var err error
		if p.posted, err = a.opts.Mapping.Check(p.document); err != nil {
			return nil, a.problem(ctx, admin, p.doing, err)
		}
		if p.effective, err = p.document.Effective().MarshalJSON(); err != nil {
			return nil, a.problem(ctx, admin, p.doing, err)
		}
	}
	if q.dry {
		return a.dryRun(ctx, &p, q.wait)
	}
	before := a.opts.Mapping.Current()
	var took *wire.Vanishing
	if !p.isActive(&before) {
		took = a.beforeChange(ctx, &before, &p)
	}
	r := ChangeRequest{IfGeneration: p.expect, Note: Note{Author: cmp.Or(q.Author, adminOf(ctx)), Comment: q.Comment, RestoredFrom: p.restoredFrom}}
	var done Change
	var err error
	if p.document == nil {
		done, err = a.opts.Mapping.Reset(ctx, r)
	} else {
		done, err = a.opts.Mapping.Publish(ctx, p.document, r)
	}
	if err != nil {
		if errors.Is(err, ErrGeneration) {
			return nil, a.generationMismatch(p.expect)
		}
		return nil, a.problem(ctx, admin, p.doing, err)
	}
	if !done.Changed {
		took = nil
	} else if done.Before != before.Number {
		took = &wire.Vanishing{Metrics: []wire.VanishingMetric{}, Unknown: []string{
			fmt.Sprintf("generation %d became active while the workers were asked: what vanished with its replacement was not counted", done.Before),
		}}
	}
	return &mappingOutput{
		ETag: generationTag(done.Generation),
		Body: mappingAnswer{status: &wire.MappingStatus{Status: "ok", Generation: done.Generation, Workers: done.Workers, Unchanged: !done.Changed, Vanishing: took}},
	}, nil
}

// beforeChange says what a change of the active generation will take away, as far as the workers answer in time. It never fails.
func (a *API) beforeChange(ctx context.Context, before *Generation, p *proposal) *wire.Vanishing {
	metrics, err := a.vanishingMetrics(before, p)
	if err != nil {
		return &wire.Vanishing{Metrics: []wire.VanishingMetric{}, Unknown: []string{"the metrics of both documents could not be compared: " + err.Error()}}
	}
	workers, err := a.askWorkers(ctx, p.effective, vanishingTime, false)
	v := vanishing(metrics, workers)
	if err != nil {
		if v == nil {
			v = &wire.Vanishing{Metrics: []wire.VanishingMetric{}}
		}
		v.Unknown = append(v.Unknown, "no worker was asked which series vanish: "+err.Error())
	}
	return v
}

// vanishingMetrics compares the documents alone.
func (a *API) vanishingMetrics(before *Generation, p *proposal) ([]mapping.VanishingMetric, error) {
	was, err := mapping.Decode(before.Effective)
	if err != nil {
		return nil, err
	}
	active, err := mapping.Compile(was)
	if err != nil {
		return nil, err
	}
	proposed, err := p.compiled()
	if err != nil {
		return nil, err
	}
	return mapping.Vanishing(active, proposed), nil
}

// vanishing returns what a mapping takes away, nil if nothing does that is known and everything is known.
func vanishing(metrics []mapping.VanishingMetric, workers []wire.WorkerDryRun) *wire.Vanishing {
	v := &wire.Vanishing{Metrics: make([]wire.VanishingMetric, len(metrics))}
	for i := range v.Metrics {
		v.Metrics[i] = wire.VanishingMetric(metrics[i])
	}
	unknown := 0
	say := func(format string, args ...any) {
		if unknown++; unknown < maxVanishingUnknown {
			v.Unknown = append(v.Unknown, fmt.Sprintf(format, args...))
		}
	}
	for _, w := range workers {
		if w.State != wire.DryRunAnswered {
			say("worker %s: %s", w.WorkerName, w.Detail)
		}
		for i := range w.Instances {
			in := &w.Instances[i]
			if in.Error != "" || in.Before == nil {
				say("instance %s of worker %s: %s", in.Name, w.WorkerName, cmp.Or(in.Error, "its worker says nothing of its page"))
			}
			v.Series += in.Removed
		}
	}
	if more := unknown - len(v.Unknown); more > 0 {
		v.Unknown = append(v.Unknown, fmt.Sprintf("and %d more", more))
	}
	if len(v.Metrics) == 0 && v.Series == 0 && unknown == 0 {
		return nil
	}
	return v
}
