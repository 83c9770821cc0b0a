package exporter

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// churningPage has many series that no page before had, behind and before families that stay.
func churningPage(round, n int) string {
	var b strings.Builder
	b.WriteString("e:n{model=\"m\"} 1\n")
	for i := range n {
		fmt.Fprintf(&b, "e:a{model=\"m\",request_id=\"%s%d-%d\"} 1\n", strings.Repeat("x", 100), round, i)
	}
	b.WriteString("e:h_bucket{le=\"1\"} 1\ne:h_bucket{le=\"+Inf\"} 2\ne:h_sum 1\ne:h_count 2\n")
	return b.String()
}

func newBounded(t *testing.T, limit int, engines ...Engine) (*Exporter, *strings.Builder) {
	t.Helper()
	e, log := newExporter(t, engines...)
	e.mapping, e.newSeries = small(t), limit
	return e, log
}

func TestNewSeriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, n = 1000, 700
		a, other := newEngine("a"), newEngine("other")
		other.set("e:a 5\n", nil)
		e, log := newBounded(t, limit, a, other)
		unified, native := map[string]bool{}, map[string]bool{}
		for round := range 20 {
			a.set(churningPage(round, n), nil)
			page := get(t, e.Handler(), "/metrics")
			for _, s := range series(page, "gpustack:a{") {
				unified[s] = true
			}
			whole := append(series(page, "gpustack:n{"), series(page, "gpustack:h_")...)
			if len(whole) != 5 || !strings.Contains(page, `gpustack:a{`+cluster+worker+`,`+fmt.Sprintf(instance, "other")+`} 5`) {
				t.Errorf("round %d: other families and engines have %q", round, whole)
			}
			for _, path := range []string{"/metrics/raw", "/metrics/raw?unmapped=1", "/metrics?cluster_labels=target"} {
				for _, s := range series(get(t, e.Handler(), path), "e:a{") {
					native[s] = true
				}
			}
			time.Sleep(15 * time.Second)
		}
		if len(unified) < limit/3 || len(unified) > limit/2+1 || len(native) < limit/3 || len(native) > limit/2+1 {
			t.Errorf("%d unified and %d native series of one family, the limit is %d", len(unified), len(native), limit)
		}
		page := get(t, e.Handler(), "/metrics")
		want := `gpustack:runtime_new_series_left_out_total{` + cluster + worker + `,` + fmt.Sprintf(instance, "a") + `,family="gpustack:a",label="request_id"} `
		if !strings.Contains(page, want) {
			t.Errorf("want %s, got %q", want, series(page, "gpustack:runtime_new_series_left_out_total"))
		}
		if got := series(page, "gpustack:runtime_new_series_left_out_total"); len(got) != 2 {
			t.Errorf("left out: %q", got)
		}
		said := func() int { return strings.Count(log.String(), "new series of an engine are left out") }
		if said() != 2 || !strings.Contains(log.String(), `family=gpustack:a label=request_id example=xxx`) || !strings.Contains(log.String(), "--max-new-series-per-engine") {
			t.Errorf("log: %s", log)
		}
		for line := range strings.Lines(log.String()) {
			if len(line) > 700 {
				t.Errorf("a line of %d bytes: %s", len(line), line)
			}
		}
		time.Sleep(time.Hour)
		for round := range 3 {
			a.set(churningPage(100+round, n), nil)
			get(t, e.Handler(), "/metrics")
		}
		if said() != 3 {
			t.Errorf("an hour later: %s", log)
		}
	})
}

func TestNewSeriesOfManyFamilies(t *testing.T) {
	a := newEngine("a")
	e, _ := newBounded(t, 500, a)
	for round := range 3 {
		var b strings.Builder
		for i := range 300 {
			for f := range 40 {
				fmt.Fprintf(&b, "f%02d{id=\"%d-%d\"} 1\n", f, round, i)
			}
		}
		a.set(b.String(), nil)
		get(t, e.Handler(), "/metrics/raw")
	}
	got := series(get(t, e.Handler(), "/metrics"), "gpustack:runtime_new_series_left_out_total")
	if len(got) != maxDroppedMetrics+1 || !strings.Contains(strings.Join(got, "\n"), `family="other"} `) {
		t.Errorf("%d series: %q", len(got), got)
	}
}

func TestNewSeriesAreNotBounded(t *testing.T) {
	a := newEngine("a")
	e, _ := newBounded(t, 0, a)
	a.set(churningPage(0, 3000), nil)
	if page := get(t, e.Handler(), "/metrics"); len(series(page, "gpustack:a{")) != 3000 || strings.Contains(page, "new_series_left_out") {
		t.Error("there is a bound")
	}
}

// All users of a gateway may come at once, as many as a page may have.
func TestNewSeriesOfAGateway(t *testing.T) {
	a := newEngine("a")
	e, _ := newBounded(t, 10, a)
	e.maxSeries = 2000
	a.set(churningPage(0, 1900), nil)
	if n := len(series(get(t, e.Handler(), "/metrics"), "gpustack:a{")); n > 10 {
		t.Errorf("an engine has %d series", n)
	}
	a = newEngine("a")
	a.instance.Gateway = true
	e, _ = newBounded(t, 10, a)
	e.maxSeries = 2000
	a.set(churningPage(0, 1900), nil)
	if n := len(series(get(t, e.Handler(), "/metrics"), "gpustack:a{")); n != 1900 {
		t.Errorf("a gateway has %d series", n)
	}
}
