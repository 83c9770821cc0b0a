package prom

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/targets"
)

// Each target's last scrape is told: of one that answers, one that refuses, and one that sends what is no page.
func TestScrapes(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a 1\n") }))
	t.Cleanup(up.Close)
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, secret+" is the password\n")
	}))
	t.Cleanup(html.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	began := time.Now()
	in := start(t, Options{})
	addresses := map[string]string{"up": up.Listener.Addr().String(), "html": html.Listener.Addr().String(), "gone": gone.Listener.Addr().String()}
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{addresses["up"], addresses["html"], addresses["gone"]}}})
	got := map[string]Scrape{}
	await(t, "all targets were scraped", func() bool {
		list := in.Scrapes()
		for _, s := range list {
			got[s.Address] = s
			if s.State == TargetPending && (!s.Last.IsZero() || s.Error != "") {
				t.Errorf("before its first scrape: %+v", s)
			}
			if s.State == TargetPending {
				return false
			}
		}
		return len(list) == 3
	})
	for name, want := range map[string]struct{ state, fault string }{
		"up": {TargetUp, ""}, "html": {TargetDown, "is not in Prometheus' text format"}, "gone": {TargetDown, "connection refused"},
	} {
		s := got[addresses[name]]
		if s.Job != JobWorkers || s.State != want.state || !strings.Contains(s.Error, want.fault) || (s.Error == "") != (want.fault == "") || strings.Contains(s.Error, secret) {
			t.Errorf("%s: %+v", name, s)
		}
		if s.Last.Before(began) || s.Took <= 0 || s.Interval <= 0 || s.Timeout <= 0 || s.Timeout > s.Interval {
			t.Errorf("%s: %+v", name, s)
		}
	}
	in.stop()
}

func TestScrapesBeforeTheDataIsOpen(t *testing.T) {
	t.Parallel()
	p, err := New(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if list := p.Scrapes(); list != nil {
		t.Errorf("%+v", list)
	}
}
