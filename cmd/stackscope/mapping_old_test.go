package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/httpjson"
)

// An older server is told from one that refuses.
func TestOlderServer(t *testing.T) {
	f := newFleet(t)
	f.before(func(w http.ResponseWriter, r *http.Request) bool {
		old := r.URL.Query().Has("dry_run") || strings.HasPrefix(r.URL.Path, "/v2/metrics/config/")
		if old {
			_ = httpjson.WriteProblem(w, httpjson.Problem{Status: http.StatusNotFound, Detail: "there is no " + r.URL.Path})
		}
		return old
	})
	doc := writeFile(t, "nine.yaml", nineLines)
	f.must(0, []string{"mapping", "set", doc}, "warning: the server is older and has no dry runs: what vanishes is not known", "generation 1 is active")
	f.must(1, []string{"mapping", "set", doc, "--merge"}, "nothing was changed")
	f.must(0, []string{"mapping", "reset"}, "has no dry runs", "generation 2 is active")
	f.must(1, []string{"mapping", "restore", "1"}, "the server is older and has no history of the mapping: update it")
	f.must(1, []string{"mapping", "history"}, "the server is older and has no history of the mapping: update it")
	f.must(1, []string{"mapping", "diff", "@1"}, "the server is older and has no history of the mapping: update it")
	if n := f.active(); n != 2 {
		t.Errorf("generation %d is active", n)
	}
	f.must(0, []string{"mapping", "get"}, "gpustack_metrics:")
}

// Faults that only the server can find are shown with the file, as its own are.
func TestFaultsOfTheServer(t *testing.T) {
	f := newFleet(t)
	f.before(func(w http.ResponseWriter, r *http.Request) bool {
		is := r.Method == http.MethodPost
		if is {
			_ = httpjson.WriteProblem(w, httpjson.Problem{Status: http.StatusUnprocessableEntity, Detail: "2 faults", Errors: []map[string]any{
				{"pointer": "/extends", "detail": `found the unknown key "extends"`, "line": 3}, {"pointer": "/x", "detail": "found y", "line": 2},
			}})
		}
		return is
	})
	doc := writeFile(t, "my.yaml", "extends: default\n")
	f.must(1, []string{"mapping", "set", doc}, "my.yaml:2: /x: found y\n", `my.yaml:3: /extends: found the unknown key "extends"; the server is older and cannot extend the built-in document: update it`, "has 2 faults")
}

// A server that works on enough dry runs is asked again.
func TestBusyServerIsAskedAgain(t *testing.T) {
	f := newFleet(t)
	refused := false
	f.before(func(w http.ResponseWriter, r *http.Request) bool {
		if refused || !r.URL.Query().Has("dry_run") {
			return false
		}
		refused = true
		w.Header().Set("Retry-After", "1")
		_ = httpjson.WriteProblem(w, httpjson.Problem{Status: http.StatusServiceUnavailable, Detail: "4 dry runs are under way already"})
		return true
	})
	f.must(0, []string{"mapping", "set", writeFile(t, "nine.yaml", nineLines)}, "generation 1 is active")
	if !refused {
		t.Error("no dry run was made")
	}
}
