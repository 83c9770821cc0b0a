package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/base/inbound"
)

func TestBodiesThatDoNotFitAreRefused(t *testing.T) {
	h := newAPI(t)
	r := httptest.NewRequest("POST", "http://gpu-head/v2/workers/register", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(fmt.Errorf("body: %w", inbound.ErrBusy))))
	r.Header.Set("Authorization", "Bearer "+workerToken)
	w := h.do(r)
	problemOf(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
}

// unread fails the test when it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read before the credential was looked at")
	return 0, io.EOF
}

func TestBodiesWithoutACredentialAreNotRead(t *testing.T) {
	h := newAPI(t, func(o *api.Options) { o.DisableAnonymousViewer = true })
	for _, route := range []string{
		"POST /v2/workers/register", "PUT /v2/workers/1/report", "POST /v2/workers/1/dry-runs/x", "POST /v2/metrics/config", "POST /v2/metrics/preview",
	} {
		method, path, _ := strings.Cut(route, " ")
		problemOf(t, h.do(httptest.NewRequest(method, "http://gpu-head"+path, unread{t})), http.StatusUnauthorized)
	}
}

// The connection of a worker with a credential is not evicted, however many others come.
func TestWorkersKeepTheirConnections(t *testing.T) {
	h := newAPI(t)
	srv := inbound.New(h.API, inbound.Options{MaxConnections: 4})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	defer func() {
		_ = srv.Close()
		<-done
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	ask := func(c net.Conn, answers *bufio.Reader, authorization string) error {
		const body = `{"applied_generation":0,"instances":[]}`
		if _, err := fmt.Fprintf(c, "PUT /v2/workers/1/report HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", authorization, len(body), body); err != nil {
			return err
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	worker, anonymous := dial(), dial()
	workerAnswers, anonymousAnswers := bufio.NewReader(worker), bufio.NewReader(anonymous)
	if err := ask(worker, workerAnswers, "Bearer cred-1"); err != nil {
		t.Fatal(err)
	}
	if err := ask(anonymous, anonymousAnswers, "Bearer wrong"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c := dial()
		if err := ask(c, bufio.NewReader(c), "Bearer wrong"); err != nil {
			t.Errorf("a new connection: %v", err)
		}
	}
	if err := ask(worker, workerAnswers, "Bearer cred-1"); err != nil {
		t.Errorf("the worker: %v", err)
	}
	if err := ask(anonymous, anonymousAnswers, "Bearer wrong"); err == nil {
		t.Error("an older connection without a credential was not evicted for ten others")
	}
}
