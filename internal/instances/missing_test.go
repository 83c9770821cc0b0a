package instances

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
)

// onePage is a network in which every engine has the same page.
type onePage struct{ page atomic.Pointer[string] }

func (n *onePage) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path != "/metrics" {
		return reply(req, http.StatusNotFound, "", http.NoBody), nil
	}
	return reply(req, http.StatusOK, "text/plain", io.NopCloser(strings.NewReader(*n.page.Load()))), nil
}

func (n *onePage) set(page string) { n.page.Store(&page) }

type builtIn struct{ compiled *mapping.Compiled }

func (b builtIn) Current() (*mapping.Compiled, int64) { return b.compiled, 0 }

// An engine whose page has nothing that the mapping uses is reported as running with the reason, and the worker's page says so.
func TestSilentEngineIsReportedAndExported(t *testing.T) {
	compiled, err := mapping.Compile(mapping.Default())
	if err != nil {
		t.Fatal(err)
	}
	declared, err := engine.CheckDeclarations([]engine.Declaration{{URL: "http://127.0.0.1:8000", Model: "q", Instance: "a", Runtime: "vLLM", Version: "0.11.0"}}, "n1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ page, reason, message string }{
		"empty":          {"", "empty_page", "its metrics page is empty: vLLM"},
		"others' names":  {"python_info 1\n", "no_engine_metrics", "its metrics page has no metrics of vLLM"},
		"another prefix": {"acme:num_requests_running 1\n", "no_engine_metrics", "its metrics page has no metrics of vLLM"},
		"other names":    {"vllm:number_of_requests 1\n", "unmapped", "the mapping uses no metric of its page"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &onePage{}
				n.set(c.page)
				m := newManager(t, t.TempDir(), func(o *Options) { o.Fetcher, o.Declared = fetch.New(fetch.Options{Transport: n}), declared })
				x, err := exporter.New(exporter.Options{
					Engines: m.Engines, Collectors: []exporter.Collector{m.Collector()}, Mapping: builtIn{compiled},
					Identity: func() exporter.Identity { return exporter.Identity{WorkerName: "n1"} },
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { m.Run(ctx, finder{looked: make(chan struct{})}) })
				defer wg.Wait()
				defer cancel()
				scrape := func(d time.Duration) string {
					for range int(d / (15 * time.Second)) {
						x.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil))
						time.Sleep(15 * time.Second)
					}
					w := httptest.NewRecorder()
					x.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil))
					var lines []string
					for line := range strings.Lines(w.Body.String()) {
						if strings.HasPrefix(line, "gpustack:model_instance_no_metrics") {
							lines = append(lines, line)
						}
					}
					return strings.Join(lines, "")
				}
				check := func(when, lines, want, message string) {
					t.Helper()
					if lines != want {
						t.Errorf("%s: exported %q, want %q", when, lines, want)
					}
					reported := m.Reported()
					if len(reported) != 1 || reported[0].State != fleet.InstanceRunning || !strings.HasPrefix(reported[0].StateMessage, message) || message == "" && reported[0].StateMessage != "" {
						t.Errorf("%s: reported %+v, want message %q", when, reported, message)
					}
				}
				check("at first", scrape(30*time.Second), "", "")
				check("later", scrape(time.Minute), `gpustack:model_instance_no_metrics{worker_name="n1",model_name="q",model_instance_name="a",runtime="vLLM",reason="`+c.reason+"\"} 1\n", c.message)
				n.set(vllmPage)
				check("healed", scrape(0), "", "") // what the worker exports of itself is written after the engines' pages
			})
		})
	}
}
