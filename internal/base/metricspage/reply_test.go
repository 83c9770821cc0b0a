package metricspage

import (
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestReply(t *testing.T) {
	page := strings.Repeat("up 1\n", 1000)
	var rp Replier
	for accept, compressed := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "*": true, "deflate, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false,
		"br": false, "gzip;q=nonsense": false, "identity;q=1": false,
	} {
		for range 2 { // the second page reuses the first one's compressor
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept-Encoding", accept)
			w := httptest.NewRecorder()
			rp.Reply(w, r, "text/plain", strings.NewReader(page))
			if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
				t.Errorf("%q: Content-Length %s of %d bytes", accept, got, w.Body.Len())
			}
			var body io.Reader = w.Body
			if (w.Header().Get("Content-Encoding") == "gzip") != compressed {
				t.Errorf("Accept-Encoding %q: Content-Encoding %q", accept, w.Header().Get("Content-Encoding"))
				continue
			}
			if compressed {
				var err error
				if body, err = gzip.NewReader(body); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := io.ReadAll(body); err != nil || string(got) != page {
				t.Errorf("%q: the page came back as %d bytes, %v", accept, len(got), err)
			}
		}
	}
}
