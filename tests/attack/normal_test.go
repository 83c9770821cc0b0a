//go:build linux

package attack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	compose "github.com/stackscope/stackscope/docker-compose"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
	"github.com/stackscope/stackscope/tests/programs"
)

// TestNormalUseMeetsNoLimit: what an hour of a team's use asks, in a minute. Three people have dashboards open that refresh every
// 30 s (nine dashboards each, over the dashboard's own range and over a day), one clicks through Prometheus' UI. Nobody is refused anything, and
// no counter of refusals moves.
func TestNormalUseMeetsNoLimit(t *testing.T) {
	base, metrics := demo(t)
	all, err := viewer.Load(compose.Dashboards())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 24, MaxConnsPerHost: 24} // four browsers, six connections each
	t.Cleanup(transport.CloseIdleConnections)
	prometheus := viewer.Prometheus{URL: base + "/prometheus", Client: &http.Client{Transport: transport, Timeout: time.Minute}}
	programs.Eventually(t, time.Minute, "engines have been scraped", func() error {
		a, err := prometheus.Ask(t.Context(), viewer.Request{Expr: "gpustack:num_requests_running", Instant: true, End: time.Now()})
		if err == nil && len(a.Series) == 0 {
			err = fmt.Errorf("no series")
		}
		return err
	})

	all = viewer.OnDemo(all)
	end := time.Now().Add(seconds(60, 4))
	var asked atomic.Int64
	var people sync.WaitGroup
	for person := range 3 {
		people.Go(func() {
			for round := person; time.Now().Before(end); round++ {
				d := all[round%len(all)]
				view := viewer.View{Now: time.Now(), Range: d.From}
				if round%2 == 1 {
					view.Range = 24 * time.Hour
				}
				n, err := open(t.Context(), prometheus, d, view)
				asked.Add(n)
				if err != nil {
					t.Errorf("dashboard %s over %v: %v", d.UID, view.Range, err)
					return
				}
			}
		})
	}
	people.Go(func() {
		for time.Now().Before(end) {
			for _, path := range promUI() {
				asked.Add(1)
				if _, err := programs.Get(base + path); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	people.Wait()
	t.Logf("%d requests", asked.Load())
	refusals(t, base+"/prometheus/metrics", metrics+"/metrics")
}

// demo starts `stackscope demo` and returns where its API and its metrics are.
func demo(t *testing.T) (base, metrics string) {
	t.Helper()
	port, metricsPort := strconv.Itoa(programs.FreePort(t)), strconv.Itoa(programs.FreePort(t))
	cmd := exec.Command(programs.Path(t, "stackscope"), "demo", "--host", "127.0.0.1", "--port", port, "--metrics-port", metricsPort,
		"--worker-metrics-port", strconv.Itoa(programs.FreePort(t)))
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GPUSTACK_DISABLE_BUILTIN_GRAFANA=true", "GOMEMLIMIT=2GiB")
	p := programs.Start(t, cmd)
	base, metrics = "http://127.0.0.1:"+port, "http://127.0.0.1:"+metricsPort
	p.AwaitURL(time.Minute, base+"/readyz")
	return base, metrics
}

// open asks what Grafana asks when somebody opens a dashboard: the variables' values, then all panels, six at a time.
func open(ctx context.Context, p viewer.Prometheus, d viewer.Dashboard, view viewer.View) (asked int64, err error) {
	values, err := p.Default(ctx, d, view)
	if err != nil {
		return 0, err
	}
	requests := make(chan viewer.Request)
	var first atomic.Pointer[error]
	var browser sync.WaitGroup
	for range 6 {
		browser.Go(func() {
			for r := range requests {
				if _, err := p.Ask(ctx, r); err != nil {
					err = fmt.Errorf("%w: %.300s", err, r.Expr)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			requests <- view.Request(panel, target, values)
			asked++
		}
	}
	close(requests)
	browser.Wait()
	if err := first.Load(); err != nil {
		return asked, *err
	}
	return asked, nil
}

// promUI are the requests of Prometheus' own pages.
func promUI() []string {
	now := time.Now().Unix()
	paths := []string{
		"/api/v1/query?query=up", "/api/v1/labels", "/api/v1/label/__name__/values", "/api/v1/metadata", "/api/v1/targets", "/api/v1/targets?state=active",
		"/api/v1/scrape_pools", "/api/v1/rules", "/api/v1/alerts", "/api/v1/status/tsdb", "/api/v1/status/config", "/api/v1/status/flags",
		"/api/v1/status/runtimeinfo", "/api/v1/status/buildinfo", "/api/v1/series?match[]=" + url.QueryEscape(`{__name__=~"gpustack:.+"}`),
		"/api/v1/format_query?query=" + url.QueryEscape("sum by(job)(up)"), "/api/v1/parse_query?query=up", "/federate?match[]=up", "/",
		fmt.Sprintf("/api/v1/query_range?query=%s&start=%d&end=%d&step=15", url.QueryEscape(`{job="gpustack-worker-discovery"}`), now-3600, now),
	}
	for i := range paths {
		paths[i] = "/prometheus" + paths[i]
	}
	return paths
}

// refusals fails the test for each counter of refusals that isn't 0, and if there are none at all.
func refusals(t *testing.T, pages ...string) {
	t.Helper()
	counters := 0
	for _, page := range pages {
		text, err := programs.Get(page)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			if strings.HasPrefix(line, "#") || !strings.HasSuffix(name, "_total") {
				continue
			}
			refused := false
			for _, word := range []string{"refused", "rejected", "dropped", "left_out", "exceeded"} {
				refused = refused || strings.Contains(name, word)
			}
			if !refused {
				continue
			}
			counters++
			if !strings.HasSuffix(strings.TrimSpace(line), " 0") {
				t.Errorf("%s: %s", page, line)
			}
		}
	}
	t.Logf("%d counters of refusals are at 0", counters)
	if counters == 0 {
		t.Error("no counter of refusals was found: the test looks for other names than there are")
	}
}
