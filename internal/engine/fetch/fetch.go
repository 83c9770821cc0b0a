// Package fetch gets metrics pages and small JSON answers from inference engines over HTTP. It bounds time, size, redirects, and the
// memory of all pages together. It does not know the engines' runtimes.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/stackscope/stackscope/internal/base/budget"
	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/clip"
)

// Bounds of a fetch.
const (
	// DefaultMaxPageBytes bounds a metrics page after decompression. Options.LargePages also bounds all pages together.
	DefaultMaxPageBytes = 16 << 20
	dialTimeout         = 2 * time.Second
	maxHeaderBytes      = 64 << 10
	maxDrainBytes       = 16 << 10
)

// acceptText asks for the classic text format, which every engine has.
const acceptText = "text/plain;version=0.0.4"

// Options configure a Fetcher.
type Options struct {
	MaxPageBytes int64 // 0: DefaultMaxPageBytes
	// LargePages is the memory that all pages share for their bytes beyond 1 MiB. It must hold one page of MaxPageBytes; nil: a
	// pool of that size.
	LargePages *budget.Pool
	// Transport carries the requests; nil: one with connections of its own, which are kept open between scrapes and use no
	// proxy.
	Transport http.RoundTripper
}

// Fetcher gets pages from engines. It is safe for concurrent use.
type Fetcher struct {
	client  *http.Client
	dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: there is no network
	max     int64
	large   *budget.Pool
	buffers sync.Pool // of *[]byte
	gzips   sync.Pool // of *gzip.Reader
}

// New makes a Fetcher.
func New(o Options) *Fetcher {
	if o.MaxPageBytes <= 0 {
		o.MaxPageBytes = DefaultMaxPageBytes
	}
	if o.LargePages == nil {
		o.LargePages = budget.NewPool(o.MaxPageBytes)
	}
	var dial func(ctx context.Context, network, address string) (net.Conn, error)
	if o.Transport == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
		o.Transport = &http.Transport{
			DialContext:            dial,
			TLSHandshakeTimeout:    dialTimeout,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableCompression:     true,
		}
	}
	return &Fetcher{
		client: &http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		dial:  dial,
		max:   o.MaxPageBytes,
		large: o.LargePages,
	}
}

// Close ends idle connections.
func (f *Fetcher) Close() { f.client.CloseIdleConnections() }

// Page is a metrics page. Body is valid until Release.
type Page struct {
	Body        []byte
	ContentType string

	memory *pageMemory
}

// Release gives the page's memory back. Body must not be used any more. A second call does nothing.
func (p *Page) Release() {
	if p.memory != nil {
		p.memory.release()
	}
	*p = Page{}
}

// Fetch gets the metrics page of t. ctx bounds all of it, also an endless body. One redirect on the same host is followed, because
// applications mounted at /metrics redirect to /metrics/. An empty page is no error: the engine has just started. Errors are of type
// *Error.
func (f *Fetcher) Fetch(ctx context.Context, t Target) (Page, error) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	resp, err := f.request(ctx, t, t.page, acceptText)
	if err != nil {
		return Page{}, err
	}
	if location := redirect(resp); location != nil {
		drain(resp)
		if !sameHost(t.page, location) {
			return Page{}, redirectedAway(t.page, location)
		}
		if resp, err = f.request(ctx, t, location, acceptText); err != nil {
			return Page{}, err
		}
		if redirect(resp) != nil {
			drain(resp)
			return Page{}, wrongAnswer("answered with a second redirect, which is not followed", "declare the page's path with path=")
		}
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return Page{}, wrongStatus(t, resp, readExcerpt(resp, abort))
	}
	page, err := f.read(ctx, t, resp, abort)
	if e, ok := errors.AsType[*Error](err); ok && e.Hint == isTheEngines {
		e.Hint = withHint(t.hint(http.StatusOK))
	}
	return page, err
}

func (f *Fetcher) request(ctx context.Context, t Target, u *url.URL, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, wrongAnswer("no request can be made for its URL: "+clip.Line(err.Error(), 200), "")
	}
	req.Header.Set("Accept", accept)
	// Engines compress in the process that serves requests, which would slow them down.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "stackscope/"+buildinfo.Get().Version)
	if t.user != "" || t.password != "" {
		req.SetBasicAuth(t.user, t.password)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		failed := clientError(ctx, err, u.Host)
		if e, ok := errors.AsType[*Error](failed); ok && e.Reason == ReasonLost && u.Scheme == "http" && f.speaksTLS(ctx, u) {
			return nil, speaksTLS()
		}
		return nil, failed
	}
	return resp, nil
}

