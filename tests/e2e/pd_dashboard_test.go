package e2e

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	compose "github.com/stackscope/stackscope/docker-compose"
	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
	"github.com/stackscope/stackscope/tests/programs"
)

// pdDashboard is the dashboard about prefill and decode.
func pdDashboard(t *testing.T) viewer.Dashboard {
	t.Helper()
	all, err := viewer.Load(compose.Dashboards())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d viewer.Dashboard) bool { return d.UID == "gpustack-pd" })
	if i < 0 {
		t.Fatal("there is no dashboard gpustack-pd")
	}
	return all[i]
}

// shown is what a query of the dashboard must say of a model. Values are by role, where the query has a series for each.
type shown struct {
	panel  string
	query  int // number of the panel's query
	model  string
	want   map[string]float64
	within float64 // relative
	rate   bool    // want is the sum over the window of a query that shows a rate
}

// alone is the value of a query of one series.
func alone[N int | float64](v N) map[string]float64 { return map[string]float64{"": float64(v)} }

// watch waits until every query shows what it should. Rates are those over the time since began.
func (d *pdDemo) watch(t *testing.T, dashboard viewer.Dashboard, began time.Time, all []shown) {
	t.Helper()
	one := func(e shown) error {
		window := int(max(time.Minute, time.Since(began)).Seconds())
		i := slices.IndexFunc(dashboard.Panels, func(p viewer.Panel) bool { return p.Title == e.panel })
		if i < 0 || len(dashboard.Panels[i].Targets) <= e.query {
			return fmt.Errorf("there is no query %d of a panel %q", e.query, e.panel)
		}
		value := func(text string) viewer.Value { return viewer.Value{Chosen: []string{text}} }
		expr := viewer.Fill(dashboard.Panels[i].Targets[e.query].Expr, viewer.Values{
			"cluster_name": value("default"), "model_name": value(e.model), "counted_role": value("decode"), "role": value("prefill|decode|router"),
			"__rate_interval": value(strconv.Itoa(window) + "s"), "__interval": value("5s"), "__range": value(strconv.Itoa(window) + "s"),
		})
		got, err := query(d.base+"/prometheus", expr)
		if err != nil {
			return err
		}
		seen := map[string]float64{}
		for _, s := range got {
			v, err := strconv.ParseFloat(fmt.Sprint(s.Value[1]), 64)
			if err != nil {
				return err
			}
			if e.rate {
				v *= float64(window)
			}
			seen[s.Metric["role"]] = v
		}
		for role, want := range e.want {
			if v, there := seen[role]; !there || !(math.Abs(v-want) <= e.within*math.Abs(want)) { // NaN too
				return fmt.Errorf("panel %q, query %d, %s: %v, want %v\n\t%s", e.panel, e.query, e.model, seen, e.want, expr)
			}
		}
		return nil
	}
	programs.Eventually(t, 40*time.Second, "the dashboard shows what the groups do", func() (err error) {
		for _, e := range all {
			err = errors.Join(err, one(e))
		}
		return err
	})
}

// dashboardMoment compares the panels about what runs and waits, while time stands still.
func (d *pdDemo) dashboardMoment(t *testing.T, dashboard viewer.Dashboard) {
	t.Helper()
	const (
		prefill, decode, router = simengine.RolePrefill, simengine.RoleDecode, simengine.RoleRouter
		sides                   = "Both sides"
	)
	all := []shown{
		{panel: "Bottleneck", query: 0, model: modelVLLM, want: alone(1)},   // prefill
		{panel: "Bottleneck", query: 0, model: modelSGLang, want: alone(3)}, // decode
		{panel: sides, query: 0, model: modelVLLM, want: map[string]float64{prefill: 2, decode: 1, router: 1}},
		{panel: sides, query: 1, model: modelVLLM, want: map[string]float64{prefill: 2, decode: 1, router: 1}},
		{panel: sides, query: 0, model: modelSGLang, want: map[string]float64{prefill: 1, decode: 1, router: 1}},
		{panel: sides, query: 1, model: modelSGLang, want: map[string]float64{prefill: 1, decode: 1, router: 1}},
	}
	for _, model := range []string{modelVLLM, modelSGLang} {
		v := d.truth(t, model)
		q := v.Queues
		running := map[string]float64{prefill: float64(v.Running[prefill]), decode: float64(v.Running[decode])}
		waiting := map[string]float64{prefill: float64(q[prefill]), decode: float64(q[decode])}
		if model == modelVLLM {
			waiting[decode] += float64(q["prealloc"] + q["transfer"])
		}
		all = append(all,
			shown{panel: "Running requests by role", query: 0, model: model, want: running}, shown{panel: "Waiting requests by role", query: 0, model: model, want: waiting},
			shown{panel: sides, query: 2, model: model, want: running}, shown{panel: sides, query: 3, model: model, want: waiting})
		if model == modelSGLang {
			const between = "SGLang's queues between the sides"
			all = append(all,
				shown{panel: sides, query: 4, model: model, want: map[string]float64{prefill: float64(q["bootstrap"] + q["inflight"]), decode: float64(q["prealloc"] + q["transfer"])}},
				shown{panel: between, query: 0, model: model, want: alone(q["bootstrap"])}, shown{panel: between, query: 1, model: model, want: alone(q["inflight"])},
				shown{panel: between, query: 2, model: model, want: alone(q["prealloc"])}, shown{panel: between, query: 3, model: model, want: alone(q["transfer"])})
		}
	}
	d.watch(t, dashboard, time.Now(), all)
}

// dashboardTotals compares the panels about rates with what has happened since before, which was a moment after began. Rates are those over all
// of the time, so that requests that were counted on both sides would show twice as many.
func (d *pdDemo) dashboardTotals(t *testing.T, dashboard viewer.Dashboard, began time.Time, before, now map[string]simengine.Truth) {
	t.Helper()
	const roughly = .35 // Prometheus extrapolates to the ends of the window, and the first scrapes were some seconds after began
	var all []shown
	for model, v := range now {
		was := before[model]
		rate := func(panel string, query, now, was int) shown {
			return shown{panel: panel, query: query, model: model, want: alone(now - was), within: roughly, rate: true}
		}
		all = append(all,
			rate("Requests", 0, v.Completed, was.Completed),
			rate("Generated tokens", 0, v.GeneratedTokens, was.GeneratedTokens),
			rate("Tokens per second", 0, v.PromptTokens, was.PromptTokens),
			rate("Tokens per second", 2, v.GeneratedTokens, was.GeneratedTokens),
			rate("KV cache sent", 0, v.TransferBytes, was.TransferBytes),
			shown{panel: "Size of a transfer", model: model, want: alone(float64(v.TransferBytes-was.TransferBytes) / float64(v.Transfers-was.Transfers)), within: .2},
			shown{panel: "Running requests by role", model: model, want: map[string]float64{simengine.RolePrefill: 0, simengine.RoleDecode: 0}})
	}
	// What vLLM's users wait is the sum of both sides' means.
	v, was := now[modelVLLM].FirstToken, before[modelVLLM].FirstToken
	all = append(all, shown{panel: "Time to first token", model: modelVLLM, want: alone((v.Sum - was.Sum) / float64(v.Count-was.Count)), within: .2})
	d.watch(t, dashboard, began, all)
}
