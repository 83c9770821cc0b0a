package prom

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/stackscope/stackscope/internal/prom/budget"
	"github.com/stackscope/stackscope/internal/prom/guard"
)

func TestFederation(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker := newTarget(t, workerPage)
	in.SetTargets(JobWorkers, worker.group(map[string]string{"cluster_name": "default"}))
	in.await(t, `gpustack:num_requests_running`, some)
	_, body := get(t, in.url+"/federate?match[]=gpustack:num_requests_running&match[]=%7Bruntime%3D%22vLLM%22%7D")
	if n := strings.Count(body, "# TYPE gpustack:num_requests_running untyped\n"); n != 1 {
		t.Errorf("%d families for the gauge, want 1:\n%s", n, body)
	}
	want := `gpustack:num_requests_running{cluster_name="default",instance="` + worker.Listener.Addr().String() +
		`",job="gpustack-worker-discovery",model_name="qwen",runtime="vLLM"} 3 1`
	if !strings.Contains(body, want) {
		t.Errorf("no line %s in\n%s", want, body)
	}
	for _, query := range []string{"match[]=%7B", "match[]=up&match[]=sum(up)", "%zz"} {
		if status, _ := get(t, in.url+"/federate?"+query); status != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", query, status)
		}
	}
	for _, accept := range []string{"", "text/plain;version=0.0.4", "application/openmetrics-text"} {
		r := httptest.NewRequest(http.MethodGet, testPrefix+"/federate?match[]=up", nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, r)
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8") || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("Accept %q: %v, want the text format, by gzip", accept, w.Header())
		}
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if page, err := io.ReadAll(z); err != nil || !strings.Contains(string(page), "\nup{") {
			t.Errorf("Accept %q: %v: %s", accept, err, page)
		}
	}
}

// Series that have ended, because a scrape failed or their target went, are not handed out as if they were still there.
func TestFederationLeavesOutWhatHasEnded(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker, other := newTarget(t, workerPage), newTarget(t, "other 1\n")
	in.SetTargets(JobWorkers, worker.group(nil))
	in.SetTargets(JobServer, other.group(nil))
	in.await(t, `gpustack:num_requests_running`, some)
	in.await(t, `other`, some)
	worker.Close()
	in.await(t, `gpustack:num_requests_running`, none)
	_, body := get(t, in.url+"/federate?match[]=%7Bjob!=''%7D")
	if strings.Contains(body, "gpustack:") || !strings.Contains(body, "other{") || !strings.Contains(body, "\nup{") {
		t.Errorf("after the worker went:\n%s", body)
	}
}

// counting counts the queriers that are open. With an error it opens none.
type counting struct {
	storage.Queryable
	open    atomic.Int32
	failing error
}

type closing struct {
	storage.Querier
	from *counting
}

func (c *counting) Querier(mint, maxt int64) (storage.Querier, error) {
	if c.failing != nil {
		return nil, c.failing
	}
	q, err := c.Queryable.Querier(mint, maxt)
	c.open.Add(1)
	return closing{q, c}, err
}

func (q closing) Close() error {
	q.from.open.Add(-1)
	return q.Querier.Close()
}

// TestFederatedSamples looks at which sample of a series is handed out, and that nothing is kept of a request.
func TestFederatedSamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		opts := tsdb.DefaultOptions()
		opts.RetentionDuration = 0
		db, err := tsdb.Open(dir, nil, nil, opts, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		time.Sleep(time.Hour)
		now := time.Now()
		app := db.Appender(t.Context())
		add := func(name string, age time.Duration, v float64, more ...string) {
			t.Helper()
			if _, err := app.Append(0, labels.FromStrings(append([]string{"__name__", name}, more...)...), now.Add(-age).UnixMilli(), v); err != nil {
				t.Fatal(err)
			}
		}
		add("latest", time.Minute, 1, "job", "j", "instance", "i")
		add("latest", 0, 2, "job", "j", "instance", "i")
		add("old_enough", queryLookback-time.Second, 3)
		add("too_old", queryLookback+time.Second, 4)
		add("ended", time.Minute, 5)
		add("ended", time.Second, math.Float64frombits(value.StaleNaN))
		add("came_back", time.Minute, math.Float64frombits(value.StaleNaN))
		add("came_back", time.Second, 6)
		add("not_a_number", time.Second, math.NaN())
		add("clock_ahead", time.Second, 7)
		add("clock_ahead", -time.Minute, 8)
		add("quote", time.Second, 9, "l", "a\"b\\c\nd")
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
		queryable, b := &counting{Queryable: db}, newTestBudget(Options{})
		taken := func() int { return b.listings.State().Taken }
		f := &federation{db: queryable, parser: guard.NewParser(), budget: b, logger: slog.New(slog.DiscardHandler)}
		ask := func(match ...string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/federate?"+url.Values{"match[]": match}.Encode(), nil))
			if taken() != 0 || queryable.open.Load() != 0 {
				t.Errorf("%q: %d slots and %d queriers are kept", match, taken(), queryable.open.Load())
			}
			return w
		}
		var lines []string
		for line := range strings.Lines(ask(`{__name__=~".+"}`, "latest").Body.String()) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		want := []string{
			`came_back{instance=""} 6 946688399000`,
			`clock_ahead{instance=""} 7 946688399000`,
			`latest{instance="i",job="j"} 2 946688400000`,
			`not_a_number{instance=""} NaN 946688399000`,
			`old_enough{instance=""} 3 946688101000`,
			`quote{l="a\"b\\c\nd",instance=""} 9 946688399000`,
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if w := ask("nothing"); w.Code != http.StatusOK || w.Body.Len() != 0 {
			t.Errorf("nothing selected: %d %s", w.Code, w.Body)
		}

		var slots []*budget.Slot
		for range listings {
			slot, _, err := b.reserveListing(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			slots = append(slots, slot)
		}
		{
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/federate?match[]=up", nil))
			if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "retry later") || taken() != listings {
				t.Errorf("without a free slot: %d %s, %d slots are kept", w.Code, w.Body, taken())
			}
		}
		for _, slot := range slots {
			slot.Release()
		}
		queryable.failing = errors.New("closing")
		if w := ask("up"); w.Code != http.StatusInternalServerError {
			t.Errorf("a database that fails: %d", w.Code)
		}
	})
}
