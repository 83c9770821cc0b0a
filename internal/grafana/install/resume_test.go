package install

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Connections break at random places, by ETag and by date: every byte comes once, however often.
func TestFetchResumesBrokenConnections(t *testing.T) {
	data := release(t, Version, 2<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for _, etag := range []string{`"v1"`, "", `W/"weak"`} {
		breaks := 0
		m := &mirror{data: data, ranges: true, etag: etag}
		m.cut = func() int64 {
			breaks++
			if breaks > 20 {
				return 1 << 62
			}
			return 1 + random.Int64N(200_000)
		}
		o := quick(t, serve(t, m), data)
		o.Attempts = 25 // breaks come sooner than a megabyte
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", etag, err)
		}
		if m.starts.Load() != 1 || m.asked.Load() < 5 {
			t.Errorf("%q: %d answers from the start of %d, want one", etag, m.starts.Load(), m.asked.Load())
		}
		// What a broken connection still carried may be lost; nothing else is sent twice.
		if served := m.served.Load(); served < int64(len(data)) || served > int64(len(data))*5/4 {
			t.Errorf("%q: %d bytes were sent for an archive of %d", etag, served, len(data))
		}
		if r.Fetched != int64(len(data)) {
			t.Errorf("%q: %d bytes came, want %d", etag, r.Fetched, len(data))
		}
	}
}

// A run that is given up leaves what it has; the next one goes on.
func TestFetchResumesEarlierRun(t *testing.T) {
	data := release(t, Version, 1<<20)
	const first = 600_000
	m := &mirror{data: data, ranges: true, etag: `"v1"`, cut: func() int64 { return first }}
	o := quick(t, serve(t, m), data)
	o.Attempts = 1
	_, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "run the command again") || !strings.Contains(err.Error(), archivePath) {
		t.Fatalf("got %v", err)
	}
	part, err := os.Stat(filepath.Join(o.Dir, filepath.Base(archivePath)+partSuffix))
	if err != nil || part.Size() == 0 {
		t.Fatalf("no part was kept: %v", err)
	}
	m.cut = nil
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Resumed != part.Size() || r.Fetched != int64(len(data))-part.Size() || m.starts.Load() != 1 {
		t.Errorf("got %+v, want %d bytes resumed", r, part.Size())
	}
}

// The file changed between two runs, or another mirror is asked: nothing of the part is used.
func TestFetchDropsStaleParts(t *testing.T) {
	data := release(t, Version, 1<<20)
	for name, change := range map[string]func(*mirror, *Options){
		"other tag":   func(m *mirror, _ *Options) { m.etag = `"v2"` },
		"other place": func(_ *mirror, o *Options) { o.Mirror = strings.Replace(o.Mirror, "127.0.0.1", "localhost", 1) },
		"no state": func(_ *mirror, o *Options) {
			_ = os.Remove(filepath.Join(o.Dir, filepath.Base(archivePath)+partSuffix+stateSuffix))
		},
		"damaged state": func(_ *mirror, o *Options) {
			_ = os.WriteFile(filepath.Join(o.Dir, filepath.Base(archivePath)+partSuffix+stateSuffix), []byte("{"), 0o600)
		},
		"too long": func(_ *mirror, o *Options) {
			_ = os.WriteFile(filepath.Join(o.Dir, filepath.Base(archivePath)+partSuffix), make([]byte, 3<<20), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mirror{data: data, ranges: true, etag: `"v1"`, cut: func() int64 { return 600_000 }}
			o := quick(t, serve(t, m), data)
			o.Attempts = 1
			if _, err := Run(t.Context(), o); err == nil {
				t.Fatal("the first run was to fail")
			}
			m.cut = nil
			change(m, &o)
			r, err := Run(t.Context(), o)
			if err != nil || r.Resumed != 0 || r.Fetched != int64(len(data)) {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

// A part that is whole already is only checked.
func TestFetchNothingWhenThePartIsWhole(t *testing.T) {
	data := release(t, Version, 1000)
	m := &mirror{data: data, etag: `"v1"`}
	o := quick(t, serve(t, m), data)
	in := filepath.Join(o.Dir, filepath.Base(archivePath)+partSuffix)
	if err := os.WriteFile(in, data, 0o600); err != nil {
		t.Fatal(err)
	}
	state := fmt.Sprintf(`{"url":%q,"validator":"\"v1\"","total":%d}`, o.Mirror+archivePath, len(data))
	if err := os.WriteFile(in+stateSuffix, []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Run(t.Context(), o); err != nil || m.asked.Load() != 0 || r.Resumed != int64(len(data)) {
		t.Errorf("got %+v, %v after %d requests", r, err, m.asked.Load())
	}
}

// Answers to a request for the rest that are of no use make it start over.
func TestFetchDistrustsOddRanges(t *testing.T) {
	data := release(t, Version, 1<<20)
	for name, odd := range map[string]http.HandlerFunc{
		"file became shorter": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes */10")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		},
		"another range": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data)
		},
		"another size": func(w http.ResponseWriter, r *http.Request) {
			from := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %s-%d/%d", from, len(data), len(data)+1))
			w.WriteHeader(http.StatusPartialContent)
		},
		"no range": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) },
	} {
		t.Run(name, func(t *testing.T) {
			breaks := 0
			m := &mirror{data: data, ranges: true, etag: `"v1"`, cut: func() int64 {
				if breaks++; breaks == 1 {
					return 600_000
				}
				return 1 << 62
			}}
			asked := 0
			r, err := Run(t.Context(), quick(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; asked == 2 {
					odd(w, r)
					return
				}
				m.ServeHTTP(w, r)
			})), data))
			if err != nil || asked != 3 || m.starts.Load() != 2 {
				t.Errorf("got %+v, %v after %d requests, %d from the start", r, err, asked, m.starts.Load())
			}
		})
	}
}

func TestCancelledDownloadKeepsItsPart(t *testing.T) {
	data := release(t, Version, 1<<20)
	m := &mirror{data: data, ranges: true, etag: `"v1"`, cut: func() int64 { return 600_000 }}
	o := quick(t, serve(t, m), data)
	o.RetryDelay = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	o.Report = func(e Event) {
		if e.Stage == StageRetry {
			cancel()
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	m.cut, o.Report = nil, nil
	if r, err := Run(t.Context(), o); err != nil || r.Resumed == 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}
