//go:build linux

package attack

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// TestPagesThatNobodyReads: 2,000 GETs of /metrics took 5 GB.
func TestPagesThatNobodyReads(t *testing.T) {
	s := serve(t)
	s.populate(t, count(5000, 1000), nil)
	s.queryable(t)
	for name, read := range map[string]int{"nothing": 0, "slowly": 512} {
		t.Run(name, func(t *testing.T) {
			s.attack(t, func() {
				scrapes := s.scrapeMeanwhile(t)
				s.leaveUnread(t, s.metrics, "/metrics", count(2000, 500), read, seconds(10, 3))
				scrapes()
			})
		})
	}
}

// TestListsThatNobodyReads: 60 clients that read nothing of a list of 21 MB held 4.1 GB.
func TestListsThatNobodyReads(t *testing.T) {
	s := serve(t)
	labels := map[string]string{}
	for i := range 64 {
		labels[fmt.Sprintf("example.com/label-%02d", i)] = strings.Repeat("v", 36)
	}
	workers := s.populate(t, count(5000, 1000), labels)
	s.queryable(t)
	s.attack(t, func() {
		// The list changes ten times a second meanwhile.
		done := make(chan struct{})
		changes := sync.OnceFunc(func() { close(done) })
		defer changes()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer changes()
		wg.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				w := workers[i%len(workers)]
				if status, answer, err := s.send(http.MethodPut, fmt.Sprintf("/v2/workers/%d/report", w.ID), w.Credential, map[string]any{"applied_generation": i, "instances": []any{}}); err != nil || status != http.StatusOK {
					t.Errorf("a report: %d %s, %v", status, answer, err)
					return
				}
				select {
				case <-tick.C:
				case <-done:
					return
				}
			}
		})
		s.leaveUnread(t, s.url, "/v2/workers", 60, 0, seconds(10, 3))
		if _, err := programs.Get(s.url + "/v2/workers?page=2&perPage=10"); err != nil {
			t.Error(err)
		}
	})
}

// TestBodiesThatDoNotCome: 1,100 connections with a byte of a body each left no file descriptor for anybody else.
func TestBodiesThatDoNotCome(t *testing.T) {
	for listener, path := range map[string]string{"API": "/v2/metrics/preview", "metrics": "/metrics"} {
		t.Run(listener, func(t *testing.T) {
			limitFiles(t, 1024)
			s := serve(t)
			s.queryable(t)
			url := s.url
			if listener == "metrics" {
				url = s.metrics
			}
			s.attack(t, func() {
				scrapes := s.scrapeMeanwhile(t)
				var open []net.Conn
				for range 1100 {
					if c, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second); err == nil {
						_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", path) // what is refused is closed
						open = append(open, c)
					}
				}
				time.Sleep(seconds(8, 3))
				scrapes()
				for _, c := range open {
					c.Close()
				}
			})
		})
	}
}

// limitFiles makes the programs that the test starts have few file descriptors.
func limitFiles(t *testing.T, files int) {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n", files, programs.Path(t, "stackscope"))
	if err := os.WriteFile(filepath.Join(dir, "stackscope"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STACKSCOPE_BIN", dir)
}

// populate registers workers that export nothing.
func (s *server) populate(t *testing.T, workers int, labels map[string]string) []joined {
	t.Helper()
	list := make([]joined, workers)
	var wg sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				w, err := s.register(fmt.Sprint("w-", i), map[string]any{
					"uuid": fmt.Sprint("uuid-", i), "name": fmt.Sprint("w-", i), "address": "10.0.0.1", "metrics_port": 0, "labels": labels,
				})
				if err != nil {
					t.Error(err)
				}
				list[i] = w
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return list
}

// leaveUnread asks for path by so many connections at once and reads from each so many bytes a second, for as long as it is told.
func (s *server) leaveUnread(t *testing.T, url, path string, clients, rate int, hold time.Duration) {
	t.Helper()
	end := time.Now().Add(hold)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			c, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), 5*time.Second)
			if err != nil {
				return // refused, as it may be
			}
			defer c.Close()
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10) // smaller is kinder to this machine
			if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
				return
			}
			for piece := make([]byte, max(rate, 1)); ; time.Sleep(time.Second) {
				if time.Now().After(end) {
					return
				}
				if rate == 0 {
					continue
				}
				if _, err := c.Read(piece); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

// scrapeMeanwhile scrapes the server's page, as a Prometheus elsewhere would, until it is called.
func (s *server) scrapeMeanwhile(t *testing.T) func() {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	// Another address than the attacker's: so it is where the attacker is not behind the same gateway.
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext,
	}}
	go func() {
		defer close(ended)
		var worst time.Duration
		scrapes := 0
		for {
			begin := time.Now()
			resp, err := client.Get(s.metrics + "/metrics")
			if err == nil {
				if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("%s", resp.Status)
				}
				resp.Body.Close()
			}
			if err != nil {
				t.Errorf("a scrape of the server: %v", err)
			}
			scrapes++
			worst = max(worst, time.Since(begin))
			select {
			case <-time.After(time.Second):
			case <-done:
				t.Logf("%d scrapes meanwhile, the slowest took %d ms", scrapes, worst.Milliseconds())
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
