package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/client"
)

// A bundle that is cut is no fault of the address.
func TestBundleCut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/gzip")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "the beginning")
	}))
	defer server.Close()
	c, err := client.New(client.Options{BaseURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DoctorBundle(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "before the bundle did") || strings.Contains(err.Error(), "check that") {
		t.Error(err)
	}
}
