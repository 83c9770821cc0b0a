package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/fleet"
)

func readTargets(h http.Handler, path, client, peer string) {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = peer
	r.Header.Set("User-Agent", client)
	h.ServeHTTP(httptest.NewRecorder(), r)
}

func metricsWith(readers *api.TargetReaders) http.Handler {
	none := func(*fleet.Snapshot) any { return nil }
	return api.NewMetrics(api.MetricsOptions{
		WritePage: func(send func([]byte)) { send(nil) }, ContentType: "text/plain", Snapshot: func() *fleet.Snapshot { return nil },
		Targets: none, ProxyTargets: none, Readers: readers,
	})
}

// Readers of the targets are told by the program that they are, with how often they came in the last ten minutes, and without addresses.
func TestTargetReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readers api.TargetReaders
		h := metricsWith(&readers)
		if list := readers.List(); len(list) != 0 {
			t.Errorf("%+v", list)
		}
		for range 40 { // 20 minutes
			readTargets(h, "/metrics/targets", "Prometheus/3.5.0", "10.0.0.1:1000")
			time.Sleep(30 * time.Second)
		}
		readTargets(h, "/metrics/proxy-targets", "Prometheus/3.5.0 (x) hunter2", "10.0.0.1:1000")
		readTargets(h, "/metrics/targets", "curl/8 Prometheus/3", "10.0.0.1:1000")
		readTargets(h, "/metrics", "Prometheus/2.0", "10.0.0.1:1000")
		now := time.Now()
		want := []api.TargetReader{
			{"/metrics/proxy-targets", "Prometheus/3.5.0", now, 1},
			{"/metrics/targets", "other", now, 1},
			{"/metrics/targets", "Prometheus/3.5.0", now.Add(-30 * time.Second), 18}, // the current minute has begun just now
		}
		got := readers.List()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !got[0].IsScraper() || got[1].IsScraper() {
			t.Error("which of them scrape?")
		}
		time.Sleep(20 * time.Minute)
		for _, r := range readers.List() {
			if r.Count != 0 || r.Last.IsZero() {
				t.Errorf("later: %+v", r)
			}
		}
	})
}

// Sixty-four readers are remembered, and others cannot hide a Prometheus.
func TestTargetReadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readers api.TargetReaders
		h := metricsWith(&readers)
		for k, name := range []string{"Prometheus/2.53.1", "vm_promscrape", "Alloy/v1.9.0 (linux)", "Mozilla/5.0"} {
			for n := range 60 {
				readTargets(h, "/metrics/targets", name, fmt.Sprintf("10.0.%d.%d:1", k, n))
				time.Sleep(time.Second)
			}
		}
		count := map[string]int{}
		for _, r := range readers.List() {
			count[r.Client]++
		}
		if diff := cmp.Diff(map[string]int{"vm_promscrape": 3, "Alloy/v1.9.0": 60, "other": 1}, count); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Wrong join tokens are told by the kind of network that they came from, refused registrations by reason.
func TestRecentRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		for _, peer := range []string{"127.0.0.1:1", "[::1]:1", "10.1.2.3:1", "100.64.0.9:1", "[fd00::1]:1", "192.0.2.7:1", "[2001:db8::1]:1"} {
			r := asJoin("u", "n")
			r.RemoteAddr = peer
			r.Header.Set("Authorization", "Bearer guess")
			h.do(r)
		}
		h.inventory.fail = fmt.Errorf("%w: x", fleet.ErrNameTaken)
		h.do(asJoin("u", "n"))
		now := time.Now()
		if diff := cmp.Diff([]api.Recent{{api.FromPrivate, now, 3}, {api.FromPublic, now, 2}, {api.FromThisMachine, now, 2}}, h.WrongJoinTokens()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]api.Recent{{"conflict", now, 1}}, h.RefusedRegistrations()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		time.Sleep(11 * time.Minute)
		for _, r := range h.WrongJoinTokens() {
			if r.Count != 0 {
				t.Errorf("later: %+v", r)
			}
		}
	})
}
