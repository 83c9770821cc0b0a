package client_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

func newClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefusesURLs(t *testing.T) {
	for _, bad := range []string{"", "gpu-head", "gpu-head:80", "ftp://gpu-head", "http://", "http://a b", "http://u:secret@gpu-head", "http://gpu-head?x=1", "http://gpu-head/#x"} {
		_, err := client.New(client.Options{BaseURL: bad})
		if err == nil {
			t.Errorf("New(%q) succeeded", bad)
			continue
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("New(%q): %v", bad, err)
		}
	}
}

func TestRequests(t *testing.T) {
	type seen struct{ Method, URI, Auth, IfMatch, ContentType, Body string }
	var got seen
	answer := `{}`
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("If-Match"), r.Header.Get("Content-Type"), string(body)}
		w.Header().Set("ETag", `"7"`)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer srv.Close()
	c := newClient(t, client.Options{BaseURL: srv.URL + "/prefix/", Token: " join\n"})
	ctx := t.Context()

	check := func(name string, want seen) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	answer = `{"worker_id":3,"worker_name":"n","cluster_id":1,"cluster_name":"default","credential":"c","report_interval_seconds":10}`
	joined, err := c.Register(ctx, wire.RegisterRequest{UUID: "u", Name: "n", Address: "10.0.0.1", MetricsPort: 10151})
	if err != nil {
		t.Fatal(err)
	}
	if joined.WorkerID != 3 || joined.Credential != "c" || joined.ReportIntervalSeconds != 10 {
		t.Errorf("Register = %+v", joined)
	}
	check("Register", seen{"POST", "/prefix/v2/workers/register", "Bearer join", "", "application/json", `{"uuid":"u","name":"n","address":"10.0.0.1","metrics_port":10151}`})

	answer = `{"instances":[{"name":"i","instance_id":5,"model_id":6}]}`
	ids, err := c.WithToken("cred").Report(ctx, 3, wire.ReportRequest{AppliedGeneration: 2, Instances: []wire.InstanceReport{}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wire.ReportResponse{Instances: []wire.InstanceIDs{{Name: "i", InstanceID: 5, ModelID: 6}}}, ids); diff != "" {
		t.Error(diff)
	}
	check("Report", seen{"PUT", "/prefix/v2/workers/3/report", "Bearer cred", "", "application/json", `{"applied_generation":2,"instances":[]}`})

	answer = `{"status":"ok","generation":8,"workers":2}`
	st, err := c.SetConfig(ctx, []byte("gpustack_metrics: {}\n"), client.Change{IfGeneration: 7})
	if err != nil || st != (wire.MappingStatus{Status: "ok", Generation: 8, Workers: 2}) {
		t.Errorf("SetConfig = %+v, %v", st, err)
	}
	check("SetConfig", seen{"POST", "/prefix/v2/metrics/config", "Bearer join", `"7"`, "application/octet-stream", "gpustack_metrics: {}\n"})
	if _, err := c.ResetConfig(ctx, client.Change{IfGeneration: client.AnyGeneration}); err != nil {
		t.Error(err)
	}
	check("ResetConfig", seen{"DELETE", "/prefix/v2/metrics/config", "Bearer join", "", "", ""})

	answer = `{"b":1,"a":2}`
	cfg, err := c.GetConfig(ctx)
	if err != nil || string(cfg.Document) != answer || cfg.Generation != 7 {
		t.Errorf("GetConfig = %s, generation %d, %v", cfg.Document, cfg.Generation, err)
	}

	answer = `{"unified":"# TYPE x gauge\n","coverage":{"families":1,"of":28},"native":[{"name":"e:x","samples":2,"outcomes":[{"family":"x","samples":2}]}]}`
	preview, err := c.Preview(ctx, wire.PreviewRequest{Page: "e:x 1\n", Runtime: "engine", Mapping: json.RawMessage(`{"b":1,"a":2}`)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wire.Preview{
		Unified: "# TYPE x gauge\n", Coverage: wire.Coverage{Families: 1, Of: 28},
		Native: []wire.NativeReport{{Name: "e:x", Samples: 2, Outcomes: []wire.NativeOutcome{{Family: "x", Samples: 2}}}},
	}, preview); diff != "" {
		t.Error(diff)
	}
	check("Preview", seen{"POST", "/prefix/v2/metrics/preview", "Bearer join", "", "application/json", `{"page":"e:x 1\n","runtime":"engine","mapping":{"b":1,"a":2}}`})
	answer = `{"$schema":"x"}`
	if schema, err := c.ConfigSchema(ctx); err != nil || string(schema) != answer {
		t.Errorf("ConfigSchema = %s, %v", schema, err)
	}
	check("ConfigSchema", seen{"GET", "/prefix/v2/metrics/config/schema", "Bearer join", "", "", ""})

	status, answer = http.StatusNoContent, ""
	if err := c.RemoveWorker(ctx, 9); err != nil {
		t.Error(err)
	}
	check("RemoveWorker", seen{"DELETE", "/prefix/v2/workers/9", "Bearer join", "", "", ""})
	if err := c.AllowWorker(ctx, 9); err != nil {
		t.Error(err)
	}
	check("AllowWorker", seen{"DELETE", "/prefix/v2/revoked-workers/9", "Bearer join", "", "", ""})
	if err := c.WithToken("cred").AnswerCheck(ctx, 9, "run/1", wire.WorkerCheck{PageError: "x"}); err != nil {
		t.Error(err)
	}
	check("AnswerCheck", seen{"POST", "/prefix/v2/workers/9/checks/run%2F1", "Bearer cred", "", "application/json", `{"now":"0001-01-01T00:00:00Z","page_seconds":0,"page_bytes":0,"page_series":0,"page_error":"x","own":""}`})
	status, answer = http.StatusOK, `{"items":[{"id":9,"name":"a","cluster_name":"lab","address":"10.0.0.9","revoked_at":"2026-11-30T01:02:03Z"}]}`
	revoked, err := c.Revoked(ctx)
	if want := (wire.RevokedWorker{ID: 9, Name: "a", ClusterName: "lab", Address: "10.0.0.9", RevokedAt: time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)}); err != nil || !slices.Equal(revoked, []wire.RevokedWorker{want}) {
		t.Errorf("Revoked = %+v, %v", revoked, err)
	}
	check("Revoked", seen{"GET", "/prefix/v2/revoked-workers", "Bearer join", "", "", ""})
}

