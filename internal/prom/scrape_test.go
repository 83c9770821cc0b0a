package prom

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/targets"
	"github.com/stackscope/stackscope/tests/programs"
)

const secret = "hunter2-swordfish"

// lastError waits for the error of the one target of a job.
func (in *instance) lastError(t *testing.T) string {
	t.Helper()
	var text string
	await(t, "the target has an error", func() bool {
		_, body := get(t, in.url+"/api/v1/targets?state=active")
		_, rest, ok := strings.Cut(body, `"lastError":"`)
		if !ok || strings.HasPrefix(rest, `"`) {
			return false
		}
		text = rest[:strings.Index(rest, `","lastScrape"`)]
		return true
	})
	return text
}

func TestScrapeErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	raw := func(answer string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}
	page := func(contentType, text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, text)
		}
	}
	const plain, open = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		"no metrics":   {page(plain, secret+" is the password\n"), "the page is not in Prometheus' text format: a value is not a number"},
		"HTML":         {page("text/html", "<html>"+secret), "is not in Prometheus' text format"},
		"line":         {page(plain, `a{b="`+secret+"\n"), "is not in Prometheus' text format"},
		"value":        {page(plain, "a "+secret+"\n"), "is not in Prometheus' text format"},
		"number":       {page(plain, "a 1"+secret+"\n"), "is not in Prometheus' text format"},
		"type":         {page(plain, "# TYPE a "+secret+"\n"), "the page is not in Prometheus' text format: invalid metric type"},
		"unfinished":   {page(open, "a 1\n# "+secret+"\n"), "is not in Prometheus' text format"},
		"content type": {page("text/"+secret+"; x=", "a 1\n"), "is not in Prometheus' text format"},
		"broken gzip": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, secret)
		}, ""},
		"status": {raw("HTTP/1.1 500 " + secret + "\r\n\r\n"), "server returned HTTP status 500 Internal Server Error"},
		"redirect": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/"+secret)
			w.WriteHeader(302)
		}, "server returned HTTP status 302 Found"},
		"other protocol":      {raw("SSH-2.0-" + secret + "\r\n"), "the server there does not speak HTTP"},
		"header":              {raw("HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n"), "the server there does not speak HTTP"},
		"status is no number": {raw("HTTP/1.1 " + secret + "\r\n\r\n"), "the server there does not speak HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := httptest.NewServer(http.HandlerFunc(tc.answer))
			t.Cleanup(target.Close)
			var log programs.Buffer
			in := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{target.Listener.Addr().String()}}})
			got := in.lastError(t)
			if !strings.Contains(got, tc.want) || strings.Contains(got, secret) {
				t.Errorf("the last error is %s, want %q in it", got, tc.want)
			}
			in.stop()
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log quotes the page:\n%s", log.String())
			}
		})
	}
}

// Every error that the parsers make quotes at most behind the phrase that is kept.
func TestParserErrorsQuoteNothing(t *testing.T) {
	for _, line := range []string{
		"%s", "a{%s", "a{%s=", "a{b=%s", `a{b="c"%s`, `a{b="c"} %s`, "a 1 %s", "# TYPE %s", "# TYPE a %s", "# HELP a \xff%s", `{"%s`, `{"a",%s} 1`, "a{b=\"\xff%s\"} 1",
		"# UNIT a %s", "a 1 # {%s", `a_bucket{le="1"} 1 # {b="c"} %s`, "# EOF\n%s", `{"a","%s"} 1`, `{b="%s"} 1`,
	} {
		for _, format := range []string{"text/plain", "application/openmetrics-text; version=1.0.0"} {
			p, err := textparse.New([]byte(fmt.Sprintf(line, secret)+"\n"), format, labels.NewSymbolTable(), textparse.ParserOptions{})
			for err == nil {
				_, err = p.Next()
			}
			if got := withoutContent(err); strings.Contains(got, "hunter2") || len(got) > 150 || got == "" {
				t.Errorf("%q as %s: %s", line, format, got)
			}
		}
	}
}

func TestErrorsOfTheConnectionAreKept(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&url.Error{Op: "Get", URL: "http://10.0.0.1:1/metrics", Err: dial}, "GET http://10.0.0.1:1/metrics: dial tcp: connect: connection refused"},
		{io.ErrUnexpectedEOF, "the connection ended before the page did"},
		{errors.New("sample limit exceeded"), "sample limit exceeded"},
	} {
		if got := withoutContent(tc.err); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.err, got, tc.want)
		}
	}
}

// A redirect leads nowhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	inner := newTarget(t, "inner 1\n")
	worker := httptest.NewServer(http.RedirectHandler(inner.URL+"/other", http.StatusFound))
	t.Cleanup(worker.Close)
	in := start(t, Options{})
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{worker.Listener.Addr().String()}}})
	in.await(t, `up == 0`, some)
	if inner.asked.Load() != nil {
		t.Error("the redirect was followed")
	}
}

