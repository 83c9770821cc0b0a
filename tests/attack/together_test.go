//go:build linux

package attack

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestEverythingAtOnce does at once what the other tests do one by one, and then asks the server to stop.
func TestEverythingAtOnce(t *testing.T) {
	s := serve(t)
	labels := map[string]string{}
	for i := range 32 {
		labels[fmt.Sprintf("example.com/label-%02d", i)] = strings.Repeat("v", 36)
	}
	s.populate(t, count(3000, 300), labels)
	var round atomic.Int64
	for name, port := range map[string]int{
		"many": manySeries(t, count(20_000, 2000)),
		"churning": target(t, func(w http.ResponseWriter, _ *http.Request) {
			b := bufio.NewWriter(w)
			n := round.Add(1)
			for i := range 45_000 {
				fmt.Fprintf(b, "churning_requests_total{session=\"%d-%d\"} 1\n", n, i)
			}
			b.Flush()
		}),
		"leading": target(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.url+"/v2/workers", http.StatusFound)
		}),
	} {
		if _, err := s.join(name, port); err != nil {
			t.Fatal(err)
		}
	}
	s.queryable(t)

	s.attack(t, func() {
		lasts := seconds(60, 5)
		end := time.Now().Add(lasts)
		var all sync.WaitGroup
		again := func(clients int, do func()) {
			for range clients {
				all.Go(func() {
					for time.Now().Before(end) {
						do()
					}
				})
			}
		}
		operators := url.Values{"query": {strings.Repeat("-", 1<<20)}}
		brackets := url.Values{"query": {strings.Repeat("(", 10_000)}}
		subquery := url.Values{"query": {`max_over_time(vector(1)[40000s:1ms])`}}
		series := url.Values{"match[]": {`{__name__=~".+"}`}}
		again(1, func() { s.query(t, "query", operators) })
		again(1, func() { s.leave(t, "query", brackets) })
		again(4, func() { s.query(t, "query", subquery) })
		again(2, func() { s.query(t, "series", series) })
		again(1, func() { s.drip(200, 5*time.Second) })
		all.Go(func() { s.leaveUnread(t, s.metrics, "/metrics", count(500, 100), 0, lasts) })
		all.Go(func() { s.leaveUnread(t, s.url, "/v2/workers", 60, 0, lasts) })
		all.Wait()
	})
	if took := s.Stop(syscall.SIGTERM); took > 10*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
	if code := s.ExitCode(); code != 0 || strings.Contains(s.Output(), "was not closed") {
		t.Errorf("the server ended with %d; the end of its log:\n%s", code, tail(s.Output(), 2000))
	}
}

// drip opens connections that each send a byte of a body, and holds them.
func (s *server) drip(connections int, hold time.Duration) {
	var open []net.Conn
	for range connections {
		if c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), time.Second); err == nil {
			_, _ = fmt.Fprint(c, "POST /v2/metrics/preview HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{") // what is refused is closed
			open = append(open, c)
		}
	}
	time.Sleep(hold)
	for _, c := range open {
		c.Close()
	}
}
