package client

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// revalidating is a transport that keeps the last answer of each address that has an ETag, and asks the server only whether it has
// changed. It is for commands that ask the same again and again.
type revalidating struct {
	base http.RoundTripper

	mu   sync.Mutex
	kept map[string]keptAnswer
}

type keptAnswer struct {
	tag    string
	header http.Header
	body   []byte
}

// RoundTrip implements http.RoundTripper.
func (t *revalidating) RoundTrip(r *http.Request) (*http.Response, error) {
	address := r.URL.String()
	t.mu.Lock()
	old, have := t.kept[address]
	t.mu.Unlock()
	if r.Method != http.MethodGet || r.Header.Get("If-None-Match") != "" {
		return t.base.RoundTrip(r)
	}
	if have {
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", old.tag)
	}
	resp, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch tag := resp.Header.Get("ETag"); {
	case have && resp.StatusCode == http.StatusNotModified:
		_ = resp.Body.Close() // it has none
		resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
		resp.Header, resp.Body, resp.ContentLength = old.header.Clone(), io.NopCloser(bytes.NewReader(old.body)), int64(len(old.body))
	case resp.StatusCode == http.StatusOK && tag != "":
		resp.Body = &keeping{ReadCloser: resp.Body, keep: func(body []byte) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.kept == nil {
				t.kept = map[string]keptAnswer{}
			}
			t.kept[address] = keptAnswer{tag, resp.Header.Clone(), body}
		}}
	}
	return resp, nil
}

// keeping is a body that is kept once it was read to its end. One that is longer than a client reads never is.
type keeping struct {
	io.ReadCloser
	body bytes.Buffer
	keep func(body []byte)
}

func (k *keeping) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	k.body.Write(p[:n])
	if err == io.EOF && k.keep != nil {
		k.keep(k.body.Bytes())
		k.keep = nil
	}
	return n, err
}

// CloseIdleConnections lets http.Client close those of the base.
func (t *revalidating) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
