package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/console"
	"github.com/stackscope/stackscope/tests/console/browser"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
	"github.com/stackscope/stackscope/web"
)

// browserOpens is how often the browser opens each dashboard. Other load on the machine only adds time: the fastest one counts.
const browserOpens = 3

// withConsole serves the console beside the handler of /prometheus. It has no inventory.
func withConsole(t *testing.T, prometheus http.Handler) http.Handler {
	t.Helper()
	files, ok := web.Console()
	if !ok {
		t.Fatal("the console is not built: run make console")
	}
	c, err := console.New(console.Options{
		Files: files, Version: "bench", Prometheus: console.Prometheus{Available: true},
		Grafana: func(context.Context) console.Grafana { return console.Grafana{Phase: "absent"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/prometheus/", prometheus)
	for pattern, h := range c.Pages() {
		mux.Handle(pattern, h)
	}
	for pattern, h := range c.Data() {
		mux.Handle(pattern, h)
	}
	return mux
}

// openInBrowser opens each dashboard of the console in Chromium on the fleet's last hour, and measures until all panels in sight are drawn.
func openInBrowser(t *testing.T, prometheus string, dashboards []viewer.Dashboard, end time.Time) {
	t.Helper()
	origin := prometheus[:len(prometheus)-len("/prometheus")]
	var visits []browser.Visit
	for i := range browserOpens {
		to := end.Add(-time.Duration(i) * workerEvery)
		for _, d := range dashboards {
			visits = append(visits, browser.Visit{
				Name: fmt.Sprint(d.UID, "-", i), Theme: "light", Width: 1440, Height: 900, InSight: true,
				Path: fmt.Sprintf("/d/%s?from=%d&to=%d&refresh=off", d.UID, to.Add(-fleetHistory).UnixMilli(), to.UnixMilli()),
			})
		}
	}
	seen := browser.Open(t, origin, visits)
	for _, d := range dashboards {
		if len(d.Panels) == 0 {
			continue
		}
		var runs []browser.Sight
		for i := range browserOpens {
			runs = append(runs, seen[fmt.Sprint(d.UID, "-", i)])
		}
		fastest := slices.MinFunc(runs, func(a, b browser.Sight) int { return int(a.MS.Settled - b.MS.Settled) })
		drawn := 0
		for _, p := range fastest.Panels {
			if p.State == "drawn" || p.State == "empty" {
				drawn++
			} else if p.State != "waiting" {
				t.Errorf("%s: panel %q is %s: %s", d.UID, p.Title, p.State, p.Text)
			}
		}
		t.Logf("%-24s %2d panels in sight: first picture %4.0f ms, last answer %4.0f ms, drawn %4.0f ms, main thread %4.0f ms, %d KB of JavaScript",
			d.UID, drawn, fastest.MS.Paint, fastest.MS.Answers, fastest.MS.Settled, fastest.MS.Main, fastest.Scripts>>10)
		if took := time.Duration(fastest.MS.Settled * float64(time.Millisecond)); took > openWithin || drawn == 0 {
			t.Errorf("%s: %d panels in sight take %s, %s are allowed", d.UID, drawn, took.Round(time.Millisecond), openWithin)
		}
	}
}
