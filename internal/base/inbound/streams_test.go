package inbound

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// Requests beyond the streams of one connection use another one.
func TestStreamsOfAConnectionAreBounded(t *testing.T) {
	const requests = 2 * maxStreams
	var inHandler, busiest atomic.Int32
	all := make(chan struct{})
	s := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/wait" {
			return
		}
		c := r.Context().Value(connKey{}).(*conn)
		for {
			seen, now := busiest.Load(), c.inHandler.Load()
			if now <= seen || busiest.CompareAndSwap(seen, now) {
				break
			}
		}
		if inHandler.Add(1) == requests {
			close(all)
		}
		<-all
	}), Options{})
	helper := httptest.NewUnstartedServer(nil)
	helper.EnableHTTP2 = true
	helper.StartTLS()
	defer helper.Close()
	s.TLSConfig = &tls.Config{Certificates: helper.TLS.Certificates, MinVersion: tls.VersionTLS12}
	ln := listen(t)
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(ln) }()
	defer func() {
		_ = s.Close()
		<-done
	}()
	get := func(path string) {
		resp, err := helper.Client().Get("https://" + ln.Addr().String() + path)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	}
	get("/")
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() { get("/wait") })
	}
	wg.Wait()
	if got := busiest.Load(); got > maxStreams {
		t.Errorf("one connection carries %d requests at once", got)
	}
}
