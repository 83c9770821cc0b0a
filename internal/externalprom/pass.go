package externalprom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/base/httpjson"
)

const formType = "application/x-www-form-urlencoded"

// fault is an answer in the form of Prometheus' API.
type fault struct {
	status  int
	kind    string // as Prometheus names it
	text    string
	retry   bool // trying again may help
	missing bool // the Prometheus answered 404
}

func (f *fault) Error() string { return f.text }

// pass asks the Prometheus what r asks.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	page, err := h.ask(ctx, r)
	if err != nil {
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // the client has gone, or the server is stopping
		}
		h.refuse(w, r, err)
		return
	}
	if page.status != http.StatusOK { // small: what was wrong with the expression
		defer page.free()
		setHeaders(w, page.contentType)
		w.WriteHeader(page.status)
		_, _ = page.WriteTo(w) // a client that has gone needs no answer
		return
	}
	a, err := h.answers.Encode(r, page.contentType, page)
	page.free()
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	defer a.Release()
	setHeaders(w, page.contentType)
	a.Send(w)
}

func setHeaders(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
}

// refuse answers with err and logs it if it is the Prometheus' fault.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := errors.AsType[*fault](err)
	if !ok {
		f = &fault{status: http.StatusBadGateway, kind: "unavailable", text: err.Error()}
	}
	if f.status >= http.StatusInternalServerError && h.mayLog() {
		h.logger.Warn("the Prometheus of --prometheus-url did not answer a query", "url", h.Address(), "path", clip.End(r.URL.Path, 200), "error", f.text)
	}
	if f.retry {
		w.Header().Set("Retry-After", "2")
	}
	setHeaders(w, "application/json")
	_ = httpjson.Write(w, f.status, struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}{"error", f.kind, f.text})
}

// ask sends the request and reads the answer. The caller must free the page.
func (h *Handler) ask(ctx context.Context, r *http.Request) (*page, error) {
	if slices.ContainsFunc(r.Header.Values("Via"), func(via string) bool { return strings.Contains(via, h.marker) }) {
		return nil, &fault{status: http.StatusLoopDetected, kind: "unavailable", text: "--prometheus-url leads back to this server: give the address of another Prometheus, or leave it out for the embedded one"}
	}
	out, err := h.request(ctx, r)
	if err != nil {
		return nil, err
	}
	if !h.takeSlot(ctx) {
		return nil, &fault{status: http.StatusServiceUnavailable, kind: "unavailable", retry: true, text: fmt.Sprintf("%d queries to %s were running for %s: ask less at once, or shorter time ranges", maxConcurrent, h.Address(), maxWait)}
	}
	defer func() { <-h.slots }()
	resp, err := h.client.Do(out) //nolint:gosec // the operator names the host, the client a path of a fixed list
	if err != nil {
		return nil, h.unreachable(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := h.check(resp); err != nil {
		return nil, err
	}
	p := &page{pool: h.memory, status: resp.StatusCode, contentType: "application/json"}
	if err := p.read(resp.Body); err != nil {
		p.free()
		if _, ok := errors.AsType[*fault](err); ok {
			return nil, err
		}
		return nil, h.unreachable(err)
	}
	return p, nil
}

// takeSlot waits until the request may be sent.
func (h *Handler) takeSlot(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// request returns the request to the Prometheus: the path, the parameters and the form of r, and nothing else of it.
func (h *Handler) request(ctx context.Context, r *http.Request) (*http.Request, error) {
	u := new(*h.opts.URL)
	u.User = nil
	below := strings.TrimPrefix(r.URL.EscapedPath(), h.opts.PathPrefix)
	path, err := url.PathUnescape(below)
	if err != nil {
		return nil, &fault{status: http.StatusBadRequest, kind: "bad_data", text: "the path cannot be read: " + err.Error()}
	}
	u.RawPath = h.opts.URL.EscapedPath() + below // an escaped slash of a label's name must stay escaped
	u.Path += path
	u.RawQuery = r.URL.RawQuery
	var body io.Reader = http.NoBody
	if r.Method == http.MethodPost {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != formType {
			return nil, &fault{status: http.StatusUnsupportedMediaType, kind: "bad_data", text: "send the parameters as " + formType}
		}
		form, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxRequest))
		if err != nil {
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				return nil, &fault{status: http.StatusRequestEntityTooLarge, kind: "bad_data", text: fmt.Sprintf("the parameters have more than %d KiB: ask less at once", maxRequest>>10)}
			}
			return nil, &fault{status: http.StatusBadRequest, kind: "bad_data", text: "the parameters cannot be read: " + err.Error()}
		}
		body = bytes.NewReader(form)
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost {
		out.Header.Set("Content-Type", formType)
	}
	out.Header.Set("Accept", "application/json")
	out.Header.Set("User-Agent", "stackscope/"+buildinfo.Get().Version)
	out.Header.Set("Via", "1.1 "+h.marker)
	if user := h.opts.URL.User; user != nil {
		password, _ := user.Password()
		out.SetBasicAuth(user.Username(), password)
	}
	return out, nil
}
