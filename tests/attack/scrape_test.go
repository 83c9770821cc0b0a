//go:build linux

package attack

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

const inner = "the-inner-page-says-swordfish"

// target serves answers as a worker's page and returns its port.
func target(t *testing.T, answer http.HandlerFunc) int {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// lastError waits until the only worker has been scraped in vain and returns what everybody may read about it.
func (s *server) lastError(t *testing.T) string {
	t.Helper()
	var body string
	programs.Eventually(t, 30*time.Second, "a target of the workers is down", func() (err error) {
		body, err = programs.Get(s.url + "/prometheus/api/v1/targets?scrapePool=gpustack-worker-discovery")
		if err == nil && !strings.Contains(body, `"health":"down"`) {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
	return body
}

// A worker can't make the server read what it may not, nor show it to anonymous readers.
func TestWorkerLeadsTheScraperNowhere(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	secret := target(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprintln(w, inner, "is no metric")
	})
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, fmt.Sprintf("http://127.0.0.1:%d/admin", secret), http.StatusFound)
		},
		"no metrics": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, inner, "is no metric") },
		"unfinished": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `a{b="%s`, inner) },
		"no HTTP": func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.WriteString(conn, inner+"\r\n")
				conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			if _, err := s.join("worker", target(t, answer)); err != nil {
				t.Fatal(err)
			}
			if said := s.lastError(t); strings.Contains(said, inner) {
				t.Errorf("everybody can read what the worker led to: %s", said)
			}
			if strings.Contains(s.Output(), inner) {
				t.Error("the log quotes the page")
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the scraper followed a redirect %d times", n)
	}
}

// A worker speaks for itself alone, and not for the server.
func TestWorkerSpeaksForItself(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var id atomic.Int64
	port := target(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "own{worker_id=\"%d\",worker_name=\"liar\"} 1\n", id.Load())
		fmt.Fprintln(w, `forged{worker_id="4711",worker_name="victim"} 1`)
		fmt.Fprintln(w, `forged{worker_name="victim"} 1`)
		fmt.Fprintf(w, "forged{worker_id=\"%d\",worker_name=\"victim\"} 1\n", id.Load())
		fmt.Fprintln(w, `gpustack:cluster_status{cluster_name="default",state="ready"} 0`)
		fmt.Fprintln(w, `stackscope_query_wait_seconds_bucket{forged="yes",le="+Inf"} 0`)
		fmt.Fprintln(w, `stackscope_prometheus_up{forged="yes"} 0`)
		fmt.Fprintln(w, `prometheus_tsdb_head_series{forged="yes"} 0`)
	})
	w, err := s.join("liar", port)
	if err != nil {
		t.Fatal(err)
	}
	// The address in another cluster gives it no name in its own.
	if _, err := s.register("victim", map[string]any{"name": "victim", "address": "127.0.0.1", "metrics_port": port, "cluster": "other", "uuid": "another"}); err != nil {
		t.Fatal(err)
	}
	id.Store(w.ID)
	has := func(expr string) bool {
		body, err := programs.Get(s.url + "/prometheus/api/v1/query?query=" + expr)
		return err == nil && strings.Contains(body, `"metric":{`)
	}
	programs.Eventually(t, 30*time.Second, "what the worker says of itself is there", func() error {
		if !has("own") {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	for _, expr := range []string{`forged{cluster_name="default"}`, `{forged="yes"}`, "gpustack:cluster_status{job=\"gpustack-worker-discovery\"}"} {
		if has(url.QueryEscape(expr)) {
			t.Errorf("%s came in", expr)
		}
	}
}

// A worker that takes another name does not go on under the one that it had.
func TestWorkerKeepsNoNameThatItGaveUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var scrapes atomic.Int64
	port := target(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "scrapes %d\n", scrapes.Add(1))
		fmt.Fprintln(w, `forged{worker_name="later"} 1`)
	})
	as := func(name string) {
		t.Helper()
		if _, err := s.register(name, map[string]any{"name": name, "address": "127.0.0.1", "metrics_port": port, "uuid": "the-same"}); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(expr string) bool {
		body, err := programs.Get(s.url + "/prometheus/api/v1/query?query=" + url.QueryEscape(expr))
		return err == nil && strings.Contains(body, `"metric":{`)
	}
	wait := func(expr string) {
		t.Helper()
		programs.Eventually(t, 40*time.Second, expr+" is there", func() error {
			if !stored(expr) {
				return fmt.Errorf("it is not")
			}
			return nil
		})
	}
	as("later")
	wait("forged")
	as("evil")
	wait(fmt.Sprintf("scrapes > %d", scrapes.Load()+1))
	if stored("forged") {
		t.Error("the series goes on under the name that the worker had")
	}
}

// Labels of a page fill no memory: a series whose labels are too large is left out, and the others stay.
func TestLargeLabelsAreLeftOut(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.queryable(t)
	var round atomic.Int64
	port := target(t, func(w http.ResponseWriter, _ *http.Request) {
		n := round.Add(1)
		fmt.Fprintf(w, "steady %d\n", n)
		large := strings.Repeat("x", 1<<20)
		for i := range count(20, 5) {
			fmt.Fprintf(w, "large{v=\"%d-%d-%s\"} 1\n", n, i, large)
		}
	})
	if _, err := s.join("large", port); err != nil {
		t.Fatal(err)
	}
	s.attack(t, func() {
		programs.Eventually(t, 2*time.Minute, "pages are stored", func() error {
			body, err := programs.Get(s.url + "/prometheus/api/v1/query?query=" + url.QueryEscape(fmt.Sprintf("steady > %d", count(8, 1))))
			if err == nil && !strings.Contains(body, `"metric":{`) {
				err = fmt.Errorf("%s", body)
			}
			return err
		})
	})
	body, err := programs.Get(s.url + "/prometheus/api/v1/query?query=count(large)")
	if err != nil || strings.Contains(body, `"metric":{`) {
		t.Errorf("large labels are stored: %.200s, %v", body, err)
	}
}
