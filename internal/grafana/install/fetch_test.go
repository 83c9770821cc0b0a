package install

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const archivePath = "/oss/release/grafana-" + Version + ".linux-amd64.tar.gz"

// mirror serves one archive.
type mirror struct {
	data    []byte
	cut     func() int64 // how many bytes of the body come before the connection breaks; nil: all
	served  atomic.Int64 // bytes of bodies
	starts  atomic.Int64 // answers that began at the first byte
	asked   atomic.Int64
	refused atomic.Int64 // answers 503 that are still to come
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.asked.Add(1)
	if r.URL.Path != archivePath {
		http.NotFound(w, r)
		return
	}
	if m.refused.Add(-1) >= 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	cw := &cutWriter{ResponseWriter: w, m: m, left: 1 << 62}
	if m.cut != nil {
		cw.left = m.cut()
	}
	http.ServeContent(cw, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(m.data))
	if cw.left <= 0 {
		panic(http.ErrAbortHandler) // the connection breaks
	}
}

type cutWriter struct {
	http.ResponseWriter
	m    *mirror
	left int64
}

func (c *cutWriter) WriteHeader(code int) {
	if code == http.StatusOK {
		c.m.starts.Add(1)
	}
	c.ResponseWriter.WriteHeader(code)
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrClosedPipe
	}
	b = b[:min(int64(len(b)), c.left)]
	n, err := c.ResponseWriter.Write(b)
	c.left -= int64(n)
	c.m.served.Add(int64(n))
	if c.left <= 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		return n, io.ErrClosedPipe
	}
	return n, err
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// quick are options that fetch from a server without long pauses.
func quick(t *testing.T, url string, data []byte) Options {
	t.Helper()
	return Options{Dir: t.TempDir(), Mirror: url, Platform: testPlatform, RetryDelay: time.Microsecond, pins: pinned(Version, data)}
}

func TestFetch(t *testing.T) {
	data := release(t, Version, 1<<20)
	m := &mirror{data: data}
	o := quick(t, serve(t, m), data)
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Fetched != int64(len(data)) || m.asked.Load() != 1 || len(r.Notes) > 0 {
		t.Errorf("got %+v after %d requests, want %d bytes with one", r, m.asked.Load(), len(data))
	}
	if got := names(t, o.Dir); len(got) != 1 || got[0] != "grafana-"+Version {
		t.Errorf("left in the directory: %v", got)
	}
	if r, err = Run(t.Context(), o); err != nil || !r.Already || m.asked.Load() != 1 {
		t.Errorf("a second time: %+v, %v, %d requests", r, err, m.asked.Load())
	}
}

func TestBrokenDownloadStartsOver(t *testing.T) {
	data := release(t, Version, 1<<20)
	breaks := 0
	m := &mirror{data: data, cut: func() int64 {
		if breaks++; breaks <= 2 {
			return 500_000
		}
		return 1 << 62
	}}
	r, err := Run(t.Context(), quick(t, serve(t, m), data))
	if err != nil || m.starts.Load() != 3 || r.Home == "" {
		t.Errorf("got %+v, %v after %d starts", r, err, m.starts.Load())
	}

	// The same break for ever.
	m = &mirror{data: data, cut: func() int64 { return 500_000 }}
	if _, err = Run(t.Context(), quick(t, serve(t, m), data)); err == nil || m.asked.Load() != 5 {
		t.Errorf("%d attempts: %v", m.asked.Load(), err)
	}
}

func TestFetchRetriesServerErrors(t *testing.T) {
	data := release(t, Version, 1000)
	m := &mirror{data: data}
	m.refused.Store(4)
	if _, err := Run(t.Context(), quick(t, serve(t, m), data)); err != nil || m.asked.Load() != 5 {
		t.Errorf("%d requests: %v", m.asked.Load(), err)
	}
	m = &mirror{data: data}
	m.refused.Store(5)
	_, err := Run(t.Context(), quick(t, serve(t, m), data))
	if err == nil || m.asked.Load() != 5 || !strings.Contains(err.Error(), "503 Service Unavailable, 5 times in a row") ||
		!strings.Contains(err.Error(), "--mirror") || !strings.Contains(err.Error(), "--file") {
		t.Errorf("%d requests: %v", m.asked.Load(), err)
	}
}

func TestFetchFailures(t *testing.T) {
	data := release(t, Version, 1000)
	same := bytes.Clone(data) // of the right length, with another byte
	same[len(same)/2] ^= 1
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    []string
	}{
		{"unknown release", http.NotFound, []string{"404 Not Found", "check --version", "--mirror"}},
		{"forbidden", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, []string{"403", "--file"}},
		{"teapot", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, []string{"418"}},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>log in first") }, []string{"has 18 bytes, the release has", "right address"}},
		{"a page in chunks", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "<html>log in first")
		}, []string{"is no gzip archive", "what was fetched is removed"}},
		{"changed", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(same) }, []string{"has SHA-512", "what was fetched is removed", "don't trust the source"}},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "999999999999")
			_, _ = w.Write(data)
		}, []string{"has 999999999999 bytes"}},
		{"circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, []string{"redirects more than 10 times"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var asked atomic.Int64
			o := quick(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				tc.handler(w, r)
			})), data)
			_, err := Run(t.Context(), o)
			if err == nil {
				t.Fatal("it was installed")
			}
			for _, want := range append(tc.want, o.Mirror+archivePath) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if n := asked.Load(); n != 1 && tc.name != "circle" {
				t.Errorf("it was asked %d times: another attempt mends nothing", n)
			}
			if left := names(t, o.Dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFetchFollowsRedirects(t *testing.T) {
	data := release(t, Version, 1000)
	m := &mirror{data: data}
	store := serve(t, m)
	o := quick(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, store+r.URL.Path+"?token=x", http.StatusFound)
	})), data)
	if _, err := Run(t.Context(), o); err != nil {
		t.Error(err)
	}
	plain := httptest.NewUnstartedServer(http.RedirectHandler(store+archivePath, http.StatusFound))
	plain.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	plain.StartTLS()
	t.Cleanup(plain.Close)
	o = quick(t, plain.URL, data)
	o.Transport = plain.Client().Transport
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "from TLS to http://") {
		t.Errorf("TLS was left: %v", err)
	}
	o.Transport = nil // the certificate is nobody's
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "in a row") {
		t.Errorf("got %v", err)
	}
}

