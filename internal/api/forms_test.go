package api_test

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const overlay = `{"extends":"default","gpustack_metrics":{"gpustack:own":{"type":"gauge","description":"Own."}},"runtime_mapping":{"vLLM":{"*":{"vllm:own":"gpustack:own"}}}}`

// bare is overlay without the key that makes it one.
var bare = strings.Replace(overlay, `"extends":"default",`, "", 1)

func effectiveOf(t *testing.T, document string) string {
	t.Helper()
	data, err := decoded(t, document).Effective().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The document is kept and shown as it was posted, and on request as workers use it.
func TestMergeAndEffective(t *testing.T) {
	h := newAPI(t)
	if st := read[wire.MappingStatus](t, h.change("POST", "/v2/metrics/config?merge=1", bare)); st.Generation != 1 || st.Vanishing != nil {
		t.Errorf("%+v", st)
	}
	posted, tag := h.get(t, "/v2/metrics/config")
	if got := decoded(t, posted); got.Extends() != mapping.ExtendsDefault || tag != `"1"` {
		t.Errorf("%s %s", tag, posted)
	}
	effective, effectiveTag := h.get(t, "/v2/metrics/config?effective=1")
	if effective != effectiveOf(t, overlay) || effectiveTag == tag || !strings.HasPrefix(effectiveTag, `"1-`) {
		t.Errorf("%s %.100s", effectiveTag, effective)
	}
	if g := read[wire.GenerationDocument](t, h.do(request("GET", generations+"/1?effective=1", ""))); string(g.Document) != effective || g.Extends != mapping.ExtendsDefault {
		t.Errorf("%+v", g.Generation)
	}
	read[wire.MappingStatus](t, h.change("POST", "/v2/metrics/config", overlay, "If-Match", effectiveTag))
	// An invalid document of either kind is refused with its faults.
	if p := problemOf(t, h.change("POST", "/v2/metrics/config?merge=1", `{"runtime_mapping":{"vLLM":{"*":{"a":"gpustack:nowhere"}}}}`), 422); len(p.Errors) != 1 || p.Errors[0].Pointer != "/runtime_mapping/vLLM/*/a" {
		t.Errorf("%+v", p)
	}
}

func TestYAML(t *testing.T) {
	h := newAPI(t)
	h.set(t, overlay)
	for accept, yaml := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/yaml": true, "text/yaml": true, "application/x-yaml": true,
		"application/yaml, application/json": true, "application/json, application/yaml": false, "application/yaml;q=0.5, application/json;q=0.1": true,
		"application/yaml;q=0": false, "application/yaml, */*": true, "text/html,application/xhtml+xml,*/*;q=0.8": false, "application/yaml;q=x": false, ";;": false,
	} {
		for path, document := range map[string]string{"/v2/metrics/config": overlay, "/v2/metrics/config?effective=1": effectiveOf(t, overlay), generations + "/1": overlay, generations + "/1?effective=1": effectiveOf(t, overlay)} {
			w := h.do(request("GET", path, "", "Accept", accept))
			if got := w.Header().Get("Content-Type") == "application/yaml"; w.Code != 200 || got != yaml {
				t.Errorf("%s, Accept %q: %d %v", path, accept, w.Code, w.Header())
				continue
			}
			if !yaml {
				continue
			}
			want, err := decoded(t, document).EncodeYAML()
			if err != nil {
				t.Fatal(err)
			}
			if got := w.Body.String(); strings.TrimSpace(got) != strings.TrimSpace(string(want)) {
				t.Errorf("%s: %.300s", path, got)
			}
		}
	}
}

// A client that has an answer does not get it again, and gets another one when there is one.
func TestUnchangedDocumentsAreNotSentAgain(t *testing.T) {
	h := newAPI(t)
	h.set(t, overlay)
	for _, c := range []struct {
		path    string
		headers []string
	}{
		{"/v2/metrics/config", nil},
		{"/v2/metrics/config?effective=1", nil},
		{"/v2/metrics/config", []string{"Accept", "application/yaml"}},
		{generations + "/1", nil},
		{generations + "/0", nil},
		{generations + "/1", []string{"Accept", "application/yaml"}},
		{generations + "/0/diff", nil},
	} {
		get := func(headers ...string) (int, string, int) {
			w := h.do(request("GET", c.path, "", append(headers, c.headers...)...))
			return w.Code, w.Header().Get("ETag"), w.Body.Len()
		}
		code, tag, _ := get()
		if code != 200 || tag == "" {
			t.Fatalf("%s: %d %s", c.path, code, tag)
		}
		for _, have := range []string{tag, `"x", ` + tag, "W/" + tag} {
			if code, again, n := get("If-None-Match", have); code != 304 || again != tag || n != 0 {
				t.Errorf("%s %v, If-None-Match %s: %d %s, %d bytes", c.path, c.headers, have, code, again, n)
			}
		}
		if code, _, _ := get("If-None-Match", `"7"`); code != 200 {
			t.Errorf("%s: %d", c.path, code)
		}
	}
	_, tag := h.get(t, "/v2/metrics/config")
	h.set(t, smallMapping)
	if w := h.do(request("GET", "/v2/metrics/config", "", "If-None-Match", tag)); w.Code != 200 || strings.TrimSpace(w.Body.String()) != smallMapping {
		t.Errorf("after a change: %d", w.Code)
	}
	// The built-in document changes with an upgrade and the generation does not, so the generation alone proves nothing.
	h.change("DELETE", "/v2/metrics/config", "")
	_, tag = h.get(t, "/v2/metrics/config")
	if w := h.do(request("GET", "/v2/metrics/config", "", "If-None-Match", tag)); w.Code != 200 {
		t.Errorf("the built-in document: %d", w.Code)
	}
	_, tag = h.get(t, "/v2/metrics/config?effective=1")
	if w := h.do(request("GET", "/v2/metrics/config?effective=1", "", "If-None-Match", tag)); w.Code != 304 {
		t.Errorf("the built-in document with a digest: %d", w.Code)
	}
}
