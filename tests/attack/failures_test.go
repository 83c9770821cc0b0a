//go:build linux

package attack

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// counter returns the value of a sample on the server's metrics page; -1: it isn't there.
func (s *server) counter(t *testing.T, sample string) int {
	t.Helper()
	page, err := programs.Get(s.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int(n)
		}
	}
	return -1
}

// from is a client whose connections come from an address of this machine.
func from(address string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 8}}
}

// entrance is a way in that takes a token.
type entrance struct {
	name, method, url, right, body string
	ok                             int
}

func (e entrance) ask(client *http.Client, authorization string) (status int, header http.Header, answer string, err error) {
	req, err := http.NewRequest(e.method, e.url, strings.NewReader(e.body))
	if err != nil {
		return 0, nil, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(data), err
}

// Whoever guesses tokens is told so and costs nobody anything: who has the right one comes in at any time, also from that address.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	promPort := programs.FreePort(t)
	s := serve(t, "--disable-anonymous-viewer", "--no-trust-loopback", "--builtin-prometheus-port", strconv.Itoa(promPort))
	w, err := s.join("w", 0)
	if err != nil {
		t.Fatal(err)
	}
	admin, join := "Bearer "+s.adminToken, "Bearer "+s.joinToken
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+s.adminToken))
	entrances := []entrance{
		{"changing", http.MethodDelete, s.url + "/v2/metrics/config", admin, "", 200},
		{"changing, Basic", http.MethodDelete, s.url + "/v2/metrics/config", basic, "", 200},
		{"reading", http.MethodGet, s.url + "/v2/workers", admin, "", 200},
		{"the console's data", http.MethodGet, s.url + "/console/settings", admin, "", 200},
		{"/prometheus", http.MethodGet, s.url + "/prometheus/api/v1/status/buildinfo", admin, "", 200},
		{"Prometheus' port", http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/prometheus/api/v1/status/buildinfo", promPort), admin, "", 200},
		{"/grafana", http.MethodGet, s.url + "/grafana/", admin, "", 404}, // there is none
		{"joining", http.MethodPost, s.url + "/v2/workers/register", join, `{"uuid":"u","name":"n","address":"127.0.0.1","metrics_port":0}`, 200},
		{"reporting", http.MethodPut, fmt.Sprintf("%s/v2/workers/%d/report", s.url, w.ID), "Bearer " + w.Credential, `{"applied_generation":0,"instances":[]}`, 200},
	}
	for _, e := range entrances {
		programs.Eventually(t, time.Minute, e.name, func() error { // Prometheus takes a moment
			status, _, answer, err := e.ask(http.DefaultClient, e.right)
			if err == nil && status != e.ok {
				err = fmt.Errorf("%d: %s", status, answer)
			}
			return err
		})
	}
	const guess = "Bearer some-guess-of-a-token"
	begin := time.Now()
	rounds := count(500, 30)
	for n, e := range entrances {
		client := from(fmt.Sprintf("127.0.1.%d", n+1))
		defer client.CloseIdleConnections()
		tally := map[int]int{}
		for range rounds {
			status, header, answer, err := e.ask(client, guess)
			if err != nil {
				t.Fatalf("%s: %v", e.name, err)
			}
			tally[status]++
			if status == http.StatusTooManyRequests && (header.Get("Retry-After") == "" || !strings.Contains(answer, "wrong tokens came from this address")) {
				t.Errorf("%s: Retry-After %q: %s", e.name, header.Get("Retry-After"), answer)
			}
			if strings.Contains(answer, "some-guess") {
				t.Errorf("%s: the answer has the token: %s", e.name, answer)
			}
		}
		if tally[401] < 20 || tally[401] > 20*(1+int(time.Since(begin)/time.Minute)) || tally[401]+tally[429] != rounds {
			t.Errorf("%s: wrong tokens were answered %v", e.name, tally)
		}
		if status, _, answer, err := e.ask(client, e.right); status != e.ok {
			t.Errorf("%s: a right token is answered with %d, want %d: %v %s", e.name, status, e.ok, err, answer)
		}
		if status, _, _, _ := e.ask(client, ""); status != http.StatusUnauthorized {
			t.Errorf("%s: a request without a token is answered with %d", e.name, status)
		}
	}
	if n, most := strings.Count(s.Output(), "peer=127.0.1.1 "), 1+int(time.Since(begin)/time.Minute); n < 1 || n > most {
		t.Errorf("%d lines tell of one address, want at most %d:\n%s", n, most, tail(s.Output(), 3000))
	}
	if n := strings.Count(s.Output(), "wrong tokens"); n < len(entrances) {
		t.Errorf("%d lines tell of %d addresses", n, len(entrances))
	}
	if strings.Contains(s.Output(), "some-guess") {
		t.Error("the log has the token")
	}
	counted := 0
	for _, needed := range []string{"admin", "join", "worker"} {
		for _, status := range []int{401, 429} {
			counted += s.counter(t, fmt.Sprintf(`stackscope_wrong_tokens_total{needed="%s",status="%d"}`, needed, status))
		}
	}
	if counted != rounds*len(entrances) {
		t.Errorf("%d are counted, %d were sent", counted, rounds*len(entrances))
	}
}

