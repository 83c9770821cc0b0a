package prom

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/promql"
	api "github.com/prometheus/prometheus/web/api/v1"
)

// reading returns what a counter or a gauge says.
func reading(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

// heapPeak returns by how much the heap grew at most while f ran, with what the collector had not taken yet.
func heapPeak(f func()) int64 {
	runtime.GC()
	read := func() int64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return int64(min(s[0].Value.Uint64(), math.MaxInt64))
	}
	before := read()
	done, most := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		var peak int64
		for {
			peak = max(peak, read())
			select {
			case <-done:
				most <- max(peak, read()) - before
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(done)
	return <-most
}

// TestReservationsCoverQueries holds what is reserved against what queries of each kind take at their peak, with their answer as JSON.
func TestReservationsCoverQueries(t *testing.T) { //nolint:paralleltest // it measures the heap
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	const series, points = 300, 360
	db := newTestSeries(t, series, points)
	b := newTestBudget(Options{})
	for _, tc := range []struct {
		expr  string
		steps int
	}{
		{"max_over_time(vector(1)[300s:1ms])", 0},
		{"vector(1)[900s:1ms]", 0},
		{"m[1h]", 0},
		{"m", 0},
		{"m + m", 0},
		{"rate(m[5m])", 0},
		{"max_over_time(m[1h:10s])", 0},
		{`label_replace(m, "x", "$1", "instance", "(.*)")`, 0},
		{`count_values("v", m)`, 0},
		{"sum by (model_instance_name) (m) * on (model_instance_name) group_left m", 0},
		{"m", points},
		{"abs(m)", points},
		{"m + m + m + m", points},
		{"rate(m[5m])", points},
		{"sum by (model_instance_name) (m)", points},
		{"histogram_quantile(0.9, m)", points},
		{`count_values("v", m{le="1"})`, points},
		{"max_over_time(m[5m:10s])", points},
		{"m * on (model_instance_name) group_left sum by (model_instance_name) (m)", points},
		{"abs(m)", 11_000},
	} {
		var (
			peak, allowed int64
			failed        error
		)
		peak = heapPeak(func() {
			var q promql.Query
			var err error
			if tc.steps == 0 {
				q, err = b.users.NewInstantQuery(t.Context(), metered{db}, nil, tc.expr, testStart.Add(time.Hour))
			} else {
				q, err = b.users.NewRangeQuery(t.Context(), metered{db}, nil, tc.expr, testStart, testStart.Add(time.Duration(tc.steps-1)*testStep), testStep)
			}
			if err != nil {
				t.Fatalf("%s: %v", tc.expr, err)
			}
			defer q.Close()
			r := q.Exec(t.Context())
			if failed = r.Err; failed != nil {
				return
			}
			if _, err := (api.JSONCodec{}).Encode(&api.Response{Status: "success", Data: &api.QueryData{ResultType: r.Value.Type(), Result: r.Value}}); err != nil {
				t.Fatal(err)
			}
			w := q.(*budgetedQuery).cost
			allowed = int64(q.Stats().Samples.PeakSamples)*sampleBytes + w.subquerySteps*stepBytes +
				series*(seriesBytes+labelByteFactor*200+pointBytes*min(w.steps, preallocatedSteps)+labelCopies*w.labelGrowth)
			if w.countValues {
				allowed = int64(q.Stats().Samples.PeakSamples) * (countedValueBytes + pointBytes*min(w.steps, preallocatedSteps))
			}
		})
		switch {
		case failed != nil:
			t.Errorf("%s in %d steps: %v", tc.expr, tc.steps, failed)
		case peak > allowed+8<<20:
			t.Errorf("%s in %d steps took %.1f MB, %.1f are reckoned with", tc.expr, tc.steps, float64(peak)/1e6, float64(allowed)/1e6)
		}
	}
	holding(t, b)
}

// The budget costs a small query little beside the engine alone.
func TestBudgetCostsLittle(t *testing.T) { //nolint:paralleltest // it counts allocations
	db := newTestSeries(t, 10, 10)
	b := newTestBudget(Options{})
	plain := testEngine(defaultQueryTimeout)
	plain.MaxSamples = 50_000_000
	engine := promql.NewEngine(plain)
	allocations := func(e promql.QueryEngine) float64 {
		return testing.AllocsPerRun(200, func() {
			q, err := e.NewInstantQuery(t.Context(), metered{db}, nil, "sum by (instance) (rate(m[1m]))", testStart.Add(100*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if r := q.Exec(t.Context()); r.Err != nil {
				t.Fatal(r.Err)
			}
			q.Close()
		})
	}
	with, without := allocations(b.users), allocations(engine)
	t.Logf("%.0f allocations, %.0f without the budget", with, without)
	if with > 1.25*without {
		t.Errorf("%.0f allocations, %.0f without the budget", with, without)
	}
}
