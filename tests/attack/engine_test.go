//go:build linux

package attack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// agent is `stackscope-worker` under attack.
type agent struct {
	*programs.Program
	url string
}

// work starts a worker that watches engines at the given addresses, by their instances' names.
func work(t *testing.T, engines map[string]string, flags ...string) *agent {
	t.Helper()
	port := programs.FreePort(t)
	args := []string{"--data-dir", t.TempDir(), "--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(port), "--discover", "none", "--gpu-vendors", "none"}
	for name, address := range engines {
		args = append(args, "--engine", fmt.Sprintf("url=http://%s,instance=%s,model=m,runtime=vLLM,version=0.11.0", address, name))
	}
	cmd := exec.Command(programs.Path(t, "stackscope-worker"), append(args, flags...)...)
	cmd.Env = os.Environ()
	a := &agent{Program: programs.Start(t, cmd), url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	a.AwaitURL(time.Minute, a.url+"/healthz")
	return a
}

// scrape gets a page as Prometheus does and returns it and how long all of it took.
func (a *agent) scrape(t *testing.T, path string, timeout time.Duration) (string, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout+10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", fmt.Sprint(timeout.Seconds()))
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
	return string(body), time.Since(begin)
}

// listen serves each connection with speak until the test ends and returns its address.
func listen(t *testing.T, speak func(conn net.Conn, r *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				speak(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return ln.Addr().String()
}

// asked reads a request's head and returns its path, "" if there is none.
func asked(r *bufio.Reader) string {
	req, err := http.ReadRequest(r)
	if err != nil {
		return ""
	}
	return req.URL.Path
}

// drip writes a text byte by byte until the other side has gone.
func drip(conn net.Conn, text []byte, every time.Duration) {
	for i := range text {
		if _, err := conn.Write(text[i : i+1]); err != nil {
			return
		}
		time.Sleep(every)
	}
}

func answer(conn net.Conn, page []byte) {
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(page))
	_, _ = conn.Write(page)
}

// goodEngine answers at once with a page of n series.
func goodEngine(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# TYPE vllm:num_requests_running gauge\n")
	for i := range n {
		fmt.Fprintf(&b, "vllm:num_requests_running{model_name=\"m\",engine=\"%d\"} 1\n", i)
	}
	for n > 1000 && b.Len() < 200*n { // what the mapping does not take
		fmt.Fprintf(&b, "vllm:unknown{n=\"%d\"} 1\n", b.Len())
	}
	b.WriteString("vllm:prompt_tokens_total{model_name=\"m\"} 5\n")
	return listen(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			switch path := asked(r); path {
			case "":
				return
			case "/metrics":
				answer(conn, b.Bytes())
			default:
				fmt.Fprint(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
}

// hostilePage is 16 MiB of lines, with others in each turn.
func hostilePage(turn int) []byte {
	b := make([]byte, 0, 16<<20)
	for i := 0; len(b) < 16<<20-200; i++ {
		b = fmt.Appendf(b, "vllm:num_requests_running{model_name=\"%d\",b=\"%d\"} 1\n", turn, i)
	}
	return b
}

// hostileEngines are what an engine can do to keep a scrape waiting.
func hostileEngines() map[string]func(conn net.Conn, r *bufio.Reader) {
	const forever = time.Minute
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	var turn atomic.Int64
	huge := hostilePage(0)
	turns := [][]byte{hostilePage(1), hostilePage(2), hostilePage(3)}
	return map[string]func(conn net.Conn, r *bufio.Reader){
		"silent": func(net.Conn, *bufio.Reader) { time.Sleep(forever) },
		"head": func(conn net.Conn, r *bufio.Reader) {
			asked(r)
			drip(conn, []byte(head+strings.Repeat("X-More: 1\r\n", 10_000)), 20*time.Millisecond)
		},
		"body": func(conn net.Conn, r *bufio.Reader) {
			asked(r)
			fmt.Fprint(conn, head+"Content-Length: 1000000\r\n\r\n")
			drip(conn, bytes.Repeat([]byte("a 1\n"), 1000), time.Second)
		},
		"chunks": func(conn net.Conn, r *bufio.Reader) {
			asked(r)
			fmt.Fprint(conn, head+"Transfer-Encoding: chunked\r\n\r\n")
			drip(conn, []byte(strings.Repeat("1\r\n\n\r\n", 10_000)), 10*time.Millisecond)
		},
		"gzip": func(conn net.Conn, r *bufio.Reader) {
			asked(r)
			var z bytes.Buffer
			zw := gzip.NewWriter(&z)
			_, _ = zw.Write(bytes.Repeat([]byte("a 1\n"), 100_000))
			_ = zw.Close()
			fmt.Fprintf(conn, head+"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", z.Len())
			drip(conn, z.Bytes(), 50*time.Millisecond)
		},
		"redirects": func(conn net.Conn, r *bufio.Reader) {
			for i := 0; asked(r) != ""; i++ {
				fmt.Fprintf(conn, "HTTP/1.1 302 Found\r\nLocation: /metrics/%d\r\nContent-Length: 5\r\n\r\n", i)
				drip(conn, []byte("again"), 300*time.Millisecond)
			}
		},
		"holds memory": func(conn net.Conn, r *bufio.Reader) {
			asked(r)
			fmt.Fprintf(conn, head+"Content-Length: %d\r\n\r\n", len(huge))
			_, _ = conn.Write(huge[:len(huge)-100])
			drip(conn, huge[len(huge)-100:], time.Second)
		},
		"much at the end": func(conn net.Conn, r *bufio.Reader) {
			asked(r)
			time.Sleep(1200 * time.Millisecond)
			answer(conn, huge)
		},
		"much that is new": func(conn net.Conn, r *bufio.Reader) {
			asked(r)
			answer(conn, turns[int(turn.Add(1))%len(turns)])
		},
	}
}

// Whatever engines do, the page goes out while a fifth of the scraper's time is left, with all that the others have.
func TestDrippingEngines(t *testing.T) {
	const timeout = 2 * time.Second
	kinds := hostileEngines()
	mixed := make([]string, 0, len(kinds))
	for name := range kinds {
		mixed = append(mixed, name)
	}
	slices.Sort(mixed)
	names := []string{"all", "64 silent", "64 bodies"}
	if count(1, 0) == 1 { // else each is among all
		names = append(slices.Clone(mixed), names...)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			engines := map[string]string{"good": goodEngine(t, 20), "large": goodEngine(t, 15_000)}
			switch name {
			case "all":
				for i := range 64 {
					kind := mixed[i%len(mixed)]
					engines[fmt.Sprintf("bad-%d", i)] = listen(t, kinds[kind])
				}
			case "64 silent", "64 bodies":
				for i := range 64 {
					engines[fmt.Sprintf("bad-%d", i)] = listen(t, kinds[map[string]string{"64 silent": "silent", "64 bodies": "body"}[name]])
				}
			default:
				engines["bad"] = listen(t, kinds[name])
			}
			a := work(t, engines)
			rest, _ := memory(a.Program)
			resetPeak(t, a.Program)
			var worst time.Duration
			var begin time.Time
			goods, larges, n := 0, 0, count(8, 2)
			for i := range n {
				if i > 0 {
					time.Sleep(max(0, timeout-time.Since(begin)))
				}
				begin = time.Now()
				page, took := a.scrape(t, "/metrics", timeout)
				worst = max(worst, took)
				if strings.Count(page, `gpustack:num_requests_running{`) > 0 && hasSeries(page, "gpustack:num_requests_running", "good", 20) {
					goods++
				}
				if hasSeries(page, "gpustack:num_requests_running", "large", 15_000) {
					larges++
				}
			}
			_, peak := memory(a.Program)
			t.Logf("| %s | slowest page %d ms of %d ms | good engine there %d of %d | large one there %d of %d | +%d MiB |",
				t.Name(), worst.Milliseconds(), timeout.Milliseconds(), goods, n, larges, n, (peak-rest)>>20)
			if worst > timeout*8/10 {
				t.Errorf("a page took %v, want at most %v", worst, timeout*8/10)
			}
			if goods != n {
				t.Errorf("the good engine was there %d times of %d", goods, n)
			}
			// Large pages share memory and time with what others answer, so that one may be missing now and then.
			if larges == 0 {
				t.Errorf("the engine with a large page was never there")
			}
		})
	}
}

// hasSeries reports whether a page has n series of a family from an instance.
func hasSeries(page, family, instance string, n int) bool {
	got := 0
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, family+"{") && strings.Contains(line, `model_instance_name="`+instance+`"`) {
			got++
		}
	}
	return got == n
}
