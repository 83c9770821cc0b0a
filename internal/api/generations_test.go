package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const generations = "/v2/metrics/config/generations"

// read gets a JSON answer.
func read[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &v) != nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return v
}

func (h harness) change(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return h.do(asAdmin(request(method, path, body, headers...)))
}

func numbered(i int) string { return strings.Replace(smallMapping, "X.", fmt.Sprint("Number ", i), 1) }

func TestGenerations(t *testing.T) {
	h := newAPI(t)
	h.change("POST", "/v2/metrics/config?author=ana&comment=first+one", numbered(1))
	h.change("POST", "/v2/metrics/config?comment="+url.QueryEscape("  the queue's gauge 🦆 "), numbered(2))
	h.change("DELETE", "/v2/metrics/config?author=bo", "")
	w := h.change("POST", generations+"/1/restore?comment=back", "")
	if st := read[wire.MappingStatus](t, w); st.Generation != 4 || st.Unchanged || w.Header().Get("ETag") != `"4"` {
		t.Errorf("%+v %v", st, w.Header())
	}
	if doc, etag := h.get(t, "/v2/metrics/config"); doc != numbered(1) || etag != `"4"` {
		t.Errorf("restored: %s %s", etag, doc)
	}
	at := h.mapping.Current().At
	one := int64(1)
	want := []wire.Generation{
		{Number: 4, Active: true, At: &at, Author: "admin token", Comment: "back", RestoredFrom: &one, Metrics: 1},
		{Number: 3, Default: true, At: &at, Author: "bo", Metrics: 1},
		{Number: 2, At: &at, Author: "admin token", Comment: "the queue's gauge 🦆", Metrics: 1},
		{Number: 1, At: &at, Author: "ana", Comment: "first one", Metrics: 1},
		{Default: true, Metrics: 1},
	}
	for query, part := range map[string][2]int{"": {0, 5}, "?page=1&perPage=2": {0, 2}, "?page=2&perPage=2": {2, 4}, "?page=3&perPage=2": {4, 5}, "?page=9": {5, 5}} {
		w := h.change("GET", generations+query, "")
		list := read[wire.List[wire.Generation]](t, w)
		if diff := cmp.Diff(append([]wire.Generation{}, want[part[0]:part[1]]...), list.Items); diff != "" || list.Pagination == nil || list.Pagination.Total != 5 {
			t.Errorf("%q: %+v (-want +got)\n%s", query, list.Pagination, diff)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v", w.Header())
		}
	}
	for query, total := range map[string]int{"?perPage=2": 3, "?perPage=5": 1} {
		if p := read[wire.List[wire.Generation]](t, h.change("GET", generations+query, "")).Pagination; p.TotalPage != total {
			t.Errorf("%s: %+v", query, p)
		}
	}
	got := read[wire.GenerationDocument](t, h.change("GET", generations+"/2", ""))
	if diff := cmp.Diff(wire.GenerationDocument{Generation: want[2], Document: json.RawMessage(numbered(2))}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := read[wire.GenerationDocument](t, h.do(request("GET", generations+"/0", ""))); string(got.Document) != string(h.mapping.Builtin()) || !got.Default {
		t.Errorf("%.200s", got.Document)
	}
	for _, path := range []string{"/5", "/999999999999", "/5/diff", "/1/diff?to=5"} {
		if p := problemOf(t, h.do(request("GET", generations+path, "")), 404); !strings.Contains(p.Detail, generations) {
			t.Errorf("%s: %s", path, p.Detail)
		}
	}
	problemOf(t, h.change("POST", generations+"/5/restore", ""), 404)
	for _, path := range []string{"/-1", "/x", "/1/diff?to=x", "/1/diff?to=-1", "?page=0", "?page=-1", "?perPage=101", "?perPage=x"} {
		problemOf(t, h.do(request("GET", generations+path, "")), 422)
	}
	// 0 is the built-in mapping: its restoration is a reset.
	if st := read[wire.MappingStatus](t, h.change("POST", generations+"/0/restore", "")); st.Generation != 5 {
		t.Errorf("%+v", st)
	}
	if g := h.mapping.Current(); !g.Default || g.RestoredFrom == nil || *g.RestoredFrom != 0 {
		t.Errorf("%+v", g)
	}
	if st := read[wire.MappingStatus](t, h.change("POST", generations+"/3/restore?comment=x", "")); st.Generation != 5 || !st.Unchanged {
		t.Errorf("%+v", st)
	}
}

// Who made a change is only for those who may make one.
func TestAuthorsAreToldToAdminsOnly(t *testing.T) {
	told := func(h harness, headers ...string) bool {
		t.Helper()
		w := h.do(request("GET", generations+"/1", "", headers...))
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		list := h.do(request("GET", generations, "", headers...)).Body.String()
		author := strings.Contains(w.Body.String(), "ana")
		if strings.Contains(list, "ana") != author || !strings.Contains(list, "why") {
			t.Errorf("the list and the generation differ: %s", list)
		}
		return author
	}
	h := newAPI(t)
	h.change("POST", "/v2/metrics/config?author=ana&comment=why", smallMapping)
	for name, c := range map[string]struct {
		headers []string
		told    bool
	}{
		"nobody":      {nil, false},
		"admin":       {[]string{"Authorization", "Bearer " + adminToken}, true},
		"wrong token": {[]string{"Authorization", "Bearer nonsense"}, false},
		"join token":  {[]string{"Authorization", "Bearer " + workerToken}, false},
		"other site":  {[]string{"Authorization", "Bearer " + adminToken, "Sec-Fetch-Site", "cross-site"}, false},
	} {
		if got := told(h, c.headers...); got != c.told {
			t.Errorf("%s is told the author: %t", name, got)
		}
	}
	for range 50 { // a wrong token is none of those that are counted against the client
		told(h, "Authorization", "Bearer nonsense")
	}
	if !told(h, "Authorization", "Bearer "+adminToken) {
		t.Error("the admin is refused")
	}
	if w := h.do(localRequest("GET", generations+"/1")); !strings.Contains(w.Body.String(), "ana") {
		t.Errorf("the server's own user: %s", w.Body)
	}
	strict := newAPI(t, func(o *api.Options) { o.NoTrustLoopback = true })
	strict.change("POST", "/v2/metrics/config?author=ana&comment=why", smallMapping)
	if w := strict.do(localRequest("GET", generations+"/1")); strings.Contains(w.Body.String(), "ana") {
		t.Errorf("the server's own user, who is no admin here: %s", w.Body)
	}
	closed := newAPI(t, func(o *api.Options) { o.DisableAnonymousViewer, o.ReadToken = true, "reader-token" })
	closed.change("POST", "/v2/metrics/config?author=ana&comment=why", smallMapping)
	problemOf(t, closed.do(request("GET", generations, "")), 401)
	if told(closed, "Authorization", "Bearer reader-token") {
		t.Error("a token that may only read is told the author")
	}
}

// localRequest is one of the server's own user on its own machine.
func localRequest(method, path string) *http.Request {
	r := request(method, path, "")
	r.RemoteAddr, r.Host = "127.0.0.1:1234", "localhost"
	return r
}

func TestLocalUserIsTheAuthor(t *testing.T) {
	h := newAPI(t)
	r := localRequest("DELETE", "/v2/metrics/config")
	h.set(t, smallMapping)
	if w := h.do(r); w.Code != 200 || h.mapping.Current().Author != "local user" {
		t.Errorf("%d %s, author %q", w.Code, w.Body, h.mapping.Current().Author)
	}
}

func TestNotesAreBounded(t *testing.T) {
	h := newAPI(t)
	for query, in := range map[string]string{
		"author=" + strings.Repeat("a", 129):       "129 bytes, allowed are 128",
		"comment=" + strings.Repeat("%C3%A9", 501): "1002 bytes, allowed are 1000",
		"comment=a%0Ab":         "U+000A",
		"author=a%1B[31m":       "U+001B",
		"comment=%E2%80%AEevil": "U+202E",
		"comment=%FF":           "UTF-8",
		"comment=a&comment=b":   "more than once",
		"Comment=a":             "write it as comment",
		"merge=yes":             "allowed are 1 and 0",
		"marge=1":               "write it as merge",
		"mege=1":                "write it as merge",
		"Merge=1":               "write it as merge",
		"dryrum=1":              "write it as dry_run",
		"merge=1&merge=1":       "more than once",
		"author=%2500&comment=" + url.QueryEscape(strings.Repeat("ü", 501)): "1002 bytes",
	} {
		p := problemOf(t, h.change("POST", "/v2/metrics/config?"+query, smallMapping), 422)
		if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Detail, in) || !strings.Contains(p.Errors[0].Detail, "nothing was changed") {
			t.Errorf("%s: %+v", query, p)
		}
	}
	for _, path := range []string{"/v2/metrics/config?merge=1", "/v2/metrics/config?merg=0"} {
		if p := problemOf(t, h.change("DELETE", path, ""), 422); len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Detail, "no meaning") {
			t.Errorf("%s: %+v", path, p)
		}
	}
	for _, query := range []string{"effective=yes", "efective=1", "Effective=1"} {
		problemOf(t, h.do(request("GET", "/v2/metrics/config?"+query, "")), 422)
	}
	if n := h.mapping.Current().Number; n != 0 {
		t.Fatalf("generation %d is active", n)
	}
	// What GPUStack's clients may send besides is ignored.
	if st := read[wire.MappingStatus](t, h.change("POST", "/v2/metrics/config?watch=false&page=1&comment="+strings.Repeat("%C3%A9", 500)+"&author="+strings.Repeat("a", 128), smallMapping)); st.Generation != 1 {
		t.Errorf("%+v", st)
	}
}

