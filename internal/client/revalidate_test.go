package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stackscope/stackscope/internal/client"
)

// A list that has not changed is not sent again.
func TestRevalidate(t *testing.T) {
	tag, name, sent, asked := `"1"`, "a", 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("ETag", tag)
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent++
		_, _ = w.Write([]byte(`{"items":[{"id":1,"name":"` + name + `"}]}`))
	}))
	defer server.Close()
	c := newClient(t, client.Options{BaseURL: server.URL, Revalidate: true})
	for i, step := range []struct {
		tag, name string
		sent      int
	}{{`"1"`, "a", 1}, {`"1"`, "a", 1}, {`"2"`, "b", 2}, {`"2"`, "b", 2}, {"", "c", 3}, {"", "d", 4}} {
		tag, name = step.tag, step.name
		workers, err := c.Workers(t.Context())
		if err != nil || len(workers) != 1 || workers[0].Name != step.name || sent != step.sent || asked != i+1 {
			t.Errorf("step %d: %+v, %v; %d sent of %d", i, workers, err, sent, asked)
		}
	}
}
