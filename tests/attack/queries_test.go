//go:build linux

package attack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// TestExpressions asks for expressions that cost PromQL's parser gigabytes, or seconds, by clients that do not wait for the answer.
func TestExpressions(t *testing.T) {
	s := serve(t)
	s.queryable(t)
	for name, text := range map[string]string{
		"operators": strings.Repeat("-", count(16<<20, 1<<19)),
		"brackets":  strings.Repeat("(", 10_000),
		"repeated":  `{a=~"(` + strings.Repeat("a", 3000) + `){999}"}`,
		"classes":   `{a=~"` + strings.Repeat(`[\\pL\\pN]`, 20_000) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.attack(t, func() {
				for _, route := range []string{"query", "query_exemplars", "format_query", "parse_query"} {
					if status, answer := s.query(t, route, url.Values{"query": {text}, "start": {"0"}, "end": {"1"}}); status < 400 {
						t.Errorf("%s: %d %.200s", route, status, answer)
					}
				}
				if status, answer := s.query(t, "series", url.Values{"match[]": {text}}); status < 400 {
					t.Errorf("series: %d %.200s", status, answer)
				}
			})
		})
	}
	largest := strings.Repeat("1^", 2900) + "1" // at the bounds of what is parsed
	for name, text := range map[string]string{
		"28 clients that left": strings.Repeat("(", 10_000), "280 clients that left, at the bounds": largest,
		"28 regular expressions, clients that left": `{a=~"(` + strings.Repeat("a", 3000) + `){999}"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.attack(t, func() {
				n := 28
				if text == largest {
					n = count(280, 56)
				}
				for range n {
					s.leave(t, "query", url.Values{"query": {text}})
				}
				time.Sleep(2 * time.Second) // what they left behind
			})
		})
	}
}

// TestQueries asks for more than the memory holds, one by one and at once.
func TestQueries(t *testing.T) {
	s := serve(t)
	s.queryable(t)
	if _, err := s.join("many", manySeries(t, count(20_000, 4000))); err != nil {
		t.Fatal(err)
	}
	programs.Eventually(t, time.Minute, "the series are there", func() error {
		body, err := programs.Get(s.url + "/prometheus/api/v1/query?query=" + url.QueryEscape("count(gpustack:attack)"))
		if err == nil && !strings.Contains(body, "00\"]") {
			err = fmt.Errorf("answered %s", body)
		}
		return err
	})
	now := time.Now()
	points := url.Values{
		"start": {stamp(now)}, "end": {stamp(now.Add(4 * time.Minute))}, "step": {"0.03"},
	}
	ranged := func(expr string) url.Values {
		v := url.Values{"query": {expr}}
		maps.Copy(v, points)
		return v
	}
	bomb := `vector(1)`
	for range 40 {
		bomb = `label_replace(` + bomb + `, "a", "${1}${1}${1}${1}xx", "a", "(.*)")`
	}
	const subquery = `max_over_time(vector(1)[40000s:1ms])`
	for _, tc := range []struct {
		name, route string
		times       int
		values      url.Values
	}{
		{"subquery", "query", 1, url.Values{"query": {subquery}}},
		{"four subqueries", "query", 4, url.Values{"query": {subquery}}},
		{"sixteen subqueries", "query", 16, url.Values{"query": {subquery}}},
		{"sixteen that fit barely", "query", 16, url.Values{"query": {`max_over_time(vector(1)[400s:1ms])`}}},
		{"subquery of a hundred years", "query", 1, url.Values{"query": {`max_over_time(vector(1)[100y:1ms])`}}},
		{"range", "query_range", 1, ranged(`gpustack:attack`)},
		{"sixteen ranges", "query_range", 16, ranged(`gpustack:attack + on(n) gpustack:attack`)},
		{"sixteen matrices", "query", 16, url.Values{"query": {`gpustack:attack[1h]`}}},
		{"labels that double", "query", 1, url.Values{"query": {bomb}}},
		{"sixteen times counted values", "query_range", 16, ranged(`count_values("v", vector(time()))`)},
		{"64 listings of series", "series", 64, url.Values{"match[]": {`{__name__=~".+"}`}}},
		{"64 selections", "query", count(64, 24), url.Values{"query": {strings.Repeat(`gpustack:attack or `, 200) + `up`}}},
		{"64 federations", "../../federate", 64, url.Values{"match[]": {`{__name__=~".+"}`}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.attack(t, func() {
				var all sync.WaitGroup
				var mu sync.Mutex
				answers := map[int]int{}
				var last string
				for range tc.times {
					all.Go(func() {
						status, answer := s.query(t, tc.route, tc.values)
						mu.Lock()
						defer mu.Unlock()
						if answers[status]++; status != http.StatusOK {
							last = answer
						}
					})
				}
				all.Wait()
				t.Logf("answers %v, like %.300s", answers, last)
				for status := range answers {
					switch status {
					case http.StatusOK, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusServiceUnavailable:
					default:
						t.Errorf("answered with %d", status)
					}
				}
			})
		})
	}
}

func stamp(at time.Time) string { return fmt.Sprintf("%.3f", float64(at.UnixMilli())/1000) }

// manySeries serves a page of many series on loopback and returns its port.
func manySeries(t *testing.T, n int) int {
	t.Helper()
	var page bytes.Buffer
	page.WriteString("# TYPE gpustack:attack gauge\n")
	for i := range n {
		fmt.Fprintf(&page, "gpustack:attack{n=\"%d\",model_name=\"Qwen/Qwen2.5-72B-Instruct\",model_instance_name=\"qwen2.5-72b-instruct-%d\"} 0.1234567%d\n", i, i, i)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(page.Bytes())
	})}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// query posts a form to a route of Prometheus' API and returns the status and the first of the answer. It reads all of it.
func (s *server) query(t *testing.T, route string, form url.Values) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	method, target, body := http.MethodPost, s.url+"/prometheus/api/v1/"+route, io.Reader(strings.NewReader(form.Encode()))
	if path, ok := strings.CutPrefix(route, "../../"); ok {
		method, target, body = http.MethodGet, s.url+"/prometheus/"+path+"?"+form.Encode(), nil
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s: %v", route, err)
		return 0, ""
	}
	defer resp.Body.Close()
	head, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		t.Errorf("%s: %v", route, err)
	}
	return resp.StatusCode, string(head)
}

// leave posts a form and goes away when it has been sent.
func (s *server) leave(t *testing.T, route string, form url.Values) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/prometheus/api/v1/"+route, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: %v", route, err)
	}
}