// speaksTLS reports whether the server at u, which broke a connection instead of answering, speaks TLS. Most answer plain HTTP so; uvicorn,
// the server of vLLM and SGLang, is one.
func (f *Fetcher) speaksTLS(ctx context.Context, u *url.URL) bool {
	if f.dial == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := f.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), Port(u)))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	err = tls.Client(conn, &tls.Config{ServerName: u.Hostname()}).HandshakeContext(ctx)
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	return err == nil || unverified || strings.HasPrefix(err.Error(), "remote error: tls: ")
}

// Get requests path below t's base address and passes at most limit bytes of the body to read. A status other than 200 is an error.
func (f *Fetcher) Get(ctx context.Context, t Target, path, accept string, limit int64, read func(io.Reader) error) error {
	u := *t.base
	u.Path += path
	resp, err := f.request(ctx, t, &u, accept)
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return &Error{Kind: WrongAnswer, Reason: ReasonHTTPStatus, Status: resp.StatusCode, Detail: fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))}
	}
	return read(io.LimitReader(resp.Body, limit))
}

// redirect returns where resp redirects to, or nil.
func redirect(resp *http.Response) *url.URL {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if location, err := resp.Location(); err == nil {
			location.User = nil
			return location
		}
	}
	return nil
}

func sameHost(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && Port(a) == Port(b)
}

// drain closes the body. It reads a short rest first, so that the connection can be reused.
func drain(resp *http.Response) {
	if n := resp.ContentLength; n > 0 && n <= maxDrainBytes {
		_, _ = io.CopyN(io.Discard, resp.Body, n)
	}
	_ = resp.Body.Close()
}

func (f *Fetcher) read(ctx context.Context, t Target, resp *http.Response, abort func(error)) (Page, error) {
	body, size := io.Reader(resp.Body), resp.ContentLength
	if size > f.max {
		return Page{}, f.tooLarge()
	}
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		zr, err := f.inflater(io.LimitReader(body, f.max+1))
		if err != nil {
			return Page{}, f.readError(ctx, err)
		}
		defer f.gzips.Put(zr)
		body, size = zr, -1
	default:
		return Page{}, wrongAnswer(fmt.Sprintf("answered with Content-Encoding %q though the request accepts none", clip.Line(encoding, 40)), "switch compression off in the engine or in the proxy before it")
	}
	page := Page{ContentType: resp.Header.Get("Content-Type"), memory: f.memory(abort)}
	var err error
	if page.Body, err = page.memory.readAll(ctx, body, size, f.max); err == nil {
		err = checkIsMetrics(page.ContentType, page.Body)
	}
	if err != nil {
		got := t.excerpt(page.ContentType, *page.memory.buf)
		page.Release()
		err = f.readError(ctx, err)
		if e, ok := errors.AsType[*Error](err); ok {
			e.Got = got
		}
		return Page{}, err
	}
	return page, nil
}

func (f *Fetcher) inflater(r io.Reader) (*gzip.Reader, error) {
	if zr, ok := f.gzips.Get().(*gzip.Reader); ok {
		if err := zr.Reset(r); err != nil {
			return nil, err
		}
		return zr, nil
	}
	return gzip.NewReader(r)
}

func (f *Fetcher) tooLarge() error {
	return wrongAnswer(fmt.Sprintf("answered with a page of more than %d MiB", f.max>>20), "is the URL the engine's? A page of an engine has at most some MiB")
}

func (f *Fetcher) readError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if errors.Is(err, errTooLarge) {
		return f.tooLarge()
	}
	if errors.Is(context.Cause(ctx), budget.ErrSlow) {
		return timeout("its page of more than 1 MiB was not complete after "+budget.SlowAfter.String()+" while others waited for the memory", "is it overloaded? --large-pages-memory is how much there is for all")
	}
	if errors.Is(err, budget.ErrExhausted) {
		return wrongAnswer("answered with a page of more than 1 MiB while "+budget.ErrExhausted.Error(), "are the URLs of all engines with large pages right? A page of an engine has at most some MiB")
	}
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return wrongAnswer("answered with Content-Encoding gzip, but the body is not gzip or is damaged", "switch compression off in the engine or in the proxy before it")
	}
	return clientError(ctx, err, "")
}