// A generation that this version cannot read is in the history, says why, and harms nothing.
func TestUnusableGenerations(t *testing.T) {
	h := newAPI(t)
	h.set(t, smallMapping)
	h.mapping.mu.Lock()
	h.mapping.gens = append([]api.Generation{{Number: 1, Document: []byte("\xff")}, {Number: 2, Document: []byte(`{"newer":{"<":1}}`)}}, h.mapping.gens...)
	h.mapping.gens[2].Number, h.mapping.gen.Number = 3, 3
	h.mapping.mu.Unlock()
	for number, document := range map[int]string{1: "null", 2: `{"newer":{"<":1}}`} {
		path := fmt.Sprintf("%s/%d", generations, number)
		w := h.do(request("GET", path, ""))
		if g := read[wire.GenerationDocument](t, w); g.Problem == "" || string(g.Document) != document {
			t.Errorf("%s: %s", path, w.Body)
		}
		for _, p := range []api.Problem{
			problemOf(t, h.change("POST", path+"/restore", ""), 422), problemOf(t, h.change("POST", path+"/restore?dry_run=1", ""), 422),
			problemOf(t, h.do(request("GET", path+"/diff", "")), 422), problemOf(t, h.do(request("GET", generations+"/3/diff?to="+fmt.Sprint(number), "")), 422),
			problemOf(t, h.do(request("GET", path, "", "Accept", "application/yaml")), 422), problemOf(t, h.do(request("GET", path+"?effective=1", "")), 422),
		} {
			if !strings.Contains(p.Detail, fmt.Sprintf("generation %d of the metrics mapping cannot be used: ", number)) {
				t.Errorf("%s: %s", path, p.Detail)
			}
		}
	}
	if g := h.mapping.Current(); g.Number != 3 {
		t.Errorf("generation %d is active", g.Number)
	}
}

