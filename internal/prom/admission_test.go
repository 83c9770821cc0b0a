package prom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/prom/budget"
	"github.com/stackscope/stackscope/internal/prom/guard"
)

// filled takes all slots of a pool until the test ends.
func filled(t *testing.T, p *budget.Pool) {
	t.Helper()
	for range p.Class().Slots {
		slot, err := p.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(slot.Release)
	}
}

// Everything that reads samples or lists series shares the budget: it waits, and is then answered with 503 and the reason.
func TestEveryRouteSharesTheBudget(t *testing.T) {
	t.Parallel()
	in := start(t, Options{QueryTimeout: 50 * time.Millisecond})
	b := in.core.Load().budget
	filled(t, b.listings)
	filled(t, b.users.classes[0].Pool)
	for _, path := range []string{
		"/api/v1/query?query=up", "/api/v1/query_range?query=up&start=1&end=2&step=1", "/api/v1/series?match[]=up", "/api/v1/labels",
		"/api/v1/label/job/values", "/federate?match[]=up", "/api/v1/status/tsdb", "/api/v1/targets/metadata", "/api/v1/metadata",
	} {
		if status, body := get(t, in.url+path); status != http.StatusServiceUnavailable || !strings.Contains(body, "none became free in time: retry later") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := read(t, in, &prompb.Query{EndTimestampMs: 1, Matchers: []*prompb.LabelMatcher{{Name: "a", Value: "b"}}}); status != http.StatusServiceUnavailable {
		t.Errorf("remote read: %d %s", status, body)
	}
	for _, path := range []string{"/api/v1/status/buildinfo", "/api/v1/format_query?query=up", "/api/v1/rules", "/metrics"} {
		if status, body := get(t, in.url+path); status != http.StatusOK {
			t.Errorf("%s reads no samples: %d %s", path, status, body)
		}
	}
	_, page := get(t, in.url+"/metrics")
	for _, want := range []string{
		`stackscope_query_refused_total{class="small",reason="timeout"} 2`,
		`stackscope_query_refused_total{class="listings",reason="timeout"} 8`,
		`stackscope_query_refused_total{class="large",reason="queue"} 0`,
		fmt.Sprintf("stackscope_query_memory_limit_bytes %v\n", floatText(b.sizes.total)),
		fmt.Sprintf("stackscope_query_memory_reserved_bytes{class=\"listings\"} %v\n", floatText(int64(listings)*b.listings.Class().Bytes)),
		`stackscope_query_running{class="listings"} 2`, `stackscope_query_waiting{class="medium"} 0`,
		"stackscope_query_restarts_total 0", "stackscope_query_wait_seconds_count",
		`prometheus_engine_queries{class="small"} 0`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no line %q among the metrics", want)
		}
	}
}

func floatText(n int64) string {
	var v any = float64(n)
	return fmt.Sprint(v)
}

// read posts a request of remote read.
func read(t *testing.T, in *instance, queries ...*prompb.Query) (int, string) {
	t.Helper()
	data, err := (&prompb.ReadRequest{Queries: queries}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, testPrefix+"/api/v1/read", bytes.NewReader(snappy.Encode(nil, data)))
	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestRemoteReadIsBounded(t *testing.T) {
	t.Parallel()
	in := start(t, Options{QueryMaxSamples: 20})
	worker := newTarget(t, workerPage)
	in.SetTargets(JobWorkers, worker.group(nil))
	in.await(t, `count_over_time(gpustack:num_requests_running[1m])`, func(s []series) bool { return len(s) > 0 && s[0].Value[1] != "1" })
	now := time.Now().UnixMilli()
	query := func(name string, kind prompb.LabelMatcher_Type, value string) *prompb.Query {
		return &prompb.Query{StartTimestampMs: now - 60_000, EndTimestampMs: now + 60_000, Matchers: []*prompb.LabelMatcher{{Type: kind, Name: name, Value: value}}}
	}
	one := query("__name__", prompb.LabelMatcher_EQ, "gpustack:num_requests_running")
	if status, body := read(t, in, one); status != http.StatusOK {
		t.Errorf("a series: %d %s", status, body)
	}
	all := query("__name__", prompb.LabelMatcher_RE, ".+")
	if status, body := read(t, in, one, all); status < 400 || !strings.Contains(body, "20") {
		t.Errorf("more samples than allowed: %d %s", status, body)
	}
	several := make([]*prompb.Query, maxReadQueries)
	for i := range several {
		several[i] = one
	}
	if status, body := read(t, in, several...); status < 400 || !strings.Contains(body, "more than 20 samples would be read at once") {
		t.Errorf("few samples, %d times: %d %s", len(several), status, body)
	}
	if status, body := read(t, in, query("a", prompb.LabelMatcher_RE, "("+strings.Repeat("a", 3000)+"){999}")); status != http.StatusBadRequest || !strings.Contains(body, "would compile to more than") {
		t.Errorf("a costly regular expression: %d %s", status, body)
	}
	many := make([]*prompb.Query, maxReadQueries+1)
	for i := range many {
		many[i] = one
	}
	if status, body := read(t, in, many...); status != http.StatusBadRequest || !strings.Contains(body, "at most 16 are allowed") {
		t.Errorf("%d queries: %d %s", len(many), status, body)
	}
	taken := in.core.Load().budget.listings.State().Taken
	if taken != 0 {
		t.Errorf("%d slots are kept", taken)
	}
}

// A body that is too large is refused for that, not for the parameters that were not read.
func TestBodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	large := strings.Repeat("a", maxRequestBytes)
	var parts bytes.Buffer
	form := multipart.NewWriter(&parts)
	if err := errors.Join(form.WriteField("query", large), form.Close()); err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{
		"application/x-www-form-urlencoded": "query=" + large + "&match[]=up",
		form.FormDataContentType():          parts.String(),
	}
	for _, path := range []string{"query", "query_range", "query_exemplars", "format_query", "parse_query", "series", "labels", "read"} {
		for contentType, body := range bodies {
			r := httptest.NewRequest(http.MethodPost, testPrefix+"/api/v1/"+path, strings.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			w := httptest.NewRecorder()
			in.Handler().ServeHTTP(w, r)
			if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "more than 1048576 bytes: use fewer") {
				t.Errorf("%s as %s: %d %s", path, contentType, w.Code, w.Body)
			}
		}
	}
	if status, body := get(t, in.url+"/api/v1/query?query=vector(1)&other=%zz"); status != http.StatusOK {
		t.Errorf("a parameter that nobody asks for: %d %s", status, body)
	}
}

