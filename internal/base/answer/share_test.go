package answer_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stackscope/stackscope/internal/base/answer"
)

// Clients that get 304 release their reference at once. Clients that read always get the whole of one answer.
func TestConcurrentReadersWhileTheAnswerChanges(t *testing.T) {
	const size = 1<<20 + 1000 // larger than what is kept
	version := new(atomic.Int64)
	s := answer.NewSource(answer.SourceOptions[int64]{
		Store: answer.NewStore(answer.Options{MaxBytes: 96 << 20, MaxReaders: 512}), ContentType: "x", Current: version.Load,
		Tag:  func(int64) string { return `"same"` },
		Make: func(v int64, w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte{byte(v)}, size)); return err },
	})
	var clients sync.WaitGroup
	for c := range 32 {
		clients.Go(func() {
			for n := range 400 {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				reads := c == 0 && n%20 == 0
				if !reads {
					r.Header.Set("If-None-Match", `"same"`)
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				switch body := w.Body.Bytes(); {
				case !reads && w.Code != http.StatusNotModified:
					t.Errorf("answered with %d", w.Code)
				case reads && (w.Code != http.StatusOK || len(body) != size || !bytes.Equal(body, bytes.Repeat(body[:1], size))):
					t.Errorf("%d, %d bytes that are not of one answer", w.Code, len(body))
				}
				if n%7 == 0 {
					version.Add(1)
				}
			}
		})
	}
	clients.Wait()
}