func TestDiffOfGenerations(t *testing.T) {
	h := newAPI(t)
	h.set(t, numbered(1))
	h.set(t, `{"extends":"default","gpustack_metrics":{"gpustack:own":{"type":"gauge","description":"Own."}},"runtime_mapping":{"vLLM":{"*":{"vllm:own":"gpustack:own"}}}}`)
	diff := read[wire.GenerationDiff](t, h.do(request("GET", generations+"/0/diff", "")))
	want := wire.GenerationDiff{From: 0, To: 2, Differences: []wire.MappingDifference{
		{Pointer: "/gpustack_metrics/gpustack:own", Kind: mapping.Added, After: `{"type":"gauge","description":"Own."}`},
		{Pointer: "/runtime_mapping/vLLM/*/vllm:own", Kind: mapping.Added, After: `"gpustack:own"`},
	}}
	if d := cmp.Diff(want, diff); d != "" {
		t.Errorf("from the built-in mapping to an overlay (-want +got)\n%s", d)
	}
	if diff := read[wire.GenerationDiff](t, h.do(request("GET", generations+"/2/diff?to=2", ""))); diff.Differences == nil || len(diff.Differences) != 0 {
		t.Errorf("%+v", diff)
	}
	forth := read[wire.GenerationDiff](t, h.do(request("GET", generations+"/1/diff?to=2", "")))
	back := read[wire.GenerationDiff](t, h.do(request("GET", generations+"/2/diff?to=1", "")))
	if len(forth.Differences) < 2 || len(forth.Differences) != len(back.Differences) || forth.From != 1 || back.To != 1 {
		t.Errorf("%d differences forth, %d back", len(forth.Differences), len(back.Differences))
	}
}
