package api_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

func (h harness) set(t *testing.T, body string, headers ...string) wire.MappingStatus {
	t.Helper()
	w := h.do(asAdmin(request("POST", "/v2/metrics/config", body, headers...)))
	var st wire.MappingStatus
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &st) != nil || st.Status != "ok" {
		t.Fatalf("POST: %d %s", w.Code, w.Body)
	}
	return st
}

func (h harness) get(t *testing.T, path string) (doc, etag string) {
	t.Helper()
	w := h.do(request("GET", path, ""))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("GET %s: %d %v", path, w.Code, w.Header())
	}
	return strings.TrimSpace(w.Body.String()), w.Header().Get("ETag")
}

func TestConfigIsServedAsItWasPosted(t *testing.T) {
	h := newAPI(t)
	builtin := string(h.mapping.Builtin())
	if doc, etag := h.get(t, "/v2/metrics/config"); doc != builtin || etag != `"0"` {
		t.Errorf("at first: ETag %s, %.80s", etag, doc)
	}
	// Order and spelling are the author's: runtime_mapping first, keys unsorted, < not escaped.
	const custom = `{"runtime_mapping":{"vLLM":{"<0.11.1":{"z:z":"gpustack:z","a:a":"gpustack:a"}}},"gpustack_metrics":{"gpustack:z":{"type":"gauge","description":"<Z>"},"gpustack:a":{"description":"A","type":"counter"}}}`
	for i, headers := range [][]string{
		{"Content-Type", "application/json"},
		{"Content-Type", "application/x-www-form-urlencoded"}, // curl -d without -H
		{},
		{"Content-Type", "nonsense; ;;"},
	} {
		st := h.set(t, custom, headers...)
		if st.Generation != 1 || st.Unchanged != (i > 0) {
			t.Errorf("%v: %+v", headers, st)
		}
		if doc, etag := h.get(t, "/v2/metrics/config"); doc != custom || etag != `"1"` {
			t.Errorf("ETag %s, %s", etag, cmp.Diff(custom, doc))
		}
	}
	yaml := "gpustack_metrics:\n  gpustack:x: {type: gauge, description: X.}\nruntime_mapping: {}\n"
	if st := h.set(t, yaml, "Content-Type", "application/yaml"); st.Generation != 2 {
		t.Errorf("YAML: %+v", st)
	}
	if doc, _ := h.get(t, "/v2/metrics/config"); doc != smallMapping {
		t.Errorf("YAML became %s", doc)
	}
	for _, method := range []string{"GET", "POST"} {
		if w := h.do(request(method, "/v2/metrics/default-config", "")); w.Code != 200 || strings.TrimSpace(w.Body.String()) != builtin {
			t.Errorf("%s default-config: %d %.80s", method, w.Code, w.Body)
		}
	}
	if doc, _ := h.get(t, "/v2/metrics/config"); doc != smallMapping {
		t.Errorf("POST default-config changed the mapping to %.80s", doc)
	}
}