func TestWhereTheScraperConnects(t *testing.T) {
	for _, tc := range []struct {
		host, ip string
		ok       bool
	}{
		{"gpu-1", "10.0.0.1", true},
		{"gpu-1", "2001:db8::1", true},
		{"gpu-1", "fd00::1", true},
		{"127.0.0.1", "127.0.0.1", true},
		{"::1", "::1", true},
		{"localhost", "::1", true},
		{"LOCALHOST.", "127.0.0.1", true},
		{"localhost.localdomain", "127.0.0.1", true},
		{"ip6-localhost", "::1", true},
		{"gpu.localhost", "127.0.0.1", true},
		{"rebound.example", "127.0.0.1", false},
		{"rebound.example", "::1", false},
		{"rebound.example", "::ffff:127.0.0.1", false},
		{"localhost.example", "127.0.0.1", false},
		{"metadata", "169.254.169.254", false},
		{"::ffff:169.254.169.254", "::ffff:169.254.169.254", false},
		{"64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe", false},
		{"fe80::1", "fe80::1", false},
		{"any", "0.0.0.0", false},
		{"any", "0.1.2.3", false},
		{"any", "::", false},
		{"group", "224.0.0.1", false},
		{"group", "ff02::1", false},
		{"all", "255.255.255.255", false},
	} {
		if why := forbiddenAddress(tc.host, netip.MustParseAddr(tc.ip)); (why == "") != tc.ok {
			t.Errorf("%s at %s: %q", tc.host, tc.ip, why)
		}
	}
}

// The address is looked at when a name has been resolved, not before; the server's own target is reached wherever it is.
func TestDialledAddressIsChecked(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{"0.0.0.0:9"}}})
	if got := in.lastError(t); !strings.Contains(got, "0.0.0.0:9 is not scraped: it resolves to the unspecified address 0.0.0.0") {
		t.Errorf("the last error is %s", got)
	}
	own := newTarget(t, "own 1\n")
	_, port, err := net.SplitHostPort(own.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in.SetTargets(JobServer, []targets.Group{{Targets: []string{"0.0.0.0:" + port}}})
	in.await(t, `own`, some)
}

// A sample that names another worker, and a family of the server's, come from nobody else; everything else stays.
func TestWorkersSpeakForThemselves(t *testing.T) {
	t.Parallel()
	in := start(t, Options{ServerFamilies: []string{"gpustack:cluster_status"}})
	worker := newTarget(t, `a{worker_id="1",worker_name="one"} 1
a{worker_id="2",worker_name="one",of="another id"} 1
a{worker_id="1",worker_name="two",of="another name"} 1
gpustack:cluster_status{state="ready"} 1
up{x="y"} 1
plain 1
`)
	at := worker.Listener.Addr().String()
	in.SetWorkers(map[string][]Worker{at: {{ID: "1", Name: "one"}, {ID: "7", Name: "seven"}}})
	in.SetTargets(JobWorkers, worker.group(nil))
	own := newTarget(t, `gpustack:cluster_status{state="ready"} 1
a{worker_id="9"} 1
`)
	in.SetTargets(JobServer, own.group(nil))
	in.await(t, `plain and on () a{worker_id="9"}`, some)
	for expr, n := range map[string]int{
		`a{job="gpustack-worker-discovery"}`: 1, `a{of!=""}`: 0, `gpustack:cluster_status{job="gpustack-worker-discovery"}`: 0,
		`gpustack:cluster_status{job="gpustack-server"}`: 1, `up{x!=""}`: 0, `up`: 2, `scrape_samples_scraped`: 2,
	} {
		if got := in.query(t, expr); len(got) != n {
			t.Errorf("%s: %v, want %d", expr, got, n)
		}
	}
	_, page := get(t, in.url+"/metrics")
	for _, reason := range []string{"worker", "family"} {
		if strings.Contains(page, fmt.Sprintf("stackscope_prometheus_samples_refused_total{reason=%q} 0", reason)) || !strings.Contains(page, fmt.Sprintf("reason=%q", reason)) {
			t.Errorf("refused because of the %s: not counted", reason)
		}
	}
}