func TestErrorsSayWhatToDo(t *testing.T) {
	quiet := func(h http.Handler, secure bool) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
		if secure {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		return s
	}
	problem := func(p httpjson.Problem) *httptest.Server {
		return quiet(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = httpjson.WriteProblem(w, p) }), false)
	}
	text := func(status int, body string) *httptest.Server {
		return quiet(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}), false)
	}
	secure := quiet(http.NotFoundHandler(), true)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedURL := "http://" + closed.Addr().String()
	_ = closed.Close()

	register := func(c *client.Client) error {
		_, err := c.Register(t.Context(), wire.RegisterRequest{})
		return err
	}
	set := func(c *client.Client) error {
		_, err := c.SetConfig(t.Context(), []byte("{}"), client.Change{IfGeneration: client.AnyGeneration})
		return err
	}
	report := func(c *client.Client) error {
		_, err := c.Report(t.Context(), 1, wire.ReportRequest{})
		return err
	}
	watch := func(c *client.Client) error { return c.Watch(t.Context(), 1, 0, client.Events{}) }
	unauthorized := problem(httpjson.Problem{Status: 401, Detail: "wrong token"})

	for _, tt := range []struct {
		name   string
		url    string
		token  string
		call   func(*client.Client) error
		status int
		want   []string
	}{
		{"refused", closedURL, "t", register, 0, []string{"register worker", closedURL, "connection refused", "check that the server runs"}},
		{"watch refused", closedURL, "t", watch, 0, []string{"connection refused"}},
		{"wrong join token", unauthorized.URL, "t", register, 401, []string{"wrong token", "not the right one", "worker-token"}},
		{"no join token", unauthorized.URL, "", register, 401, []string{"no token was given", "worker-token"}},
		{"wrong admin token", unauthorized.URL, "t", set, 401, []string{"admin-token"}},
		{"stale credential", unauthorized.URL, "t", report, 401, []string{"register again"}},
		{"stale credential, watch", unauthorized.URL, "t", watch, 401, []string{"register again"}},
		{"http to TLS", strings.Replace(secure.URL, "https", "http", 1), "t", register, 400, []string{"speaks TLS", "https://"}},
		{"TLS to http", strings.Replace(unauthorized.URL, "http", "https", 1), "t", register, 0, []string{"does not speak TLS", "http://"}},
		{"unknown authority", secure.URL, "t", register, 0, []string{"authority", "trusted"}},
		{"another program", text(200, "<html>hi</html>").URL, "t", register, 200, []string{"no JSON", "stackscope server"}},
		{"another program, watch", text(200, "<html>hi</html>").URL, "t", watch, 200, []string{"no event stream", "stackscope server"}},
		{"plain 404", text(404, "404 page\nnot found\x1b[31m").URL, "t", register, 404, []string{"404 Not Found", "page not found [31m", "stackscope server", "is it a metrics port?"}},
		{"precondition", problem(httpjson.Problem{Status: 412, Detail: "generation 9 is active"}).URL, "t", set, 412, []string{"412", "generation 9"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call(newClient(t, client.Options{BaseURL: tt.url, Token: tt.token}))
			e, ok := errors.AsType[*client.Error](err)
			if !ok {
				t.Fatalf("error is %T: %v", err, err)
			}
			if e.Status != tt.status {
				t.Errorf("status = %d, want %d", e.Status, tt.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			if strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 700 {
				t.Errorf("error is no decent line: %q", err.Error())
			}
		})
	}
}

// TestListsMayBeLong: 20,000 workers do not fit into what other answers may have.
func TestListsMayBeLong(t *testing.T) {
	const items, each = 20, 512 << 10
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(wire.List[wire.Worker]{Items: slices.Repeat([]wire.Worker{{Version: strings.Repeat("x", each)}}, items)})
	}))
	defer s.Close()
	if list, err := newClient(t, client.Options{BaseURL: s.URL}).Workers(t.Context()); err != nil || len(list) != items {
		t.Errorf("%d workers, %v", len(list), err)
	}
}

