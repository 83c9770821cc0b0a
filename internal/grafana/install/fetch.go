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
	"os"
	"path"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/httpjson"
)

const (
	maxRedirects  = 10
	maxRetryDelay = 30 * time.Second
	// maxSumBytes bounds the file beside an archive that holds its checksum.
	maxSumBytes = 4 << 10
	copyBytes   = 256 << 10
)

// finalError is a failure that another attempt cannot overcome.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

type fetcher struct {
	client   *http.Client
	stall    time.Duration
	attempts int
	delay    time.Duration
	report   func(Event)

	received int64 // bytes of archives, in all attempts
}

func (in *installer) fetcher() *fetcher {
	transport := in.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableCompression = true // lengths are those of the archive
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

// fetch downloads the archive to a new file at path. want is the archive's size, 0 when it isn't known.
func (f *fetcher) fetch(ctx context.Context, address *url.URL, path string, want int64) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var pauses backoff.Backoff
	for failures := 1; ; failures++ {
		err := f.attempt(ctx, address, file, want)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isFinal(err):
			return fmt.Errorf("fetch %s: %w%s", address.Redacted(), err, elsewhere(err, address))
		case failures >= f.attempts:
			return fmt.Errorf("fetch %s: %w, %d times in a row%s", address.Redacted(), err, failures, sources(address))
		}
		wait := pauses.Next(f.delay, maxRetryDelay)
		f.report(Event{Stage: StageRetry, Text: fmt.Sprintf("%v; trying again in %s", err, wait)})
		if backoff.Sleep(ctx, wait); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// elsewhere says what to do where an error means that there is no network, or none to that host; empty for others.
func elsewhere(err error, address *url.URL) string {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return sources(address)
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return sources(address)
	}
	return ""
}

// sources are the ways to an archive that is not fetched from address.
func sources(address *url.URL) string {
	name := path.Base(address.Path)
	return fmt.Sprintf(": does this machine need a proxy (HTTPS_PROXY)? Without a network, name a mirror that has oss/release/%s, as in `stackscope grafana install --mirror https://mirror.lan/grafana`, "+
		"or fetch %s on another machine, copy it here and run `stackscope grafana install --file %s`", name, address.Redacted(), name)
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

// attempt downloads the archive from its start.
func (f *fetcher) attempt(ctx context.Context, address *url.URL, file *os.File, want int64) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return finalError{err}
	}
	if err := file.Truncate(0); err != nil {
		return finalError{err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(f.stall, func() { cancel(fmt.Errorf("nothing came for %s", f.stall)) })
	defer watchdog.Stop()

	req, err := newRequest(ctx, address)
	if err != nil {
		return err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return cause(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return statusError(resp)
	}
	total := max(resp.ContentLength, 0)
	if want > 0 && total > 0 && total != want {
		return finalError{fmt.Errorf("the server's file has %d bytes, the release has %d: is it the right address?", total, want)}
	}
	if total > maxArchiveBytes {
		return finalError{fmt.Errorf("the server's file has %d bytes, more than the %d that are accepted", total, int64(maxArchiveBytes))}
	}
	return f.copy(ctx, resp.Body, file, total, watchdog)
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

// cause strips the method and the address, which messages say already, and puts the watchdog's reason in place of its effect.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
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

// copy writes the body, of total bytes, to the file. A total of 0 is not known.
func (f *fetcher) copy(ctx context.Context, body io.Reader, file io.Writer, total int64, watchdog *time.Timer) error {
	buf := make([]byte, copyBytes)
	for done := int64(0); ; {
		n, err := body.Read(buf)
		if n > 0 {
			watchdog.Reset(f.stall)
			if done += int64(n); done > maxArchiveBytes {
				return finalError{fmt.Errorf("more than the %d bytes that are accepted came", int64(maxArchiveBytes))}
			}
			if _, err := file.Write(buf[:n]); err != nil {
				return finalError{err}
			}
			f.received += int64(n)
			f.report(Event{Stage: StageFetch, Done: done, Total: total})
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("the connection broke after %d bytes (%w)", done, cause(ctx, err))
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
		hint := ""
		if elsewhere(err, address) != "" {
			hint = " (without a network, fetch it and the archive on another machine, and give the archive with --file)"
		}
		return checksum{}, fmt.Errorf("fetch the checksum %s: %w; or give it with --sha256%s", address, err, hint)
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
		return checksum{}, cause(ctx, err)
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
