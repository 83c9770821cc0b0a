package inbound_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// When long requests use all connections, short ones are still answered.
func TestReserveServesShortRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := serve(t, inbound.Options{MaxConnections: 2, Reserve: 2}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/spare" && !inbound.Reserved(r.Context()) {
				w.WriteHeader(http.StatusTeapot)
			}
			testHandler(w, r)
		})
		const wait = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
		ask := func(text string) *http.Response {
			t.Helper()
			c := n.dial(t, "10.0.0.9")
			send(t, c, text)
			b := bufio.NewReader(c)
			answer, err := http.ReadResponse(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			if _, err := b.ReadByte(); err == nil || !answer.Close {
				t.Error("the connection is kept")
			}
			synctest.Wait()
			return answer
		}
		for range 2 {
			send(t, n.dial(t, "10.0.0.2"), wait)
		}
		synctest.Wait()
		for range 10 {
			if answer := ask("GET /spare HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\n\r\n"); answer.StatusCode != http.StatusOK {
				t.Errorf("a short request: %s", answer.Status)
			}
		}
		if answer := ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("one that would keep its connection: %s", answer.Status)
		}
		idle := n.dial(t, "10.0.0.2") // uses the reserve and sends nothing
		synctest.Wait()
		if answer := ask(get); answer.StatusCode != http.StatusOK {
			t.Errorf("beside idle ones: %s", answer.Status)
		}
		if isServed(idle) {
			t.Error("an idle connection of the reserve is not evicted")
		}
		for range 2 {
			send(t, n.dial(t, "10.0.0.2"), wait)
			synctest.Wait()
		}
		synctest.Wait()
		if isServed(n.dial(t, "10.0.0.9")) {
			t.Error("more connections than the reserve are accepted")
		}
		if got := s.Stats(); got.Open != 4 || got.Max != 2 || got.Refused != 1 {
			t.Errorf("%+v", got)
		}
	})
}