// Beyond the ceiling new series are refused, those that are there go on, and so does what the scraper says itself.
func TestCeilingOfSeries(t *testing.T) {
	t.Parallel()
	var log programs.Buffer
	dir := t.TempDir()
	o := Options{Dir: dir, MaxSeries: 60, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	in := start(t, o)
	var round int
	churning := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		round++
		_, _ = fmt.Fprintf(w, "steady %d\n", round)
		for i := range 30 {
			_, _ = fmt.Fprintf(w, "churn{n=\"%d-%d\"} 1\n", round, i)
		}
	}))
	t.Cleanup(churning.Close)
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{churning.Listener.Addr().String()}}})
	in.await(t, `steady > 10`, some)
	head := in.core.Load().db.Head()
	if n := head.NumSeries(); n > 60+5 {
		t.Errorf("%d series, at most 60 and those of the scraper", n)
	}
	late := newTarget(t, "late 1\n")
	in.SetTargets(JobServer, late.group(nil))
	in.await(t, `late and on () up{job="gpustack-server"} == 1`, some) // the server's own page is kept
	later := newTarget(t, "later 1\n")
	in.SetTargets(JobWorkers, append(later.group(nil), targets.Group{Targets: []string{churning.Listener.Addr().String()}}))
	in.await(t, fmt.Sprintf(`up{instance=%q} == 1`, later.Listener.Addr().String()), some)
	if got := in.query(t, `later`); len(got) != 0 {
		t.Errorf("a new series came in: %v", got)
	}
	if n := strings.Count(log.String(), "new series are refused"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	if err := in.Err(); err != nil {
		t.Errorf("Err: %v", err)
	}
	_, page := get(t, in.url+"/metrics")
	if !strings.Contains(page, "stackscope_prometheus_max_series 60") || strings.Contains(page, `stackscope_prometheus_samples_refused_total{reason="series"} 0`) {
		t.Error("metrics don't say so")
	}
	in.stop()

	// After a restart the scraper knows no series, and the head does.
	in = start(t, o)
	in.SetTargets(JobWorkers, []targets.Group{{Targets: []string{churning.Listener.Addr().String()}}})
	in.await(t, fmt.Sprintf("steady > %d", round+1), some)
}

func TestCeilingComesFromMemory(t *testing.T) {
	for _, tc := range []struct {
		asked int64
		limit int64
		want  uint64
	}{
		{0, 2 << 30, 131_072},
		{0, 0, 262_144}, // nobody knows the limit
		{7, 2 << 30, 7},
	} {
		if got := maxSeries(tc.asked, memory.Bound{Bytes: tc.limit}); got != tc.want {
			t.Errorf("%+v: %d", tc, got)
		}
	}
}

// What is known to the scraper passes without a look, so that a page costs what it did.
func TestKnownSeriesCostNothing(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	around := newSharedParts(o, slog.New(slog.DiscardHandler))
	app := &guardedAppender{AppenderV2: nothing{}, cutoff: newCutoff(around.dialPolicy, nil), shared: around, series: func() uint64 { return 0 }, worker: true}
	app.source.unrestricted, app.verified = true, true
	ls := labels.FromStrings("__name__", "a", "worker_id", "1")
	now := time.Now().UnixMilli()
	for _, ref := range []uint64{0, 7} {
		if n := testing.AllocsPerRun(1000, func() { _, _ = app.Append(seriesRef(ref), ls, 0, now, 1, nil, nil, options{}) }); n != 0 {
			t.Errorf("%v allocations for a sample of reference %d", n, ref)
		}
	}
}

// The API shows each target as it is, but for its error.
func TestShownTargetsAreTheTargets(t *testing.T) {
	t.Parallel()
	in := start(t, Options{})
	worker := newTarget(t, workerPage)
	in.SetTargets(JobWorkers, worker.group(map[string]string{"cluster_name": "a b", "__param_cluster_labels": "target", "__meta_x": "y"}))
	in.await(t, "up", some)
	manager := in.core.Load().scrape
	b := labels.NewBuilder(labels.EmptyLabels())
	was, shown := manager.TargetsActive()[JobWorkers], sanitizedTargets{manager}.TargetsActive()[JobWorkers]
	if len(was) != 1 || len(shown) != 1 {
		t.Fatalf("%v, %v", was, shown)
	}
	for what, of := range map[string]func(int) string{
		"URL":    func(i int) string { return [2]string{was[0].String(), shown[0].String()}[i] },
		"labels": func(i int) string { return [2]string{was[0].Labels(b).String(), shown[0].Labels(b).String()}[i] },
		"discovered labels": func(i int) string {
			return [2]string{was[0].DiscoveredLabels(b).String(), shown[0].DiscoveredLabels(b).String()}[i]
		},
		"interval": func(i int) string {
			return [2]string{was[0].GetValue("__scrape_interval__"), shown[0].GetValue("__scrape_interval__")}[i]
		},
		"health":   func(i int) string { return [2]string{string(was[0].Health()), string(shown[0].Health())}[i] },
		"metadata": func(i int) string { return fmt.Sprint([2]int{was[0].LengthMetadata(), shown[0].LengthMetadata()}[i]) },
	} {
		if of(0) != of(1) || of(0) == "" {
			t.Errorf("%s: %s, shown as %s", what, of(0), of(1))
		}
	}
}
