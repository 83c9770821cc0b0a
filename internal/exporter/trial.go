package exporter

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// Trial is what another mapping would make of an engine's page.
type Trial struct {
	Instance Instance
	// Err says why there is no page to try it on; the rest is then empty.
	Err           error
	Before, After TrialPage
	Difference    translate.Difference
}

// TrialPage is a page under one of the two mappings.
type TrialPage struct {
	// Fed is how many of the families that count for coverage the page feeds, Countable how many count.
	Fed, Countable      int
	Series, ParseErrors int
}

const (
	// maxTrialTranslations bounds the translations of trials that are in memory at a time.
	maxTrialTranslations = 2
	// A trial lists the first series that differ of an instance.
	maxTrialSeries      = 200
	maxTrialSeriesBytes = 64 << 10
)

// Try says what the proposed mapping would change for each engine, in the order of engines, compared with the mapping in force,
// whose generation it returns too. Each engine's page is fetched once at most, and is the one of a scrape under way if there is one.
// Pages that do not come before the deadline are left out with an error. Try returns early, with ctx' error, when ctx ends.
func (e *Exporter) Try(ctx context.Context, proposed *mapping.Compiled, deadline time.Time) ([]Trial, int64, error) {
	s := scrape{deadline: deadline, identity: e.identity()}
	s.compiled, s.generation = e.mapping.Current()
	engines := e.track()
	trials := make([]Trial, len(engines))
	var wg sync.WaitGroup
	for i, t := range engines {
		wg.Go(func() { e.try(ctx, &trials[i], t, s, proposed) })
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return trials, s.generation, nil
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
}

func (e *Exporter) try(ctx context.Context, trial *Trial, t *tracked, s scrape, proposed *mapping.Compiled) {
	defer func() {
		if p := recover(); p != nil {
			e.logger.Error("page of an engine could not be tried", "instance", trial.Instance.Name, "panic", p, "stack", string(debug.Stack()))
			*trial = Trial{Instance: trial.Instance, Err: fmt.Errorf("the page could not be translated: %v", p)}
		}
	}()
	f, err := t.board(s.deadline) //nolint:contextcheck // the fetch is shared with scrapes, which go on without this trial
	if err != nil {
		trial.Instance, trial.Err = t.engine.Instance(), err
		return
	}
	defer f.release()
	defer f.hasRead()
	trial.Instance = f.instance
	// The page waits in memory, its translations do not.
	select {
	case e.trials <- struct{}{}:
		defer func() { <-e.trials }()
	case <-ctx.Done():
		return
	}
	src := t.source(s.identity, f.instance).src
	before := f.unified(s.compiled, src, func(v variant) { e.countPage(t, v) })
	plan := proposed.Plan(f.instance.Runtime, f.instance.Version)
	after := translate.Result{MaxSamples: t.maxSeries, More: t.room.take, Users: t.users.Clone()}
	defer func() { t.room.give(after.Trim()) }()
	stats := after.Translate(f.page.Body, translate.DetectFormat(f.page.ContentType, f.page.Body), plan, src)
	trial.Before = TrialPage{Fed: before.fed, Countable: before.countable, Series: before.stats.Samples, ParseErrors: before.stats.ParseErrors}
	trial.After = TrialPage{Series: stats.Samples, ParseErrors: stats.ParseErrors}
	trial.After.Fed, trial.After.Countable = after.Coverage(plan)
	trial.Difference = translate.Compare(before.result, &after, translate.ListLimits{Series: maxTrialSeries, Bytes: maxTrialSeriesBytes})
}
