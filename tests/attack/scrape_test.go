//go:build linux

package attack

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
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
	eventually(t, 30*time.Second, "a target of the workers is down", func() (err error) {
		body, err = get(s.url + "/prometheus/api/v1/targets?scrapePool=gpustack-worker-discovery")
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
			if strings.Contains(s.output(), inner) {
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
		fmt.Fprintln(w, `gpustack:cluster_status{cluster_name="default",state="ready"} 0`)
	})
	w, err := s.join("liar", port)
	if err != nil {
		t.Fatal(err)
	}
	id.Store(w.ID)
	has := func(expr string) bool {
		body, err := get(s.url + "/prometheus/api/v1/query?query=" + expr)
		return err == nil && strings.Contains(body, `"metric":{`)
	}
	eventually(t, 30*time.Second, "what the worker says of itself is there", func() error {
		if !has("own") {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	for _, expr := range []string{"forged", "gpustack:cluster_status{job=\"gpustack-worker-discovery\"}"} {
		if has(strings.ReplaceAll(expr, `"`, "%22")) {
			t.Errorf("%s came in", expr)
		}
	}
}
