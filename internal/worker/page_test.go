package worker

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/wire"
)

func (f *fakeServer) answerPage(w http.ResponseWriter, r *http.Request) {
	if f.refuses(w, r) {
		return
	}
	page, err := httpjson.Decode[wire.InstancePage](r.Body, 8<<20)
	if err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[r.PathValue("run")] = page
	w.WriteHeader(http.StatusNoContent)
}

// ask sends a request for a page and returns its answer.
func (f *fakeServer) ask(t *testing.T, instance string) wire.InstancePage {
	t.Helper()
	f.pages <- wire.PageEvent{ID: instance, Instance: instance, TimeoutMillis: 8000}
	var page wire.InstancePage
	eventually(t, "the page of "+instance, func() (ok bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		page, ok = f.sent[instance]
		return ok
	})
	return page
}

// Each instance's page is shown, of an engine with several models that of the engine, and of a broken one what it sent.
func TestPage(t *testing.T) {
	f := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = f.URL, joinToken
	html := fakeEngine(t, map[string]string{"/metrics": "<html><b>hello</b></html>"})
	several := strings.Replace(vllmPage, "\"qwen\"} 3.0\n", "\"qwen\"} 3.0\nvllm:num_requests_running{engine=\"0\",model_name=\"llama\"} 1.0\n", 1)
	two := fakeEngine(t, map[string]string{"/metrics": several, "/version": `{"version":"0.11.0"}`, "/v1/models": `{"data":[{"id":"qwen"},{"id":"llama"}]}`})
	o.Engines = []engine.Declaration{
		{URL: strings.Replace(vllm(t), "http://", "http://amy:hunter2@", 1), Model: "qwen", Instance: "a"},
		{URL: html, Model: "qwen", Instance: "html", Runtime: "vLLM"},
		{URL: "http://127.0.0.1:1", Model: "qwen", Instance: "gone", Runtime: "vLLM"},
		{URL: two, Model: "qwen", Instance: "two"},
	}
	w := run(t, o)
	eventually(t, "the models of an engine and the ids of an instance", func() bool {
		page := w.scrape(t, "/metrics")
		return strings.Contains(page, `model_instance_name="two-llama"`) && strings.Contains(page, `model_instance_id="40"`)
	})

	p := f.ask(t, "a")
	if p.Error != "" || p.Native != vllmPage || p.Truncated || p.Runtime != "vLLM" || p.RuntimeVersion != "0.11.0" || p.FetchedAt.IsZero() || *p.Coverage != (wire.Coverage{Families: 1, Of: 28}) {
		t.Errorf("%+v", p)
	}
	if !strings.HasSuffix(p.URL, "/metrics") || strings.Contains(p.URL, "hunter2") || strings.Contains(p.URL, "amy") {
		t.Errorf("url %s", p.URL)
	}
	for _, line := range lines(w.scrape(t, "/metrics"), "gpustack:num_requests_running{") {
		if strings.Contains(line, `model_instance_name="a"`) && !strings.Contains(p.Unified, line) {
			t.Errorf("%s is not in\n%s", line, p.Unified)
		}
	}
	if len(p.Metrics) != 1 || p.Metrics[0].Outcomes[0].Family != "gpustack:num_requests_running" {
		t.Errorf("%+v", p.Metrics)
	}
	if p := f.ask(t, "two-llama"); p.Error != "" || p.Native != several || !strings.Contains(p.Unified, `model_instance_name="two-llama"`) {
		t.Errorf("one of several models: %+v", p)
	}
	if p := f.ask(t, "html"); !strings.Contains(p.Error, "answered HTML") || p.Native != "<html><b>hello</b></html>" || p.Coverage != nil || p.Metrics == nil {
		t.Errorf("HTML: %+v", p)
	}
	if p := f.ask(t, "gone"); !strings.Contains(p.Error, "connection refused") || p.Native != "" {
		t.Errorf("refused: %+v", p)
	}
	if p := f.ask(t, "nobody"); !strings.Contains(p.Error, "no engine of that name") {
		t.Errorf("unknown: %+v", p)
	}
}
