package api_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// Watch streams do not use the connections that are reserved for short requests.
func TestWatchIsRefusedOnReservedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newAPI(t)
		defer h.EndStreams()
		l := newPipeListener()
		srv := inbound.New(h, inbound.Options{MaxConnections: 1, Reserve: 1})
		go func() { _ = srv.Serve(l) }()
		defer func() { _ = srv.Close() }()
		c := &http.Client{Transport: &http.Transport{DialContext: l.dial, DisableKeepAlives: true}}
		s := openWatch(t, c, "http://x", 1, 0)
		if s.next() == "" {
			t.Fatal("the first stream has ended")
		}
		ask := func(path string) int {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://x"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer cred-1")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			synctest.Wait()
			return resp.StatusCode
		}
		if got := ask("/v2/workers/1/watch"); got != http.StatusServiceUnavailable {
			t.Errorf("a stream on the reserve: %d", got)
		}
		if got := ask("/healthz"); got != http.StatusOK {
			t.Errorf("/healthz: %d", got)
		}
	})
}
