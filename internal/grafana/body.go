package grafana

import (
	"io"
	"net/http"
)

// endingBody is a request's body that is not read again after its end.
//
// http.Transport reads once more after Content-Length bytes, while http.Server closes the body as soon as the answer begins. If the
// upstream answers between the two, the read fails with http.ErrBodyReadAfterClose, and the transport closes the connection in the
// middle of the answer (Go 1.26, net/http: transferWriter.writeBody, chunkWriter.writeHeader).
type endingBody struct {
	io.ReadCloser
	ended bool
}

// endBody makes the body of r, if it has one, an endingBody.
func endBody(r *http.Request) {
	if r.Body != nil {
		r.Body = &endingBody{ReadCloser: r.Body}
	}
}

// Read implements io.Reader. It returns io.EOF again after the first one.
func (b *endingBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	b.ended = err == io.EOF
	return n, err
}
