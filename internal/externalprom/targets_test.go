package externalprom_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/externalprom"
)

// handler returns one that asks the Prometheus at address.
func handler(t *testing.T, address string) *externalprom.Handler {
	t.Helper()
	u, err := externalprom.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	return externalprom.New(externalprom.Options{URL: u, PathPrefix: "/prometheus", Logger: slog.New(slog.DiscardHandler)})
}

func target(url, health, lastError string) string {
	return fmt.Sprintf(`{"discoveredLabels":{"__address__":"x"},"labels":{"job":"j"},"scrapePool":"workers","scrapeUrl":%q,"globalUrl":"x","lastError":%q,"lastScrape":"2026-11-30T12:00:00.5Z","lastScrapeDuration":0.25,"health":%q,"scrapeInterval":"5s","scrapeTimeout":"5s"}`, url, lastError, health)
}

// Of the targets those at the workers' addresses are told, with the kind of their errors and nothing that a target sent.
func TestTargets(t *testing.T) {
	var uri, user string
	prometheus := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		user, _, _ = r.BasicAuth()
		answerJSON(w, http.StatusOK, `{"status":"success","data":{"droppedTargetCounts":{"a":[1,{}]},"activeTargets":[`+strings.Join([]string{
			target("http://10.0.0.1:10151/metrics?cluster_labels=target", "up", ""),
			target("http://10.0.0.2:10151/metrics", "down", `Get "http://10.0.0.2:10151/metrics": dial tcp 10.0.0.2:10151: connect: connection refused`),
			target("https://node-3/metrics", "down", `expected value after metric, got "hunter2" ("MNAME") while parsing: "hunter2"`),
			target("http://10.0.0.9:9100/metrics", "up", ""),
			target("http://10.0.0.4/metrics", "unknown", ""),
		}, ",")+`],"droppedTargets":[]}}`)
	})
	h := handler(t, strings.Replace(prometheus.URL, "http://", "http://reader:x@", 1)+"/tenant")
	known := func(address string) bool { return address != "10.0.0.9:9100" }
	got, err := h.Targets(t.Context(), known)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 30, 12, 0, 0, 500e6, time.UTC)
	want := externalprom.Targets{Active: 5, Up: 2, Known: []externalprom.Target{
		{Job: "workers", Address: "10.0.0.1:10151", Up: true, Last: at, Took: 250 * time.Millisecond},
		{Job: "workers", Address: "10.0.0.2:10151", Last: at, Took: 250 * time.Millisecond, Error: "connection refused"},
		{Job: "workers", Address: "node-3:443", Last: at, Took: 250 * time.Millisecond, Error: "another error, which its page of targets shows"},
		{Job: "workers", Address: "10.0.0.4:80", Last: at, Took: 250 * time.Millisecond},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if uri != "/tenant/api/v1/targets?state=active" || user != "reader" {
		t.Errorf("asked for %s as %s", uri, user)
	}
}

// What answers without targets, or does not answer, is told from an empty list.
func TestNoTargets(t *testing.T) {
	all := func(string) bool { return true }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		none   bool
		want   string
	}{
		"empty": {func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, http.StatusOK, `{"status":"success","data":{"activeTargets":[],"droppedTargets":[]}}`)
		}, false, ""},
		"no such route": {http.NotFound, true, "404"},
		"other JSON":    {func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, `{"data":[1]}`) }, true, "something else"},
		"no data":       {func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, `{"a":{"b":1}}`) }, true, "something else"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, http.StatusOK, `{"data":{"activeTargets":[{}`)
		}, true, "something else"},
		"refuses":       {func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusServiceUnavailable, `{}`) }, true, "503"},
		"wants a login": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, false, "credentials"},
	} {
		p := upstream(t, c.answer)
		got, err := handler(t, p.URL).Targets(t.Context(), all)
		if errors.Is(err, externalprom.ErrNoTargets) != c.none || err != nil && got.Active != 0 || (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), p.URL)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
