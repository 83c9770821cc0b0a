package worker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// It still tells everybody who asks what it sees.
func TestWorkerThatIsKeptOutExports(t *testing.T) {
	o := options(t)
	f := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden) }))
	t.Cleanup(f.Close)
	o.ServerURL, o.Token = f.URL, joinToken
	w := run(t, o)
	eventually(t, "the refusal in its log", func() bool {
		return strings.Contains(w.log.String(), "refuses this worker until an operator allows it again")
	})
	if page := w.scrape(t, "/metrics"); !strings.Contains(page, "gpustack:worker_node_uptime_seconds") {
		t.Errorf("its page:\n%s", page)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}
