package install

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/httpjson"
)

const (
	maxRedirects  = 10
	maxRetryDelay = 30 * time.Second
	// minProgress is how much a failed attempt must have added for the failures before it to be forgotten.
	minProgress = 1 << 20
	// maxSumBytes bounds the file beside an archive that holds its checksum.
	maxSumBytes = 4 << 10
	copyBytes   = 256 << 10
)

// finalError is a failure that another attempt would not mend.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

type fetcher struct {
	client   *http.Client
	stall    time.Duration
	attempts int
	delay    time.Duration
	report   func(Event)

	received  int64 // bytes of archives, in all attempts
	restarted bool  // what an earlier run had left was of no use
}

func (in *installer) fetcher() *fetcher {
	transport := in.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableCompression = true // lengths and ranges are those of the archive
		transport = t
	}
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return &fetcher{client: client, stall: in.StallTimeout, attempts: in.Attempts, delay: in.RetryDelay, report: in.Report}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return finalError{fmt.Errorf("it redirects more than %d times", maxRedirects)}
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return finalError{fmt.Errorf("it redirects from TLS to %s", req.URL.Redacted())}
	}
	return nil
}

// fetch completes the part. want is the archive's size, 0 when it isn't known.
func (f *fetcher) fetch(ctx context.Context, address *url.URL, p *part, want int64) error {
	best, failures := p.size, 0
	for {
		err := f.attempt(ctx, address, p, want)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isFinal(err):
			return fmt.Errorf("fetch %s: %w", address.Redacted(), err)
		}
		if p.size >= best+minProgress {
			best, failures = p.size, 0
		}
		if failures++; failures >= f.attempts {
			return fmt.Errorf("fetch %s: %w, %d times in a row; what has come is kept: run the command again to go on from there", address.Redacted(), err, failures)
		}
		wait := min(f.delay<<min(failures-1, 10), maxRetryDelay)
		f.report(Event{Stage: StageRetry, Done: p.size, Total: p.state.Total, Text: fmt.Sprintf("%v; trying again in %s", err, wait)})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func isFinal(err error) bool {
	if _, ok := errors.AsType[finalError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// attempt asks once for what the part lacks.
func (f *fetcher) attempt(ctx context.Context, address *url.URL, p *part, want int64) error {
	if p.finished() {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.stall, func() { cancel(fmt.Errorf("nothing came for %s", f.stall)) })
	defer watchdog.Stop()

	resp, err := f.get(ctx, address, p)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if err := f.begin(resp, p); err != nil {
		return err
	}
	total := p.state.Total
	if want > 0 && total > 0 && total != want {
		return finalError{fmt.Errorf("the server's file has %d bytes, the release has %d: is it the right address?", total, want)}
	}
	if total > maxArchiveBytes {
		return finalError{fmt.Errorf("the server's file has %d bytes, more than the %d that are accepted", total, int64(maxArchiveBytes))}
	}
	return f.copy(ctx, resp.Body, p, watchdog)
}

func (f *fetcher) get(ctx context.Context, address *url.URL, p *part) (*http.Response, error) {
	req, err := newRequest(ctx, address)
	if err != nil {
		return nil, err
	}
	if p.size > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
		req.Header.Set("If-Range", p.state.Validator)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, told(ctx, err)
	}
	return resp, nil
}

func newRequest(ctx context.Context, address *url.URL) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, finalError{err}
	}
	req.Header.Set("User-Agent", "stackscope/"+buildinfo.Get().Version)
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// told strips the method and the address, which messages say already, and puts the watchdog's reason in place of its effect.
func told(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

// begin makes the part ready for the answer's body.
func (f *fetcher) begin(resp *http.Response, p *part) error {
	switch resp.StatusCode {
	case http.StatusOK:
		if p.size > 0 {
			f.restarted = true
			f.report(Event{Stage: StageRetry, Text: "the server sends it from the start again"})
		}
		return p.restart(validator(resp.Header), max(resp.ContentLength, 0))
	case http.StatusPartialContent:
		from, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
		if !ok || from != p.size || (p.state.Total > 0 && total > 0 && total != p.state.Total) {
			return errors.Join(p.restart("", 0), fmt.Errorf("the server sent range %q in place of %d-", resp.Header.Get("Content-Range"), p.size))
		}
		p.state.Total = max(p.state.Total, total)
		return nil
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(p.restart("", 0), errors.New("the server has another file than before"))
	}
	return statusError(resp)
}

// validator returns what If-Range takes: a strong ETag, or the date of the last change.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// parseContentRange reads "bytes FROM-TO/TOTAL"; a TOTAL of * is 0.
func parseContentRange(s string) (from, total int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, size, found := strings.Cut(rest, "/")
	first, _, dash := strings.Cut(span, "-")
	if !ok || !found || !dash {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, 0, false
	}
	if size != "*" {
		if total, err = strconv.ParseInt(size, 10, 64); err != nil || total <= from {
			return 0, 0, false
		}
	}
	return from, total, true
}

func statusError(resp *http.Response) error {
	err := fmt.Errorf("the server answered %s", resp.Status)
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		return finalError{fmt.Errorf("%w: it has no such release: check --version, and --mirror if it is given", err)}
	case code == http.StatusProxyAuthRequired:
		return finalError{fmt.Errorf("%w: give the proxy's user and password in HTTPS_PROXY", err)}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return finalError{fmt.Errorf("%w: fetch the archive by other means and give it with --file", err)}
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return err
	}
	return finalError{err}
}

// copy appends the body to the part.
func (f *fetcher) copy(ctx context.Context, body io.Reader, p *part, watchdog *time.Timer) error {
	buf := make([]byte, copyBytes)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			watchdog.Reset(f.stall)
			if p.size+int64(n) > maxArchiveBytes {
				return finalError{fmt.Errorf("more than the %d bytes that are accepted came", int64(maxArchiveBytes))}
			}
			if _, err := p.Write(buf[:n]); err != nil {
				return finalError{err}
			}
			f.received += int64(n)
			f.report(Event{Stage: StageFetch, Done: p.size, Total: p.state.Total})
		}
		switch {
		case errors.Is(err, io.EOF) && p.state.Total > 0 && p.size < p.state.Total:
			return fmt.Errorf("the connection ended after %d of %d bytes", p.size, p.state.Total)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the connection broke after %d bytes (%w)", p.size, told(ctx, err))
		}
	}
}

// publishedSum returns the checksum that the official host publishes beside an archive. A mirror's own word for what it serves
// would prove nothing.
func (f *fetcher) publishedSum(ctx context.Context, name string) (checksum, error) {
	address, err := archiveURL("", name+".sha256")
	if err != nil {
		return checksum{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.stall)
	defer cancel()
	sum, err := f.getSum(ctx, address)
	if err != nil {
		return checksum{}, fmt.Errorf("fetch the checksum %s: %w; or give it with --sha256", address, err)
	}
	return sum, nil
}

func (f *fetcher) getSum(ctx context.Context, address *url.URL) (checksum, error) {
	req, err := newRequest(ctx, address)
	if err != nil {
		return checksum{}, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return checksum{}, told(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return checksum{}, statusError(resp)
	}
	body, err := httpjson.ReadAll(resp.Body, maxSumBytes)
	if err != nil {
		return checksum{}, err
	}
	sum, ok := parseSHA256(string(body))
	if !ok {
		return checksum{}, errors.New("the answer holds no SHA-256")
	}
	return sum, nil
}
