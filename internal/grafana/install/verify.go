package install

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// contentError says that an archive is not what it should be.
type contentError struct{ reason string }

func (e *contentError) Error() string { return e.reason }

// verify compares a file with the checksum. It is read from the disk again, so that what is checked is what was stored.
func (in *installer) verify(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file: give Grafana's archive (.tar.gz)", path)
	}
	if info.Size() > maxArchiveBytes {
		return fmt.Errorf("%s has %d bytes, more than the %d that are accepted", path, info.Size(), int64(maxArchiveBytes))
	}
	r := bufio.NewReaderSize(f, copyBytes)
	if magic, _ := r.Peek(2); string(magic) != "\x1f\x8b" {
		return &contentError{fmt.Sprintf("%s is no gzip archive: Grafana's is a .tar.gz", path)}
	}
	if in.size > 0 && info.Size() < in.size {
		return &contentError{fmt.Sprintf("%s is cut short: it has %d bytes, the release has %d", path, info.Size(), in.size)}
	}
	h := newHash(in.sum.algorithm)
	if _, err := io.Copy(h, &watchedReader{ctx: ctx, r: r, total: info.Size(), stage: StageVerify, report: in.Report}); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != in.sum.digest {
		return &contentError{fmt.Sprintf("%s has %s %s, not %s: it is another archive or a damaged one", path, in.sum.algorithm, short(got), short(in.sum.digest))}
	}
	return nil
}

func newHash(algorithm string) hash.Hash {
	if algorithm == sha512Name {
		return sha512.New()
	}
	return sha256.New()
}

// short keeps a message on one line: the start of a digest tells two apart.
func short(digest string) string {
	if len(digest) <= 64 {
		return digest
	}
	return digest[:32] + "..."
}

// watchedReader reports how far reading has come, and ends it with the context.
type watchedReader struct {
	ctx         context.Context
	r           io.Reader
	done, total int64
	stage       Stage
	report      func(Event)
}

func (w *watchedReader) Read(b []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	n, err := w.r.Read(b)
	w.done += int64(n)
	if n > 0 {
		w.report(Event{Stage: w.stage, Done: w.done, Total: w.total})
	}
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, err
}