// A flood of guesses keeps nobody waiting.
func TestFloodOfGuesses(t *testing.T) {
	s := serve(t)
	s.queryable(t)
	var sent, wrong atomic.Int64
	s.attack(t, func() {
		end := time.Now().Add(seconds(20, 2))
		var all sync.WaitGroup
		for n := range 8 {
			client := from(fmt.Sprintf("127.0.2.%d", n+1))
			defer client.CloseIdleConnections()
			e := entrance{method: http.MethodPost, url: s.url + "/v2/workers/register", body: `{}`}
			all.Go(func() {
				for time.Now().Before(end) {
					status, _, _, err := e.ask(client, fmt.Sprint("Bearer guess-", sent.Add(1)))
					if err != nil || status != 401 && status != 429 {
						wrong.Add(1)
					}
				}
			})
		}
		all.Wait()
	})
	if wrong.Load() > 0 || sent.Load() < 100 {
		t.Errorf("%d of %d guesses were answered otherwise than with 401 or 429", wrong.Load(), sent.Load())
	}
}

// Registrations that are refused are bounded, and those of one worker; a fleet that comes at once, from one address, is not.
func TestRegistrations(t *testing.T) {
	t.Parallel()
	s := serve(t, "--disable-builtin-observability")
	register := func(uuid, name string) (int, string) {
		t.Helper()
		status, answer, err := s.send(http.MethodPost, "/v2/workers/register", s.joinToken, map[string]any{"uuid": uuid, "name": name, "address": "127.0.0.1", "metrics_port": 0})
		if err != nil {
			t.Fatal(err)
		}
		return status, string(answer)
	}
	tally := map[int]int{}
	for n := range 30 {
		status, answer := register(fmt.Sprint("bad-", n), "bad\n")
		if tally[status]++; status == http.StatusTooManyRequests && (!strings.Contains(answer, "registrations from this address") || !strings.Contains(answer, "U+000A")) {
			t.Errorf("the answer says: %s", answer)
		}
	}
	if tally[422] != 20 || tally[429] != 10 {
		t.Errorf("30 bad ones were answered %v", tally)
	}
	var all sync.WaitGroup
	var refused atomic.Int64
	fleet := count(1000, 300)
	next := make(chan int, fleet)
	for n := range fleet {
		next <- n
	}
	close(next)
	for range 16 {
		all.Go(func() {
			for n := range next {
				if status, _, err := s.send(http.MethodPost, "/v2/workers/register", s.joinToken, map[string]any{"uuid": fmt.Sprint("u-", n), "name": fmt.Sprint("n-", n), "address": "127.0.0.1", "metrics_port": 0}); err != nil || status != http.StatusOK {
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	if refused.Load() > 0 {
		t.Errorf("%d of a fleet of %d were refused", refused.Load(), fleet)
	}
	tally = map[int]int{}
	for range 25 {
		status, _ := register("restless", "restless")
		tally[status]++
	}
	if tally[200] != 20 || tally[429] != 5 {
		t.Errorf("25 registrations of one worker were answered %v", tally)
	}
	for sample, want := range map[string]int{`{reason="invalid",status="422"}`: 20, `{reason="invalid",status="429"}`: 10, `{reason="too_often",status="429"}`: 5} {
		if got := s.counter(t, "stackscope_registrations_refused_total"+sample); got != want {
			t.Errorf("%s is %d, want %d", sample, got, want)
		}
	}
	for _, line := range []string{"refused registrations: one address", "one worker registers more than 20 times a minute"} {
		if n := strings.Count(s.Output(), line); n != 1 {
			t.Errorf("%d lines say %q", n, line)
		}
	}
}

// relay passes connections on to an address that may change, as a proxy does before which all of a fleet is one.
type relay struct {
	address string
	to      atomic.Pointer[string]
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	r := &relay{address: ln.Addr().String()}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				d, err := net.Dial("tcp", *r.to.Load())
				if err != nil {
					return
				}
				defer d.Close()
				go func() { defer d.Close(); defer c.Close(); _, _ = io.Copy(d, c) }()
				_, _ = io.Copy(c, d)
			}()
		}
	}()
	return r
}

func (r *relay) pass(s *server) {
	to := strings.TrimPrefix(s.url, "http://")
	r.to.Store(&to)
}

// After a server lost its database a whole fleet behind one address is refused at once, and finds back at once.
func TestFleetThatIsForgotten(t *testing.T) {
	t.Parallel()
	before := serve(t, "--disable-builtin-observability")
	r := newRelay(t)
	r.pass(before)
	workers := count(8, 3)
	for n := range workers {
		cmd := exec.Command(programs.Path(t, "stackscope-worker"), "--server-url", "http://"+r.address, "--token-file", filepath.Join(before.dir, "worker-token"),
			"--data-dir", t.TempDir(), "--worker-name", fmt.Sprint("real-", n), "--disable-worker-metrics", "--discover", "none", "--gpu-vendors", "none")
		programs.Start(t, cmd)
	}
	ready := func(s *server, want int) {
		t.Helper()
		programs.Eventually(t, 10*time.Second, "all workers are ready", func() error {
			body, err := programs.Get(s.url + "/v2/workers")
			if n := len(regexp.MustCompile(`"name":"real-\d+"[^}]*"state":"ready"|"state":"ready"[^}]*"name":"real-\d+"`).FindAllString(body, -1)); err == nil && n != want {
				err = fmt.Errorf("%d of %d: %s", n, want, body)
			}
			return err
		})
	}
	ready(before, workers)

	dir := t.TempDir() // it keeps the tokens alone
	for _, name := range []string{"admin-token", "worker-token"} {
		text, err := os.ReadFile(filepath.Join(before.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := serveIn(t, dir, nil, "--disable-builtin-observability")
	// The rest of the fleet is told that it is forgotten before the real ones are.
	rest := count(1000, 100)
	for n := range rest {
		if status, _, err := s.report(joined{ID: int64(n) + 1, Credential: "of-before"}, reportOf(0, "")); err != nil || status != 401 && status != 429 {
			t.Fatalf("%d, %v", status, err)
		}
	}
	r.pass(s)
	before.Stop(9)
	ready(s, workers)
}

// What people see of a name is what it is.
func TestNamesThatDeceive(t *testing.T) {
	t.Parallel()
	s := serve(t, "--disable-builtin-observability")
	for name, want := range map[string]string{"gpu-\u202e1": "character 5 is U+202E", "gpu\u200b-1": "character 4 is U+200B", "gpu-1\u00a0": "U+00A0", " gpu-1": "space at its beginning"} {
		for field, body := range map[string]map[string]any{
			"name":    {"uuid": "u", "name": name, "address": "127.0.0.1", "metrics_port": 0},
			"cluster": {"uuid": "u", "name": "n", "cluster": name, "address": "127.0.0.1", "metrics_port": 0},
			"label":   {"uuid": "u", "name": "n", "address": "127.0.0.1", "metrics_port": 0, "labels": map[string]string{"rack": name}},
		} {
			status, answer, err := s.send(http.MethodPost, "/v2/workers/register", s.joinToken, body)
			if status != 422 && status != 429 || !strings.Contains(string(answer), want) || !strings.Contains(string(answer), field) {
				t.Errorf("%s %q is answered with %d, %v: %s", field, name, status, err, answer)
			}
		}
	}
	for key := range map[string]bool{"le": true, "worker_name": true, "__address__": true, "job": true} {
		status, answer, err := s.send(http.MethodPost, "/v2/workers/register", s.joinToken, map[string]any{"uuid": "u", "name": "n", "address": "127.0.0.1", "metrics_port": 0, "labels": map[string]string{key: "x"}})
		if status != 422 && status != 429 || !strings.Contains(string(answer), "reserved") {
			t.Errorf("label %s is answered with %d, %v: %s", key, status, err, answer)
		}
	}
	for want, flags := range map[string][]string{
		"--worker-name is":           {"--worker-name", "gpu-\u202e1"},
		"--cluster is":               {"--cluster", "la\u200bb"},
		`label "le" is reserved`:     {"--worker-label", "le=1"},
		`label "rack": its value is`: {"--worker-label", "rack=7\ufeff"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		out, err := exec.CommandContext(ctx, programs.Path(t, "stackscope-worker"), append([]string{"--data-dir", t.TempDir(), "--worker-metrics-port", "0", "--server-url", s.url, "--token-file", filepath.Join(s.dir, "worker-token")}, flags...)...).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("worker with %q: %v: %s", flags, err, out)
		}
	}

	// An engine may say what it likes: it is shown for what it is, and costs its worker nothing.
	says := target(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			fmt.Fprint(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 3\n")
		case "/version":
			fmt.Fprint(w, `{"version":"0.11.0"}`)
		case "/v1/models":
			fmt.Fprint(w, `{"data":[{"id":"qwen\u202e\u200b"}]}`)
		}
	})
	programs.Start(t, exec.Command(programs.Path(t, "stackscope-worker"), "--server-url", s.url, "--token-file", filepath.Join(s.dir, "worker-token"), "--data-dir", t.TempDir(), "--worker-name", "通义-1",
		"--disable-worker-metrics", "--discover", "none", "--gpu-vendors", "none", "--engine", fmt.Sprintf("url=http://127.0.0.1:%d", says)))
	programs.Eventually(t, 15*time.Second, "the engine is reported", func() error {
		body, err := programs.Get(s.url + "/v2/models")
		if err == nil && !strings.Contains(body, "qwen<U+202E><U+200B>") && !strings.Contains(body, `qwen\u003cU+202E\u003e\u003cU+200B\u003e`) {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
}
