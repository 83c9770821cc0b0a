package grafana

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// closedAtItsEnd is a body as http.Server leaves it when an answer begins: read to its end, and closed.
type closedAtItsEnd struct{ strings.Reader }

func (b *closedAtItsEnd) Read(p []byte) (int, error) {
	if b.Len() == 0 {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.Reader.Read(p)
	if b.Len() == 0 {
		err = io.EOF
	}
	return n, err
}

func (*closedAtItsEnd) Close() error { return nil }

// The upstream may answer between the last byte of a request's body and the transport's last read of it.
func TestProxyOutlivesTheClosedBody(t *testing.T) {
	o := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%x %v", sha256.Sum256(body), err)
	})
	const text = `{"queries":[]}`
	r := httptest.NewRequest(http.MethodPost, "/grafana/api/ds/query", &closedAtItsEnd{*strings.NewReader(text)})
	r.ContentLength = int64(len(text))
	w := httptest.NewRecorder()
	newProxy(o).ServeHTTP(w, r)
	if want := fmt.Sprintf("%x <nil>", sha256.Sum256([]byte(text))); w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
}