// GPUStack stores any JSON and every worker's metrics break on it.
func TestGPUStackBug03_FaultyMappingIsRefused(t *testing.T) {
	h := newAPI(t)
	h.set(t, smallMapping)
	for name, body := range map[string]string{
		"null": "null", "list": "[]", "text": `"x"`, "null mapping": `{"gpustack_metrics":null,"runtime_mapping":null}`,
		"unknown type": strings.Replace(smallMapping, "gauge", "spiral", 1),
		"wrong type":   strings.Replace(smallMapping, `"gauge"`, "7", 1),
		"cut off":      smallMapping[:40],
		"blank":        " ",
	} {
		p := problemOf(t, h.do(asAdmin(request("POST", "/v2/metrics/config", body))), 422)
		if len(p.Errors) == 0 || p.Errors[0].Detail == "" || !strings.Contains(p.Detail, "unchanged") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if doc, etag := h.get(t, "/v2/metrics/config"); doc != smallMapping || etag != `"1"` {
		t.Errorf("active mapping: %s %s", etag, doc)
	}
}

func TestEveryFaultIsNamed(t *testing.T) {
	h := newAPI(t)
	const faulty = `{
		"gpustack_metrics": {
			"gpustack:ok": {"type": "gauge", "description": "Fine."},
			"gpustack:bad type": {"type": "gauge"},
			"gpustack:odd": {"type": "spiral"}
		},
		"runtime_mapping": {"vLLM": {
			"not a range": {"a": "gpustack:ok"},
			"*": {"b": "gpustack:undefined", "c": null}
		}},
		"surplus": 1
	}`
	p := problemOf(t, h.do(asAdmin(request("POST", "/v2/metrics/config", faulty))), 422)
	got := map[string]bool{}
	for _, f := range p.Errors {
		got[f.Pointer] = f.Detail != ""
	}
	want := map[string]bool{
		"/gpustack_metrics/gpustack:bad type": true,
		"/gpustack_metrics/gpustack:odd/type": true,
		"/runtime_mapping/vLLM/not a range":   true,
		"/runtime_mapping/vLLM/*/b":           true,
		"/runtime_mapping/vLLM/*/c":           true,
		"/surplus":                            true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%+v", diff, p.Errors)
	}
	if !strings.Contains(p.Detail, "6 faults") || h.mapping.Current().Number != 0 {
		t.Errorf("%s; generation %d", p.Detail, h.mapping.Current().Number)
	}
}

func TestConfigIsBounded(t *testing.T) {
	h := newAPI(t)
	pad := func(size int) string { return smallMapping + strings.Repeat(" ", size-len(smallMapping)) }
	problemOf(t, h.do(asAdmin(request("POST", "/v2/metrics/config", pad(mapping.MaxDocumentBytes+1)))), 413)
	if h.mapping.Current().Number != 0 {
		t.Error("it was activated")
	}
	h.set(t, pad(mapping.MaxDocumentBytes))
	problemOf(t, h.do(asAdmin(request("POST", "/v2/metrics/config", ""))), 400)
}

func TestIfMatch(t *testing.T) {
	h := newAPI(t)
	h.set(t, smallMapping, "If-Match", `"0"`)
	other := strings.Replace(smallMapping, "X.", "Y.", 1)
	for _, tag := range []string{`"0"`, `"2"`, `0`, `"x"`, `"0", "7"`} {
		p := problemOf(t, h.do(asAdmin(request("POST", "/v2/metrics/config", other, "If-Match", tag))), 412)
		if !strings.Contains(p.Detail, "generation 1 is active") {
			t.Errorf("If-Match %s: %s", tag, p.Detail)
		}
		problemOf(t, h.do(asAdmin(request("DELETE", "/v2/metrics/config", "", "If-Match", tag))), 412)
	}
	for i, tag := range []string{`"1"`, `W/"2"`, `3`, `"9", "4"`, `*`} {
		h.set(t, strings.Replace(smallMapping, "X.", strconv.Itoa(i), 1), "If-Match", tag)
	}
}

// GPUStack can't return to its default, and a mapping that was set once freezes the default of that day.
func TestGPUStackBug17_ResetFollowsTheDefault(t *testing.T) {
	h := newAPI(t)
	h.set(t, smallMapping)
	w := h.do(asAdmin(request("DELETE", "/v2/metrics/config", "")))
	if want := `{"status":"ok","generation":2,"workers":0}`; w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if g := h.mapping.Current(); !g.Default || g.Number != 2 {
		t.Errorf("active: generation %d, default %t", g.Number, g.Default)
	}
	if doc, etag := h.get(t, "/v2/metrics/config"); doc != string(h.mapping.Builtin()) || etag != `"2"` {
		t.Errorf("served: ETag %s, %.80s", etag, doc)
	}
}

func TestAdminSeesWhyAChangeFailed(t *testing.T) {
	h := newAPI(t)
	h.mapping.fail = errors.New("no space is left")
	p := problemOf(t, h.do(asAdmin(request("POST", "/v2/metrics/config", smallMapping))), 500)
	if !strings.Contains(p.Detail, "no space is left") {
		t.Errorf("told %q", p.Detail)
	}
}
