package engine

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/engine/fetch"
)

// TestGatewayTakenForAnEngine: a page that was read as vLLM's, as by a worker that did not know routers, is the router's, and
// what was its model is forgotten.
func TestGatewayTakenForAnEngine(t *testing.T) {
	page := gatewayPage(t, "production-stack")
	synctest.Test(t, func(t *testing.T) {
		d := Declaration{URL: "http://h:8001", Path: "/metrics", Instance: "router"}
		pages := map[string]string{"/metrics": page, "/version": `{"version": "0.1.9"}`, "/v1/models": `{"data": [{"id": "qwen"}]}`}
		e, err := New(Options{
			Declaration: d, Fetcher: fetch.New(fetch.Options{Transport: &fake{pages: pages}}),
			History: History{Identity: Identity{Runtime: "vLLM", Version: "0.1.8", Model: "router"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := &harness{Engine: e}
		h.run(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := h.Status().Identity, (Identity{Runtime: "production-stack", Version: "0.1.9"}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestGatewayIsDeclaredWithoutModel(t *testing.T) {
	_, err := ParseDeclaration("url=http://h:4000,runtime=litellm,model=qwen")
	if err == nil || !strings.Contains(err.Error(), "LiteLLM is a gateway") || !strings.Contains(err.Error(), "omit model=") {
		t.Errorf("got %v", err)
	}
	d, err := ParseDeclaration("url=http://h:4000,runtime=litellm")
	if err != nil || d.Path != "/metrics/" || d.URL != "http://h:4000" {
		t.Errorf("got %+v, %v", d, err)
	}
	for _, url := range []string{"http://h:4000/metrics/", "http://h:4000/metrics"} {
		if d, err = ParseDeclaration("url=" + url + ",runtime=litellm"); err != nil || d.Path != "/metrics/" || d.URL != "http://h:4000" {
			t.Errorf("%s: got %+v, %v", url, d, err)
		}
	}
	if d, err = ParseDeclaration("url=http://h:15020/stats/prometheus,runtime=higress"); err != nil || d.Path != "/stats/prometheus" || d.URL != "http://h:15020" {
		t.Errorf("got %+v, %v", d, err)
	}
	// What is not known to be a gateway may have a model. It goes when the page shows one.
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, "url=http://h:4000,model=qwen", map[string]string{"/metrics": gatewayPage(t, "litellm")})
		h.run(t)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := h.Status(); s.Runtime != "LiteLLM" || s.Model != "" {
			t.Errorf("got %+v", s)
		}
		if n := strings.Count(h.log.String(), "gateway has no model of its own"); n != 1 {
			t.Errorf("told %d times: %s", n, h.log)
		}
	})
}

// gatewayPage is a page of a gateway that is also translated.
func gatewayPage(t *testing.T, name string) string {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("..", "translate", "testdata", "engines", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return string(a.Files[0].Data)
}