// A listing that would be too long ends, and says so.
func TestListingsEnd(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"": "100000", "0": "100000", "200000": "100000", "7": "7", "x": "x", "-1": "-1"} {
		r := httptest.NewRequest(http.MethodGet, "/series?limit="+given, nil)
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		boundLimit(r)
		if got := r.FormValue("limit"); got != want {
			t.Errorf("limit %q becomes %q, want %q", given, got, want)
		}
	}
	db := newTestSeries(t, 200, 1)
	o := Options{Dir: t.TempDir()}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	s := newSizes(memory.Bound{Bytes: 4 << 20}, o)
	b := newQueryBudget(s, idle{}, testEngine(time.Second))
	_, ctx, err := b.reserveListing(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	q, err := metered{db}.Querier(0, testStart.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	set := q.Select(ctx, false, nil, mustMatch(t, "m")...)
	n := 0
	for set.Next() {
		n++
	}
	if err := set.Err(); err == nil || n == 0 || !strings.Contains(err.Error(), "select fewer series") {
		t.Errorf("after %d series of 200: %v", n, err)
	}
}

func mustMatch(t *testing.T, text string) []*labels.Matcher {
	t.Helper()
	m, err := guard.NewParser().ParseMetricSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Forms of all kinds are read, and what is wrong with an expression is said as the API says it.
func TestAPIAnswersAsBefore(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("query", "1+1"); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("1+", 500) + "1"
	for name, tc := range map[string]struct {
		kind, path string
		body       io.Reader
		status     int
		says       string
	}{
		"multipart":         {form.FormDataContentType(), "/query", &body, 200, `"2"`},
		"form":              {"application/x-www-form-urlencoded", "/query", strings.NewReader("query=" + url.QueryEscape(long)), 200, `"501"`},
		"two forms at once": {"application/x-www-form-urlencoded", "/query?query=2", strings.NewReader("query=3"), 200, `"3"`},
		"wrong":             {"application/x-www-form-urlencoded", "/query", strings.NewReader("query=" + url.QueryEscape(long+"+(")), 400, `invalid parameter \"query\": 1:`},
		"range of a range":  {"application/x-www-form-urlencoded", "/query_range", strings.NewReader("query=up[5m]&start=1&end=2&step=1"), 400, `invalid parameter \"query\": invalid expression type`},
		"series":            {"application/x-www-form-urlencoded", "/series", strings.NewReader("match[]=up"), 200, `"success"`},
		"no series":         {"application/x-www-form-urlencoded", "/series", strings.NewReader(""), 400, "no match[] parameter provided"},
		"nothing":           {"application/x-www-form-urlencoded", "/query", strings.NewReader(""), 400, "no expression found in input"},
		"damaged":           {"application/x-www-form-urlencoded", "/query", strings.NewReader("query=%zz"), 400, "bad_data"},
	} {
		r := httptest.NewRequest(http.MethodPost, testPrefix+"/api/v1"+tc.path, tc.body)
		r.Header.Set("Content-Type", tc.kind)
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, r)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %.300s, want %d with %s", name, w.Code, w.Body, tc.status, tc.says)
		}
	}
}

// The settings that are in force are shown, not those that were asked for.
func TestFlagsSayWhatIsInForce(t *testing.T) {
	t.Parallel()
	in := start(t, Options{QueryMaxSamples: 1 << 40, QueryConcurrency: 7, QueryTimeout: 90 * time.Second})
	_, body := get(t, in.url+"/api/v1/status/flags")
	most := in.core.Load().budget.sizes.maxSamplesPerQuery()
	for _, want := range []string{fmt.Sprintf(`"query.max-samples":"%d"`, most), `"query.max-concurrency":"7"`, `"query.timeout":"1m30s"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if limit := memory.Limit().Bytes; int64(most)*sampleBytes > limit/8 {
		t.Errorf("%d samples do not fit into an eighth of %d bytes", most, limit)
	}
	for _, o := range []Options{{QueryMaxSamples: -1}, {QueryConcurrency: -1}, {QueryConcurrency: 1}, {QueryConcurrency: MinQueryConcurrency - 1}, {QueryTimeout: -1}} {
		o.Dir = t.TempDir()
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
