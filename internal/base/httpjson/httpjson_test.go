package httpjson_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/httpjson"
)

type body struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"x","n":3,"later":true}`: "",
		`{"n":"three"}`:                   "n: got string, want int",
		`{"n":`:                           "unexpected end of JSON input",
		`{"name":"` + strings.Repeat("a", 100) + `"}`: "body is larger than 64 bytes",
	} {
		got, err := httpjson.Decode[body](strings.NewReader(text), 64)
		switch {
		case want == "" && err == nil:
			if diff := cmp.Diff(body{"x", 3}, got); diff != "" {
				t.Error(diff)
			}
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%.40s: got %v, want %q", text, err, want)
		}
	}
}

func TestWriteProblem(t *testing.T) {
	w := httptest.NewRecorder()
	if err := httpjson.WriteProblem(w, httpjson.Problem{Status: http.StatusNotFound, Detail: "no such worker"}); err != nil {
		t.Fatal(err)
	}
	want := `{"title":"Not Found","status":404,"detail":"no such worker"}` + "\n"
	if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" || w.Body.String() != want {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
