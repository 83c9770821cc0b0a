package fetch

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// A failed fetch shows the beginning of what came, and no credentials.
func TestExcerpt(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Excerpt
	}{
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><b>hello</b>")
		}, Excerpt{"text/html", "<html><b>hello</b>"}},
		"status": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "no model\n")
		}, Excerpt{"text/plain", "no model\n"}},
		"long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, strings.Repeat("<p>\xff", MaxExcerpt))
		}, Excerpt{"text/html", strings.Repeat("<p>\uFFFD", MaxExcerpt/6) + "<p>"}},
		"part": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, vllmPage)
		}, Excerpt{"text/plain", vllmPage}},
		"credentials": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "you sent "+r.Header.Get("Authorization")+", which is amy:hunter2; hunter2")
		}, Excerpt{"text/plain", "you sent Basic ***, which is ***; ***"}},
		"hanging": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "loading")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, Excerpt{"text/plain", "loading"}},
	} {
		t.Run(name, func(t *testing.T) {
			address := strings.Replace(serve(t, c.answer), "http://", "http://amy:hunter2@", 1)
			f := New(Options{})
			t.Cleanup(f.Close)
			for range 2 { // the second uses the first one's buffer
				_, err := f.Fetch(t.Context(), target(t, address))
				e, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("%v", err)
				}
				if e.Got != c.want || !utf8.ValidString(e.Got.Body) {
					t.Errorf("got %.200q of %q (%v), want %.200q of %q", e.Got.Body, e.Got.ContentType, err, c.want.Body, c.want.ContentType)
				}
				if strings.Contains(e.Error(), "hello") {
					t.Errorf("the text has a part of the answer: %v", e)
				}
			}
		})
	}
	refused, err := New(Options{}).Fetch(t.Context(), target(t, "http://127.0.0.1:1"))
	if e, ok := errors.AsType[*Error](err); !ok || e.Got != (Excerpt{}) || refused.Body != nil {
		t.Errorf("of no answer: %v", err)
	}
}