// TestRefusalIsNoMatterOfTheToken: a revoked worker has the right one.
func TestRefusalIsNoMatterOfTheToken(t *testing.T) {
	const why = "worker a was removed by an operator"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = httpjson.WriteProblem(w, httpjson.Problem{Status: http.StatusForbidden, Detail: why})
	}))
	defer s.Close()
	_, err := newClient(t, client.Options{BaseURL: s.URL, Token: "right"}).Register(t.Context(), wire.RegisterRequest{})
	if err == nil || !strings.HasSuffix(err.Error(), "403 Forbidden: "+why) {
		t.Errorf("%v", err)
	}
}

// Of a 429 the challenge says whether the token was the cause.
func TestTooManyRequests(t *testing.T) {
	inAMinute := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	for _, tt := range []struct {
		status           int
		challenge, after string
		refused          bool
		least, most      time.Duration
		hint             string
	}{
		{401, `Bearer realm="stackscope"`, "", true, 0, 0, "register again"},
		{429, `Bearer realm="stackscope", error="invalid_token"`, "42", true, 42 * time.Second, 42 * time.Second, "register again"},
		{429, "", "42", false, 42 * time.Second, 42 * time.Second, ""},
		{429, `Bearer realm="x"`, inAMinute, false, 50 * time.Second, time.Minute, ""},
		{429, "", "soon", false, 0, 0, ""},
		{429, "", "-5", false, 0, 0, ""},
		{429, "", "Mon, 01 Jan 2001 00:00:00 GMT", false, 0, 0, ""},
		{503, `Bearer error="invalid_token"`, "10", false, 10 * time.Second, 10 * time.Second, ""},
	} {
		for _, problem := range []bool{true, false} { // the other is a proxy's
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Www-Authenticate", tt.challenge)
				w.Header().Set("Retry-After", tt.after)
				if !problem {
					w.WriteHeader(tt.status)
					return
				}
				_ = httpjson.WriteProblem(w, httpjson.Problem{Status: tt.status, Detail: "no"})
			}))
			_, err := newClient(t, client.Options{BaseURL: s.URL, Token: "t"}).Report(t.Context(), 1, wire.ReportRequest{})
			s.Close()
			e, ok := errors.AsType[*client.Error](err)
			if !ok || e.Status != tt.status || e.TokenRefused != tt.refused || e.RetryAfter < tt.least || e.RetryAfter > tt.most || problem && e.Hint != tt.hint && e.Hint != "the worker must "+tt.hint {
				t.Errorf("%+v became %#v", tt, err)
			}
		}
	}
}

// TestAdviceIsWhole: the last words of our own server's answer are what to do.
func TestAdviceIsWhole(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"detail":"`+strings.Repeat("because ", 200)+`send it with sudo"}`)
	}))
	defer s.Close()
	c, err := client.New(client.Options{BaseURL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveWorker(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "send it with sudo") {
		t.Errorf("%v", err)
	}
}

func TestFaultsComeBack(t *testing.T) {
	faults := []wire.Fault{{Pointer: "/a", Detail: "x"}, {Pointer: "/b", Detail: "y"}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = httpjson.WriteProblem(w, httpjson.Problem{Status: 422, Detail: "2 faults", Errors: faults})
	}))
	defer srv.Close()
	_, err := newClient(t, client.Options{BaseURL: srv.URL}).SetConfig(t.Context(), []byte("{}"), client.Change{IfGeneration: client.AnyGeneration})
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatal(err)
	}
	if diff := cmp.Diff(faults, e.Faults); diff != "" {
		t.Error(diff)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 1<<20)
		for range 64 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	_, err := newClient(t, client.Options{BaseURL: srv.URL}).Version(t.Context())
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error = %v", err)
	}
}

func TestTLSServerIsTrustedThroughHTTPClient(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(wire.Version{Version: "v1"})
	}))
	defer srv.Close()
	pool := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	v, err := newClient(t, client.Options{BaseURL: srv.URL, HTTPClient: hc}).Version(t.Context())
	if err != nil || v.Version != "v1" {
		t.Errorf("Version = %+v, %v", v, err)
	}
	hc.CloseIdleConnections()
}
