package worker

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/testcert"
	"github.com/stackscope/stackscope/internal/engine"
)

// A worker lives that answers at its own port, whatever protects that, and whatever its engines do.
func TestWorkerLives(t *testing.T) {
	reached := make(chan struct{}, 100)
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(hangs.Close)
	o := options(t)
	o.WebConfigFile = filepath.Join(t.TempDir(), "web.yml")
	testcert.WriteFile(t, o.WebConfigFile, []byte("basic_auth_users: {p: $2y$04$OLhJ3A1Q8GFiW0Oa0U1VdOcdmZPaHYnBPvcbi2sQ9nUZ4G1T8/4bG}\n"))
	o.Engines = []engine.Declaration{{URL: hangs.URL, Path: "/metrics", Instance: "hangs"}}
	w, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.Alive(ctx); err == nil {
		t.Error("it lives before it runs")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	o.DataDir = t.TempDir()
	r := run(t, o)
	for len(reached) > 0 {
		<-reached
	}
	if err := r.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	if got := r.Summary(); !strings.HasPrefix(got, "metrics at http://127.0.0.1:") || !strings.HasSuffix(got, "/metrics; model instances: 1; no server") {
		t.Errorf("summary %q", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Alive(t.Context()); err == nil {
		t.Error("it lives after it stopped")
	}
}

func TestSummarySaysWhetherTheWorkerReports(t *testing.T) {
	f := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token, o.DisableWorkerMetrics = f.URL, joinToken, true
	r := run(t, o)
	if err := r.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "that it reports", func() bool { return r.Summary() == "model instances: 0; reports to "+f.URL })
	f.stop()
	eventually(t, "that it cannot", func() bool { return strings.HasPrefix(r.Summary(), "model instances: 0; cannot report to "+f.URL+": ") })
}
