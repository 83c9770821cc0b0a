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

// DryRunResult says what a proposed mapping would change on one engine's page.
type DryRunResult struct {
	Instance Instance
	// Err says why the page could not be fetched or translated. The fields below are then zero.
	Err           error
	Before, After DryRunPage // under the active and under the proposed mapping
	Difference    translate.Difference
}

// DryRunPage counts what one mapping makes of a page.
type DryRunPage struct {
	// Fed is how many of the metrics that count for coverage the page has, Countable is how many count.
	Fed, Countable      int
	Series, ParseErrors int
}

const (
	// maxDryRunTranslations bounds how many pages dry runs translate at a time: each holds two results in memory.
	maxDryRunTranslations = 2
	// maxDryRunSeries and maxDryRunSeriesBytes bound the list of changed series of one instance.
	maxDryRunSeries      = 200
	maxDryRunSeriesBytes = 64 << 10
)

// DryRun compares the proposed mapping with the active one, whose generation it returns. The results are in the order of the
// engines. Each engine's page is fetched at most once; a fetch that a scrape has begun is shared. A page that does not come before
// the deadline gives a result with an error. DryRun returns early, with ctx' error, when ctx ends.
func (e *Exporter) DryRun(ctx context.Context, proposed *mapping.Compiled, deadline time.Time) ([]DryRunResult, int64, error) {
	s := scrape{fetchBy: deadline, identity: e.identity()}
	s.compiled, s.generation = e.mapping.Current()
	engines := e.states()
	results := make([]DryRunResult, len(engines))
	var wg sync.WaitGroup
	for i, t := range engines {
		wg.Go(func() { e.dryRun(ctx, &results[i], t, s, proposed) })
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return results, s.generation, nil
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
}

// dryRun fills in the result of one engine.
func (e *Exporter) dryRun(ctx context.Context, result *DryRunResult, t *engineState, s scrape, proposed *mapping.Compiled) {
	defer func() {
		if p := recover(); p != nil {
			e.logger.Error("dry run: the engine's page could not be translated", "instance", result.Instance.Name, "panic", p, "stack", string(debug.Stack()))
			*result = DryRunResult{Instance: result.Instance, Err: fmt.Errorf("the page could not be translated: %v", p)}
		}
	}()
	f, err := t.join(s.fetchBy) //nolint:contextcheck // scrapes share the fetch and go on without this dry run
	if err != nil {
		result.Instance, result.Err = t.engine.Instance(), err
		return
	}
	defer f.release()
	defer f.releasePage()
	result.Instance = f.instance
	select {
	case e.dryRuns <- struct{}{}:
		defer func() { <-e.dryRuns }()
	case <-ctx.Done():
		return
	}
	src := t.source(s.identity, f.instance).src
	before := f.translate(s.compiled, src, func(u unifiedPage) { e.countPage(t, u) })
	plan := proposed.Plan(f.instance.Runtime, f.instance.Version)
	after := translate.Result{MaxSamples: t.maxSeries, Memory: t.memory, Users: t.users.Clone()}
	defer after.Trim()
	stats := after.Translate(f.page.Body, translate.DetectFormat(f.page.ContentType, f.page.Body), plan, src)
	result.Before = DryRunPage{Fed: before.fed, Countable: before.countable, Series: before.stats.Samples, ParseErrors: before.stats.ParseErrors}
	result.After = DryRunPage{Series: stats.Samples, ParseErrors: stats.ParseErrors}
	result.After.Fed, result.After.Countable = after.Coverage(plan)
	result.Difference = translate.Compare(before.result, &after, translate.ListLimits{Series: maxDryRunSeries, Bytes: maxDryRunSeriesBytes})
}
