package prom

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"

	compose "github.com/stackscope/stackscope/docker-compose"
)

// A function of a range that looks at too many samples could not be ended: it is refused, wherever it stands.
func TestVisitsAreBounded(t *testing.T) {
	t.Parallel()
	b := newTestBudget(Options{})
	for expr, steps := range map[string]int{
		"quantile_over_time(0.5, vector(1)[101s:1ms])":                          10_000,
		"quantile_over_time(0.5, (vector(1))[101s:1ms])":                        10_000,
		"1 + sum(max_over_time((vector(1)[101s:1ms])))":                         10_000,
		"max_over_time(quantile_over_time(0.5, vector(1)[100s:1ms])[100s:1ms])": 0,
		"max_over_time(max_over_time(m[10d])[1h:1s] @ 5)":                       0,
		"max_over_time(m[20y])":                                                 0,
		"topk(scalar(max_over_time(m[10d])), m)":                                1000,
		"max_over_time(m[100y:1ms])":                                            10_000,
		"predict_linear(m[8d], 5)":                                              1000,
	} {
		for name, engine := range map[string]*queries{"users": b.users, "rules": b.rules} {
			var q promql.Query
			var err error
			if steps == 0 {
				q, err = engine.NewInstantQuery(t.Context(), noSamples{}, nil, expr, testStart)
			} else {
				q, err = engine.NewRangeQuery(t.Context(), noSamples{}, nil, expr, testStart, testStart.Add(time.Duration(steps-1)*testStep), testStep)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := q.Exec(t.Context())
			q.Close()
			if _, ok := errors.AsType[promql.ErrTooManySamples](r.Err); !ok || !strings.Contains(r.Err.Error(), "samples for each series") {
				t.Errorf("%s in %d steps by %s: %v", expr, steps, name, r.Err)
			}
		}
	}
	for expr, steps := range map[string]int{
		"rate(m[1h])": 11_000, "quantile_over_time(0.9, m[1h])": 11_000, "avg_over_time(m[1d])": 5000, "max_over_time(m[10y])": 0,
		"max_over_time(rate(m[5m])[1d:1m])": 1500, "max_over_time(m[100d] @ 5)": 11_000,
	} {
		if r := ask(t, b, noSamples{}, expr, steps); r.Err != nil {
			t.Errorf("%s in %d steps: %v", expr, steps, r.Err)
		}
	}
	holding(t, b)
}

// Every panel passes with a day as its range, in as many steps as a wide screen has points.
func TestDashboardsAreWithinVisits(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(compose.Dashboards(), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	b := newTestBudget(Options{})
	variable, found := regexp.MustCompile(`\$\w+|\$\{\w+\}`), 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				walk(e)
				text, ok := e.(string)
				if name != "expr" || !ok {
					continue
				}
				found++
				text = variable.ReplaceAllString(strings.ReplaceAll(text, "$quantile", "0.9"), "1d")
				q, err := b.users.NewRangeQuery(t.Context(), noSamples{}, nil, text, testStart, testStart.Add(24*time.Hour), 24*time.Hour/4000)
				if err != nil {
					t.Errorf("%s: %v", text, err)
				} else if err := q.(*budgetedQuery).cost.checkVisits(); err != nil {
					t.Errorf("%s: %v", text, err)
				}
			}
		}
	}
	for _, name := range names {
		text, err := fs.ReadFile(compose.Dashboards(), name)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard any
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatal(err)
		}
		walk(dashboard)
	}
	if found < 100 {
		t.Errorf("only %d expressions in the dashboards", found)
	}
}

// The worst that passes ends by itself soon after its client has left.
func TestWhatPassesEndsWithItsClient(t *testing.T) { //nolint:paralleltest // it takes a core
	if testing.Short() {
		t.Skip("takes a core for seconds")
	}
	const step = 10 * time.Millisecond
	for _, expr := range []string{
		"quantile_over_time(0.5, vector(time()*7919.37 % 1000)[60s:1ms])",
		"predict_linear(vector(time()*7919.37 % 1000)[60s:1ms], 5)",
	} {
		b := newTestBudget(Options{})
		steps := 1
		prepare := func() *budgetedQuery {
			q, err := b.users.NewRangeQuery(t.Context(), noSamples{}, nil, expr, testStart, testStart.Add(time.Duration(steps-1)*step), step)
			if err != nil {
				t.Fatal(err)
			}
			return q.(*budgetedQuery)
		}
		q := prepare()
		steps = int(maxVisits / q.cost.visits)
		q.Close()
		if q = prepare(); q.cost.checkVisits() != nil || steps < 10 {
			t.Fatalf("%s: %d steps are beyond the bound", expr, steps)
		}
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(200*time.Millisecond, leave)
		begin := time.Now()
		r := q.Exec(ctx)
		q.Close()
		t.Logf("%s in %d steps ended after %v: %v", expr, steps, time.Since(begin), r.Err)
		holding(t, b)
	}
}
