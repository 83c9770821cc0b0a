package programs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// requestTimeout bounds one request of Get.
const requestTimeout = 10 * time.Second

// Buffer collects what one goroutine writes, such as a program's output or a logger's lines, while others read it.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Reset forgets what was written so far.
func (b *Buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// given has the ports that FreePort returned in this process.
var given sync.Map

// FreePort returns a TCP port that nobody listened on a moment ago, on any address, and each port once. It is below the ports that the
// system gives to listeners and connections that name none: a test opens many of those before its program listens.
func FreePort(tb testing.TB) int {
	tb.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(10000)
		if _, again := given.LoadOrStore(port, true); again || !free("127.0.0.1", port) || !free("", port) {
			continue
		}
		return port
	}
	tb.Fatal("no port is free")
	return 0
}

func free(host string, port int) bool {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = ln.Close()
	return true
}

// Eventually calls check until it returns nil, and returns how long that took. It fails the test with check's last error otherwise.
func Eventually(tb testing.TB, limit time.Duration, what string, check func() error) time.Duration {
	tb.Helper()
	begin := time.Now()
	for {
		err := check()
		took := time.Since(begin)
		if err == nil {
			return took
		}
		if took > limit {
			tb.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Get returns the body of the answer to GET url, and an error unless the status is 200.
func Get(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.300s", url, resp.Status, body)
	}
	return string(body), err
}
