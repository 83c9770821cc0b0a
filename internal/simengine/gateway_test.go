package simengine_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stackscope/stackscope/internal/simengine"
)

// totals adds up a page's samples: of counters their values, of histograms their counts, by family and one label.
func totals(t *testing.T, page, label string) map[string]map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]float64{}
	for name, f := range families {
		all[name] = map[string]float64{}
		for _, m := range f.Metric {
			key := ""
			for _, l := range m.Label {
				if l.GetName() == label {
					key = l.GetValue()
				}
			}
			all[name][key] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func get(t *testing.T, g *simengine.Gateway, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Body.String()
}

// What the gateway has counted is what its engines have.
func TestGatewayAgreesWithItsEngines(t *testing.T) {
	now := time.Date(2026, time.March, 3, 14, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	var g simengine.Gateway
	pages := map[string]func() string{}
	for profile, name := range map[string]string{simengine.ProfileVLLM: "qwen", simengine.ProfileSGLang: "deepseek"} {
		e, err := simengine.New(simengine.Options{Profile: profile, Model: name, Seed: 3, Start: now.Add(-time.Hour), Now: clock, Gateway: &g})
		if err != nil {
			t.Fatal(err)
		}
		h := e.Handler()
		pages[name] = func() string {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics/", nil))
			if w.Code != 200 {
				w = httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			}
			return w.Body.String()
		}
	}
	check := func(more float64) {
		t.Helper()
		page := get(t, &g, "/metrics/")
		byModel, byStatus, byUser := totals(t, page, "requested_model"), totals(t, page, "status_code"), totals(t, page, "user")
		engine := totals(t, pages["qwen"](), "finished_reason")
		ends := engine["vllm:request_success_total"]
		qwen := byModel["litellm_request_total_latency_metric"]["qwen"]
		if want := ends["stop"] + ends["length"] + ends["repetition"]; qwen != want || qwen < 100 {
			t.Errorf("%v requests answered by qwen, the engine says %v", qwen, want)
		}
		if got, want := byModel["litellm_proxy_total_requests_metric_total"]["qwen"], qwen+ends["abort"]+ends["error"]; got < want || got > want*1.05 {
			t.Errorf("%v requests for qwen, the engine had %v", got, want)
		}
		for _, status := range []string{"200", "429", "499", "500"} {
			if byStatus["litellm_proxy_total_requests_metric_total"][status] == 0 {
				t.Errorf("no request ended with %s", status)
			}
		}
		if users := byUser["litellm_output_tokens_metric_total"]; len(users) < 5 || users["None"] != 0 {
			t.Errorf("users: %v", users)
		}
		if got := byModel["litellm_in_flight_requests"][""]; got < more {
			t.Errorf("%v requests in flight, want %v", got, more)
		}
		if again := get(t, &g, "/metrics/"); again != page {
			t.Error("a second page of the same moment differs")
		}
	}
	check(0)
	now = now.Add(10 * time.Minute)
	check(0)
	if v := get(t, &g, "/health/readiness"); !strings.Contains(v, `"litellm_version":"1.`) {
		t.Error(v)
	}
	if v := get(t, &g, "/v1/models"); !strings.Contains(v, `"id":"qwen"`) || !strings.Contains(v, `"id":"deepseek"`) {
		t.Error(v)
	}
}

// Requests that an engine takes with it when it ends have failed.
func TestGatewayCountsWhatARestartLoses(t *testing.T) {
	now := time.Date(2026, time.March, 3, 14, 0, 0, 0, time.UTC)
	var g simengine.Gateway
	e, err := simengine.New(simengine.Options{Profile: simengine.ProfileVLLM, Model: "qwen", Now: func() time.Time { return now }, Idle: true, Gateway: &g})
	if err != nil {
		t.Fatal(err)
	}
	e.Burst(50)
	now = now.Add(100 * time.Millisecond)
	before := totals(t, get(t, &g, "/metrics/"), "status_code")
	if n := before["litellm_in_flight_requests"][""]; n != 50 {
		t.Fatalf("%v requests in flight", n)
	}
	e.Restart()
	after := totals(t, get(t, &g, "/metrics/"), "status_code")
	if n := after["litellm_proxy_total_requests_metric_total"]["500"]; n != 50 || after["litellm_in_flight_requests"][""] != 0 {
		t.Errorf("%v requests failed, %v in flight", n, after["litellm_in_flight_requests"][""])
	}
}
