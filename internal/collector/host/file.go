package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// firstBuffer is what a sampler reads into at first; it grows up to maxTableBytes.
	firstBuffer   = 4 << 10
	maxTableBytes = 4 << 20
)

// source is an open file.
type source interface {
	io.ReaderAt
	io.Closer
}

// openFunc opens a file for reading.
type openFunc func(path string) (source, error)

func openFile(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// kernelFile is a file of /proc or /sys that is read at each sample. It stays open between samples: opening it costs several
// times as much as reading it, and the kernel makes its text anew at each read from offset 0. A finalizer closes the file of a
// reader that is dropped.
type kernelFile struct {
	path           string
	closeAfterRead bool // for files that are too many to stay open
	headOnly       bool // the first buffer is enough
	open           openFunc
	src            source
}

func (r *hostFS) kernelFile(elem ...string) kernelFile {
	return kernelFile{path: r.path(elem...), open: r.open}
}

// read returns what the file says now, in *buf, which it makes larger where needed. A file that was opened before and
// cannot be read any more is opened anew: its device may have gone and come back.
func (w *kernelFile) read(buf *[]byte) ([]byte, error) {
	if w.closeAfterRead {
		defer w.close()
	}
	if w.src != nil {
		if text, err := w.readFrom(w.src, buf); err == nil {
			return text, nil
		}
		w.close()
	}
	src, err := w.open(w.path)
	if err != nil {
		return nil, err
	}
	text, err := w.readFrom(src, buf)
	if err != nil {
		_ = src.Close()
		return nil, err
	}
	w.src = src
	return text, nil
}

func (w *kernelFile) close() {
	if w.src != nil {
		_ = w.src.Close()
		w.src = nil
	}
}

func (w *kernelFile) readFrom(src source, buf *[]byte) ([]byte, error) {
	if *buf == nil {
		*buf = make([]byte, firstBuffer)
	}
	for {
		n, err := src.ReadAt(*buf, 0)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case n < len(*buf), w.headOnly:
			return (*buf)[:n], nil
		case n >= maxTableBytes:
			return nil, fmt.Errorf("%s is larger than %d bytes", w.path, maxTableBytes)
		}
		*buf = make([]byte, 2*len(*buf))
	}
}

// numberedLines yields the lines of text with their numbers, from 1. It omits empty lines.
func numberedLines(text []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		n := 0
		for line := range bytes.Lines(text) {
			n++
			if line = bytes.TrimSpace(line); len(line) > 0 && !yield(n, line) {
				return
			}
		}
	}
}

// number reads a whole number without sign.
func number(b []byte) (uint64, bool) {
	v, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0, false
	}
	return v, true
}

// isDeviceName reports whether b can be the name of a device, as part of a path and of a label.
func isDeviceName(b []byte) bool {
	const longest = 128
	if len(b) == 0 || len(b) > longest || b[0] == '.' || bytes.Contains(b, []byte("..")) || !utf8.Valid(b) {
		return false
	}
	return !bytes.ContainsFunc(b, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) })
}

// listNames lists a folder; a folder that is not there is empty.
func (r *hostFS) listNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	list := make([]string, 0, len(entries))
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, err
}

// readWord returns what a short file says, nothing if it cannot be read.
func (r *hostFS) readWord(elem ...string) string {
	text, err := r.readFile(elem...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

func (r *hostFS) exists(elem ...string) bool {
	_, err := os.Lstat(r.path(elem...))
	return err == nil
}

// errorAt adds the path of a file to an error about its text. Errors about opening and reading it have the path already.
func errorAt(path string, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (r *hostFS) path(elem ...string) string {
	return filepath.Join(append([]string{r.root}, elem...)...)
}

// hangGuard calls functions that may never return, such as a read from a network filesystem whose server is gone. A call that
// hangs costs one wait, one goroutine and its own answer; other keys are not held up.
type hangGuard[T any] struct {
	hung map[string]<-chan T // the calls that have not returned, by key
}

// call runs question in a goroutine. ok is false if it does not return within hangAfter. While it hangs, further calls with the
// same key return at once; when it has returned at last, its answer is dropped and the next call asks again.
func (p *hangGuard[T]) call(key string, question func() T) (answer T, ok bool) {
	if old, hung := p.hung[key]; hung {
		select {
		case <-old:
			delete(p.hung, key)
		default:
			return answer, false
		}
	}
	ch := make(chan T, 1)
	go func() { ch <- question() }()
	timer := time.NewTimer(hangAfter)
	defer timer.Stop()
	select {
	case answer = <-ch:
		return answer, true
	case <-timer.C:
		if p.hung == nil {
			p.hung = map[string]<-chan T{}
		}
		p.hung[key] = ch
		return answer, false
	}
}