func TestPublishedChecksum(t *testing.T) {
	data := release(t, "11.6.0", 1000)
	sum := sha256Of(data)
	for name, tc := range map[string]struct {
		status int
		answer string
		err    string
	}{
		"digest":    {200, sum, ""},
		"sha256sum": {200, strings.ToUpper(sum) + "  grafana-11.6.0.linux-amd64.tar.gz\n", ""},
		"another":   {200, strings.Repeat("0", 64), "has SHA-256 " + sum},
		"page":      {200, "<html>", "holds no SHA-256; or give it with --sha256"},
		"long":      {200, strings.Repeat("x", maxSumBytes+1), "--sha256"},
		"none":      {404, "", "404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			o := Options{
				Dir: t.TempDir(), Version: "11.6.0", Mirror: "https://mirror.lan/grafana", Platform: testPlatform,
				Transport: transport(func(r *http.Request) (*http.Response, error) {
					asked = append(asked, r.URL.String())
					w := httptest.NewRecorder()
					if r.URL.Host == "mirror.lan" {
						_, _ = w.Write(data)
					} else {
						w.WriteHeader(tc.status)
						_, _ = io.WriteString(w, tc.answer)
					}
					return w.Result(), nil
				}),
			}
			r, err := Run(t.Context(), o)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want %q in it", err, tc.err)
				}
			} else if err != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], officialHost) {
				t.Errorf("got %+v, %v", r, err)
			}
			if want := "https://dl.grafana.com/oss/release/grafana-11.6.0.linux-amd64.tar.gz.sha256"; asked[0] != want {
				t.Errorf("the checksum was asked of %s, want %s", asked[0], want)
			}
			if len(asked) > 1 && asked[1] != "https://mirror.lan/grafana/oss/release/grafana-11.6.0.linux-amd64.tar.gz" {
				t.Errorf("the archive was asked of %s", asked[1])
			}
		})
	}
}

// Several at once fetch it once.
func TestFetchOnceForAll(t *testing.T) {
	data := release(t, Version, 1<<20)
	m := &mirror{data: data}
	o := quick(t, serve(t, m), data)
	var group sync.WaitGroup
	var installed, already atomic.Int64
	for range 4 {
		group.Go(func() {
			r, err := Run(t.Context(), o)
			switch {
			case err != nil:
				t.Error(err)
			case r.Already:
				already.Add(1)
			default:
				installed.Add(1)
			}
		})
	}
	group.Wait()
	if installed.Load() != 1 || already.Load() != 3 || m.asked.Load() != 1 {
		t.Errorf("%d installed it, %d found it installed, with %d downloads", installed.Load(), already.Load(), m.asked.Load())
	}
}

func TestCancelledDownloadLeavesNothing(t *testing.T) {
	data := release(t, Version, 1<<20)
	m := &mirror{data: data, cut: func() int64 { return 600_000 }}
	o := quick(t, serve(t, m), data)
	o.RetryDelay = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	o.Report = func(e Event) {
		if e.Stage == StageRetry {
			cancel()
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := names(t, o.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// A machine without a network is told the other ways, with commands to copy.
func TestNoNetwork(t *testing.T) {
	for name, err := range map[string]error{
		"no such host":     &net.DNSError{Err: "no such host", Name: "dl.grafana.com", IsNotFound: true},
		"no answer of DNS": &net.DNSError{Err: "server misbehaving", Name: "dl.grafana.com", IsTemporary: true},
		"no route":         &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH},
	} {
		o := quick(t, "", nil)
		o.pins = pinned(Version, []byte("x"))
		o.Transport = failingTransport{err}
		_, got := Run(t.Context(), o)
		if got == nil {
			t.Fatalf("%s: no error", name)
		}
		const file = "grafana-" + Version + ".linux-amd64.tar.gz"
		for _, want := range []string{
			"fetch https://dl.grafana.com/oss/release/" + file + ": ", err.Error(), "HTTPS_PROXY",
			"`stackscope grafana install --mirror https://mirror.lan/grafana`", "`stackscope grafana install --file " + file + "`",
		} {
			if !strings.Contains(got.Error(), want) {
				t.Errorf("%s: lacks %q: %v", name, want, got)
			}
		}
	}
	// Another release needs its checksum, too.
	o := quick(t, "", nil)
	o.Version, o.Transport = "11.6.0", failingTransport{&net.DNSError{Err: "no such host", IsNotFound: true}}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--sha256") || !strings.Contains(err.Error(), "--file") {
		t.Error(err)
	}
}
