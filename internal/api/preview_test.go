package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

const previewPath = "/v2/metrics/preview"

func previewBody(t *testing.T, r wire.PreviewRequest) string {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

const (
	previewMapping = `{"gpustack_metrics":{"gpustack:x":{"type":"gauge","description":"X."},"gpustack:y":{"type":"gauge","description":"Y."}},"runtime_mapping":{"engine":{"*":{"e:a":"gpustack:x","e:b":"gpustack:x","e:c":"gpustack:y"}}}}`
	previewPage    = "# TYPE e:b gauge\ne:b 1\n# TYPE e:a gauge\ne:a{m=\"q\"} 2\ne:z 3\n"
)

func TestPreview(t *testing.T) {
	h := newAPI(t)
	inForce := h.mapping.Current().Number
	yaml := "gpustack_metrics:\n  gpustack:x: {type: gauge, description: X.}\n  gpustack:y: {type: gauge, description: Y.}\n" +
		"runtime_mapping:\n  engine: {'*': {'e:a': 'gpustack:x', 'e:b': 'gpustack:x', 'e:c': 'gpustack:y'}}\n"
	text, err := json.Marshal(yaml)
	if err != nil {
		t.Fatal(err)
	}
	want := wire.Preview{
		Unified:  "# HELP gpustack:x X.\n# TYPE gpustack:x gauge\ngpustack:x{runtime=\"engine\",m=\"q\"} 2\n",
		Coverage: wire.Coverage{Families: 1, Of: 2},
		Native: []wire.NativeReport{
			{Name: "e:b", Type: "gauge", Samples: 1, Outcomes: []wire.NativeOutcome{{Family: "gpustack:x", Why: "another native metric, e:a, comes first in the mapping"}}},
			{Name: "e:a", Type: "gauge", Samples: 1, Outcomes: []wire.NativeOutcome{{Family: "gpustack:x", Samples: 1}}},
			{Name: "e:z", Samples: 1, Why: "unmapped: the mapping does not name it for this version"},
		},
	}
	for _, document := range []string{previewMapping, string(text)} {
		w := h.do(request("POST", previewPath, previewBody(t, wire.PreviewRequest{Page: previewPage, Runtime: "engine", Version: "1.0", Mapping: json.RawMessage(document)})))
		var got wire.Preview
		if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &got) != nil {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if h.mapping.Current().Number != inForce {
		t.Error("it was activated")
	}
}

// Without a mapping the active one is used.
func TestPreviewOfTheMappingInForce(t *testing.T) {
	h := newAPI(t)
	h.set(t, previewMapping)
	w := h.do(request("POST", previewPath, previewBody(t, wire.PreviewRequest{Page: previewPage, Runtime: "ENGINE"})))
	var got wire.Preview
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &got) != nil || got.Coverage.Families != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The command line prints translate's reports in the API's form.
func TestPreviewReportsAsTheCommandLine(t *testing.T) {
	one, err := json.Marshal(translate.NativeReport{Name: "n", Type: "t", Samples: 1, Unreadable: 2, Outcomes: []translate.Outcome{{Family: "f", Samples: 3, Why: "w"}}, Why: "v"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(wire.NativeReport{Name: "n", Type: "t", Samples: 1, Unreadable: 2, Outcomes: []wire.NativeOutcome{{Family: "f", Samples: 3, Why: "w"}}, Why: "v"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(one), string(other)); diff != "" {
		t.Error(diff)
	}
}

func TestFaultyPreviewsAreExplained(t *testing.T) {
	h := newAPI(t)
	for name, c := range map[string]struct{ body, pointer string }{
		"no page":         {`{"runtime":"vLLM"}`, "/page"},
		"no runtime":      {`{"page":"a 1"}`, "/runtime"},
		"empty page":      {`{"page":"","runtime":"vLLM"}`, "/page"},
		"page too long":   {previewBody(t, wire.PreviewRequest{Page: strings.Repeat("a 1\n", 4<<20) + "\n", Runtime: "vLLM"}), "/page"},
		"wrong type":      {`{"page":7,"runtime":"vLLM"}`, "/page"},
		"surplus":         {`{"page":"a 1","runtime":"vLLM","url":"http://127.0.0.1/"}`, "/url"},
		"unknown runtime": {`{"page":"a 1","runtime":"vlm"}`, "/runtime"},
		"faulty mapping":  {`{"page":"a 1","runtime":"vLLM","mapping":` + strings.Replace(smallMapping, "gauge", "spiral", 1) + `}`, "/mapping/gpustack_metrics/gpustack:x/type"},
		"no mapping":      {`{"page":"a 1","runtime":"vLLM","mapping":[]}`, "/mapping"},
	} {
		p := problemOf(t, h.do(request("POST", previewPath, c.body)), 422)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer || p.Errors[0].Detail == "" || strings.Contains(p.Detail, "active") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	problemOf(t, h.do(request("POST", previewPath, strings.Repeat(" ", 42<<20))), 413)
}

// A page and a mapping of allowed size can still be too much work together.
func TestPreviewBoundsTheWork(t *testing.T) {
	var families, targets []string
	for i := range 100 {
		families = append(families, fmt.Sprintf(`"gpustack:f%d":{"type":"gauge"}`, i))
		targets = append(targets, fmt.Sprintf(`"gpustack:f%d"`, i))
	}
	document := fmt.Sprintf(`{"gpustack_metrics":{%s},"runtime_mapping":{"engine":{"*":{"e:a":[%s]}}}}`, strings.Join(families, ","), strings.Join(targets, ","))
	body := previewBody(t, wire.PreviewRequest{Page: strings.Repeat("e:a 1\n", 100_000), Runtime: "engine", Mapping: json.RawMessage(document)})
	if p := problemOf(t, newAPI(t).do(request("POST", previewPath, body)), 422); !strings.Contains(p.Detail, "10100000 pairs") {
		t.Errorf("%+v", p)
	}
}

// Whoever may read the mapping may preview one.
func TestPreviewNeedsTheRightToRead(t *testing.T) {
	h := newAPI(t, func(o *api.Options) { o.DisableAnonymousViewer = true })
	body := previewBody(t, wire.PreviewRequest{Page: previewPage, Runtime: "engine", Mapping: json.RawMessage(previewMapping)})
	problemOf(t, h.do(request("POST", previewPath, body)), 401)
	problemOf(t, h.do(request("GET", "/v2/metrics/config/schema", "")), 401)
	if w := h.do(asAdmin(request("POST", previewPath, body))); w.Code != 200 {
		t.Errorf("as admin: %d %s", w.Code, w.Body)
	}
}

// slowMapping blocks until it is released.
type slowMapping struct {
	api.Mapping
	asked chan struct{}
	held  chan struct{}
}

func (m *slowMapping) Current() api.Generation {
	m.asked <- struct{}{}
	<-m.held
	return m.Mapping.Current()
}

func TestFewPreviewsAtATime(t *testing.T) {
	m := &slowMapping{asked: make(chan struct{}), held: make(chan struct{})}
	h := newAPI(t, func(o *api.Options) { m.Mapping, o.Mapping = o.Mapping, m })
	body := previewBody(t, wire.PreviewRequest{Page: previewPage, Runtime: "vLLM"})
	done := make(chan int)
	for range 2 {
		go func() { done <- h.do(request("POST", previewPath, body)).Code }()
		<-m.asked
	}
	w := h.do(request("POST", previewPath, body))
	problemOf(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	close(m.held)
	for range 2 {
		if code := <-done; code == http.StatusServiceUnavailable {
			t.Errorf("one of the two that are possible: %d", code)
		}
	}
}

// A slow body does not block other requests.
func TestSlowBodiesHoldNoSlots(t *testing.T) {
	h := newAPI(t)
	body := previewBody(t, wire.PreviewRequest{Page: previewPage, Runtime: "engine", Mapping: json.RawMessage(previewMapping)})
	done := make(chan int)
	var senders []*io.PipeWriter
	for range 5 {
		r, w := io.Pipe()
		senders = append(senders, w)
		req := httptest.NewRequest("POST", "http://gpu-head"+previewPath, r)
		go func() { done <- h.do(req).Code }()
		if _, err := io.WriteString(w, body[:10]); err != nil { // returns when the handler reads
			t.Fatal(err)
		}
	}
	if w := h.do(request("POST", previewPath, body)); w.Code != 200 {
		t.Errorf("beside the slow ones: %d %s", w.Code, w.Body)
	}
	for _, s := range senders {
		_, _ = io.WriteString(s, body[10:])
		_ = s.Close()
		if code := <-done; code != 200 {
			t.Errorf("a slow one: %d", code)
		}
	}
}

func TestConfigSchema(t *testing.T) {
	w := newAPI(t).do(request("GET", "/v2/metrics/config/schema", ""))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/schema+json" || !cmp.Equal(w.Body.Bytes(), mapping.Schema()) {
		t.Errorf("%d %v %.200s", w.Code, w.Header(), w.Body)
	}
}

// An instance stands for its live page, its runtime and its version.
func TestPreviewOfAnInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		sevenInstances(h)
		stream := openWatch(t, serve(t, h), "http://x", 1, 0)
		synctest.Wait()
		ask := func(body string, sent *wire.InstancePage) *httptest.ResponseRecorder {
			t.Helper()
			var wg sync.WaitGroup
			var w *httptest.ResponseRecorder
			wg.Go(func() { w = h.do(request("POST", previewPath, body)) })
			if ev := stream.pageEvent(t); sent != nil {
				h.answerPage(1, ev.ID, "cred-1", encoded(t, sent))
			}
			wg.Wait()
			return w
		}
		live := somePage()
		live.Runtime, live.RuntimeVersion, live.Native, live.Truncated = "engine", "0.11.0", previewPage, true
		got := read[wire.Preview](t, ask(`{"instance":12,"mapping":`+previewMapping+`}`, &live))
		same := read[wire.Preview](t, h.do(request("POST", previewPath, previewBody(t, wire.PreviewRequest{
			Page: previewPage, Runtime: "engine", Version: "0.11.0", Mapping: json.RawMessage(previewMapping),
		}))))
		same.Page, same.Truncated, same.Runtime, same.Version = previewPage, true, "engine", "0.11.0"
		if diff := cmp.Diff(same, got); diff != "" || got.Unified == "" {
			t.Errorf("(-of the page +of the instance)\n%s", diff)
		}
		down := wire.InstancePage{FetchedAt: time.Unix(1, 0).UTC(), Native: "<html>", Error: "connection refused"}
		if p := problemOf(t, ask(`{"instance":12}`, &down), 502); !strings.Contains(p.Detail, "instance i12") || !strings.Contains(p.Detail, "connection refused") {
			t.Error(p.Detail)
		}
		unknown := somePage()
		unknown.Runtime = "unknown"
		if p := problemOf(t, ask(`{"instance":12}`, &unknown), 422); len(p.Errors) != 1 || p.Errors[0].Pointer != "/instance" {
			t.Errorf("%+v", p)
		}
		if p := problemOf(t, ask(`{"instance":12}`, nil), 502); !strings.Contains(p.Detail, "did not answer within 10s") {
			t.Error(p.Detail)
		}
		if p := problemOf(t, h.do(request("POST", previewPath, `{"instance":20}`)), 502); !strings.Contains(p.Detail, "is not connected") {
			t.Error(p.Detail)
		}
		problemOf(t, h.do(request("POST", previewPath, `{"instance":99}`)), 404)
		for pointer, body := range map[string]string{
			"/page": `{"instance":12,"page":"a 1"}`, "/runtime": `{"instance":12,"runtime":"vLLM"}`, "/version": `{"instance":12,"version":"1"}`, "/instance": `{"instance":0,"page":"a 1","runtime":"vLLM"}`,
		} {
			if p := problemOf(t, h.do(request("POST", previewPath, body)), 422); len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
				t.Errorf("%s: %+v", body, p)
			}
		}
	})
}

// The faults of a YAML mapping have their lines.
func TestFaultsOfPreviewsHaveLines(t *testing.T) {
	body := previewBody(t, wire.PreviewRequest{Page: "a 1", Runtime: "vLLM", Mapping: json.RawMessage(encoded(t, "gpustack_metrics:\n  gpustack:x: {type: spiral}\nruntime_mapping: {}\n"))})
	if p := problemOf(t, newAPI(t).do(request("POST", previewPath, body)), 422); len(p.Errors) != 1 || p.Errors[0].Line != 2 {
		t.Errorf("%+v", p)
	}
}
