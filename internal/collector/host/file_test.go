package host

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fake is an open file that says text, or fails.
type fake struct {
	text   string
	err    error
	closed *int
}

func (f fake) ReadAt(p []byte, off int64) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return strings.NewReader(f.text).ReadAt(p, off)
}

func (f fake) Close() error {
	if f.closed != nil {
		*f.closed++
	}
	return nil
}

// fakes opens files out of a map, and others as they are.
func fakes(files map[string]source) openFunc {
	return func(path string) (source, error) {
		for suffix, src := range files {
			if strings.HasSuffix(filepath.ToSlash(path), suffix) {
				return src, nil
			}
		}
		return openFile(path)
	}
}

func TestKernelFileIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened := 0
	w := kernelFile{path: path, open: func(path string) (source, error) {
		opened++
		return openFile(path)
	}}
	defer w.close()
	var buf []byte
	for _, text := range []string{"one", "", strings.Repeat("long", 10_000), "short"} {
		write(text)
		got, err := w.read(&buf)
		if err != nil || string(got) != text {
			t.Errorf("got %d bytes, error %v, want %d bytes", len(got), err, len(text))
		}
	}
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
	w.closeAfterRead = true
	write("last")
	for range 3 {
		if got, err := w.read(&buf); err != nil || string(got) != "last" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if opened != 3 { // the open one is closed after the first of these readings
		t.Errorf("opened %d times", opened)
	}
}

func TestKernelFileOfADeviceThatCameBack(t *testing.T) {
	broken := errors.New("no such device")
	var closed int
	sources := []source{fake{text: "before", closed: &closed}, fake{err: broken, closed: &closed}, fake{text: "after", closed: &closed}}
	w := kernelFile{path: "x", open: func(string) (source, error) {
		src := sources[0]
		sources = sources[1:]
		return src, nil
	}}
	var buf []byte
	if got, err := w.read(&buf); err != nil || string(got) != "before" {
		t.Fatalf("got %q, %v", got, err)
	}
	w.src = fake{err: broken, closed: &closed} // the device goes
	if _, err := w.read(&buf); !errors.Is(err, broken) {
		t.Errorf("got error %v", err)
	}
	if closed != 2 || w.src != nil {
		t.Errorf("closed %d, open %v", closed, w.src)
	}
	if got, err := w.read(&buf); err != nil || string(got) != "after" {
		t.Errorf("got %q, %v", got, err)
	}
}

// endless is a file without an end.
type endless struct{}

func (endless) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (endless) Close() error                          { return nil }

func TestKernelFileIsBounded(t *testing.T) {
	w := kernelFile{path: "x", open: func(string) (source, error) { return endless{}, nil }}
	var buf []byte
	if _, err := w.read(&buf); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got error %v", err)
	}
	if len(buf) > maxTableBytes {
		t.Errorf("buffer of %d bytes", len(buf))
	}
	w.headOnly = true
	if got, err := w.read(&buf); err != nil || len(got) == 0 {
		t.Errorf("head: %d bytes, %v", len(got), err)
	}
}

func TestKernelFileFailsToOpen(t *testing.T) {
	w := kernelFile{path: "x", open: func(string) (source, error) { return nil, io.ErrUnexpectedEOF }}
	var buf []byte
	if _, err := w.read(&buf); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v", err)
	}
}

func TestHangGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p hangGuard[int]
		release := make(chan struct{})
		var asked atomic.Int32
		slow := func() int { asked.Add(1); <-release; return 1 }
		start := time.Now()
		for range 10 {
			if _, ok := p.call("a", slow); ok {
				t.Error("there is an answer")
			}
		}
		if took := time.Since(start); took != hangAfter || asked.Load() != 1 {
			t.Errorf("asked %d times in %s", asked.Load(), took)
		}
		if v, ok := p.call("b", func() int { return 2 }); !ok || v != 2 {
			t.Errorf("another: %d, %v", v, ok)
		}
		close(release)
		synctest.Wait()
		if v, ok := p.call("a", func() int { return 3 }); !ok || v != 3 {
			t.Errorf("the old answer is taken: %d, %v", v, ok)
		}
	})
}

func TestDeviceName(t *testing.T) {
	for name, want := range map[string]bool{
		"eth0": true, "bond0.100": true, "cciss/c0d0": true, "größe": true,
		"": false, ".": false, "..": false, "a/../b": false, "a b": false, "a\x00": false, "a\xff": false, strings.Repeat("x", 129): false,
	} {
		if got := isDeviceName([]byte(name)); got != want {
			t.Errorf("device(%q) = %v", name, got)
		}
	}
}
