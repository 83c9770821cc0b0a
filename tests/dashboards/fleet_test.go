// Package dashboards looks at every dashboard on a demo fleet.
package dashboards

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	compose "github.com/stackscope/stackscope/docker-compose"
	"github.com/stackscope/stackscope/internal/demo"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

const (
	readyWithin = time.Minute
	// fullWithin is how long after the start the last panel may take to have data: rates need some scrapes.
	fullWithin = 90 * time.Second
	pollEvery  = 2 * time.Second
	// connections are as many questions as a browser asks at a time.
	connections = 6
)

// page is a buffer that one writes and others read.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(text)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// startFleet runs a scenario of the demo until the test ends and returns its Prometheus.
func startFleet(t *testing.T, scenario string) viewer.Prometheus {
	t.Helper()
	o := demo.DefaultOptions()
	var out, log page
	o.Scenario = scenario
	o.Port, o.MetricsPort, o.WorkerMetricsPort, o.DataDir, o.NoGrafana = 0, 0, 0, t.TempDir(), true
	o.Out, o.Logger = &out, slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- demo.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the demo: %v", err)
		}
		if t.Failed() {
			t.Logf("the demo's log:\n%s", log.String())
		}
	})
	address := regexp.MustCompile(`(?m)^\s+Prometheus\s+(http://\S+)/$`)
	for end := time.Now().Add(readyWithin); ; time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-done:
			done <- nil
			t.Fatalf("the demo ended: %v", err)
		default:
		}
		if m := address.FindStringSubmatch(out.String()); m != nil {
			transport := &http.Transport{MaxIdleConnsPerHost: connections}
			t.Cleanup(transport.CloseIdleConnections)
			return viewer.Prometheus{URL: m[1], Client: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
		}
		if time.Now().After(end) {
			t.Fatalf("the demo isn't ready after %s:\n%s", readyWithin, out.String())
		}
	}
}

func load(t *testing.T) []viewer.Dashboard {
	t.Helper()
	all, err := viewer.Load(compose.Dashboards())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 8 {
		t.Fatalf("%d dashboards", len(all))
	}
	return all
}

// look is who looks at a dashboard now, over its own time range.
func look(d viewer.Dashboard) viewer.View { return viewer.View{Now: time.Now(), Range: d.From} }
