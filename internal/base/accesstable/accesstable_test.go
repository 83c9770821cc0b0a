package accesstable_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/accesstable"
)

func table() accesstable.Table {
	return accesstable.Table{Clients: []string{"anonymous", "admin"}, Rows: []accesstable.Row{
		{Port: "API", Route: "GET /a", Right: "viewer", Mode: "default", Results: []string{"yes", "yes"}},
		{Port: "API", Route: "POST /a", Right: "admin", Mode: "default", Results: []string{"401", "yes"}},
	}}
}

func TestParseReadsFormattedTable(t *testing.T) {
	got, err := accesstable.Parse(table().Format())
	if diff := cmp.Diff(table(), got); err != nil || diff != "" {
		t.Errorf("%v, -want +got\n%s", err, diff)
	}
	for _, text := range []string{"", "port\troute", string(table().Format()) + "API\tGET /b\tviewer\tdefault\tyes\n"} {
		if _, err := accesstable.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCompare(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*accesstable.Table)
		want   string
	}{
		"nothing": {func(*accesstable.Table) {}, ""},
		"a new route": {func(g *accesstable.Table) {
			g.Rows = append(g.Rows, accesstable.Row{Port: "API", Route: "PUT /a", Right: "open", Mode: "default", Results: []string{"yes", "yes"}})
		}, "there is no row for PUT /a on the API port, default"},
		"a route missing": {func(g *accesstable.Table) { g.Rows = g.Rows[:1] }, "row for POST /a on the API port, default, and there is no such route"},
		"a result":        {func(g *accesstable.Table) { g.Rows[1].Results = []string{"yes", "yes"} }, `sent as "anonymous": yes, the table has 401`},
		"a right":         {func(g *accesstable.Table) { g.Rows[0].Right = "open" }, `needs the right "open", the table has "viewer"`},
		"a client":        {func(g *accesstable.Table) { g.Clients = g.Clients[:1] }, "columns for"},
	} {
		got := table()
		tc.change(&got)
		differences := strings.Join(table().Compare(got), "\n")
		if (tc.want == "") != (differences == "") || !strings.Contains(differences, tc.want) {
			t.Errorf("%s: %q, want %q", name, differences, tc.want)
		}
	}
}

func TestFill(t *testing.T) {
	for pattern, want := range map[string]string{
		"/a/{id}/b": "/a/7/b", "/a/{file}": "/a/x", "/{$}": "/", "/a/{path...}": "/a/x", "/a/": "/a/x", "/a": "/a",
	} {
		if got := accesstable.Fill(pattern, map[string]string{"id": "7"}); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

// An endless response, such as an event stream, is canceled once its status is known.
func TestSendCancelsEndlessResponse(t *testing.T) {
	for status, want := range map[int]string{200: "yes", 204: "yes", 302: "yes", 422: "yes", 401: "401", 403: "403", 404: "404", 429: "429"} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			<-r.Context().Done()
		})
		if got, _ := accesstable.Send(h, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}
