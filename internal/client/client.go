// Package client is the typed client of the server's HTTP API: what workers and command-line programs speak.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	requestTimeout = 15 * time.Second
	// maxBodyBytes bounds an answer: a mapping document is at most 4 MiB, its JSON may be somewhat longer.
	maxBodyBytes = 8 << 20
	// maxPreviewBytes bounds a preview, which holds a page of up to 32 MiB with its quotes escaped.
	maxPreviewBytes = 80 << 20
)

// Options configure a Client.
type Options struct {
	// BaseURL is the server's address, such as http://gpu-head:80. A path prefix is kept.
	BaseURL string
	// Token is sent as bearer token: the join token, a worker's credential or the admin token. Empty: none is sent.
	Token string
	// TokenFrom says in errors where the token was given, such as --token-file FILE; may be empty.
	TokenFrom string
	// HTTPClient carries the requests; nil: one of its own with bounded dial and TLS times. Its Timeout must be 0, or it cuts
	// watch streams off.
	HTTPClient *http.Client
	// CAFile holds the authorities, in PEM, of which one must have signed the server's certificate; empty: the system's. It has no effect
	// beside HTTPClient.
	CAFile string
	// Revalidate keeps the last answer of each list and asks only whether it has changed. It has no effect beside HTTPClient.
	Revalidate bool
	Logger     *slog.Logger // nil: silent
}

// Client speaks to one server. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	caFile    string
	token     string
	tokenFrom string
	http      *http.Client
	logger    *slog.Logger
}

// New checks the options and makes a client; it does not connect.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.BaseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("server URL %q: %w; give it as http://HOST:PORT", o.BaseURL, unwrapURL(err))
	case (base.Scheme != "http" && base.Scheme != "https") || base.Host == "":
		return nil, fmt.Errorf("server URL %q: give it as http://HOST:PORT or https://HOST:PORT", o.BaseURL)
	case base.User != nil:
		return nil, fmt.Errorf("server URL %s: a user in the URL is not used; give the token apart", base.Redacted())
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("server URL %q: leave out what follows ? or #", o.BaseURL)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Transport: newTransport()}
		if o.CAFile != "" {
			private, err := newWithAuthorities(o.CAFile, newTransport, o.Logger.With(logging.KeyComponent, "client"))
			if err != nil {
				return nil, err
			}
			o.HTTPClient.Transport = private
		}
		if o.Revalidate {
			o.HTTPClient.Transport = &revalidating{base: o.HTTPClient.Transport}
		}
	}
	return &Client{
		base: base, caFile: o.CAFile, token: strings.TrimSpace(o.Token), tokenFrom: o.TokenFrom, http: o.HTTPClient,
		logger: o.Logger.With(logging.KeyComponent, "client"),
	}, nil
}

// newTransport asks for no compression: answers are small, and a compressed event stream would be held back by its encoder.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: requestTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   4,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
	}
}

// WithToken returns a client of the same server and connections that sends another token.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.token = strings.TrimSpace(token)
	return &other
}

// URL is the server's address as given, without the slash at its end.
func (c *Client) URL() string { return c.base.String() }

// Register joins the fleet; the client's token must be the join token.
func (c *Client) Register(ctx context.Context, req wire.RegisterRequest) (wire.RegisterResponse, error) {
	return call[wire.RegisterResponse](ctx, c, request{op: "register worker", method: http.MethodPost, path: "/v2/workers/register", body: req, auth: authJoin})
}

// Report tells the server the whole truth about a worker; the client's token must be the worker's credential. An *Error with
// TokenRefused or status 404 means that the server doesn't know the worker any more: register again.
func (c *Client) Report(ctx context.Context, workerID int64, req wire.ReportRequest) (wire.ReportResponse, error) {
	return call[wire.ReportResponse](ctx, c, request{op: "report", method: http.MethodPut, path: workerPath(workerID, "report"), body: req, auth: authWorker})
}

// RemoveWorker takes a worker out of the inventory; the client's token must be the admin token.
func (c *Client) RemoveWorker(ctx context.Context, workerID int64) error {
	_, err := call[json.RawMessage](ctx, c, request{op: "remove worker", method: http.MethodDelete, path: workerPath(workerID, ""), auth: authAdmin})
	return err
}

// Version asks which build the server is.
func (c *Client) Version(ctx context.Context) (wire.Version, error) {
	return call[wire.Version](ctx, c, request{op: "ask for the version", method: http.MethodGet, path: "/version"})
}

// ConfigSchema fetches the JSON Schema of mapping documents.
func (c *Client) ConfigSchema(ctx context.Context) (json.RawMessage, error) {
	return call[json.RawMessage](ctx, c, request{op: "get schema of metrics mappings", method: http.MethodGet, path: "/v2/metrics/config/schema", auth: authAdmin})
}

// Preview asks what a mapping would make of a metrics page. Nothing changes. Faults of the request are in the *Error.
func (c *Client) Preview(ctx context.Context, req wire.PreviewRequest) (wire.Preview, error) {
	return call[wire.Preview](ctx, c, request{
		op: "preview metrics", method: http.MethodPost, path: "/v2/metrics/preview", body: req, maxAnswer: maxPreviewBytes, auth: authAdmin,
	})
}

// AnswerDryRun tells the server what a mapping would change on a worker; the client's token must be the worker's credential.
// Status 410 means that nobody waits for it any more.
func (c *Client) AnswerDryRun(ctx context.Context, workerID int64, run string, result wire.DryRunResult) error {
	_, err := call[json.RawMessage](ctx, c, request{
		op: "answer dry run", method: http.MethodPost, path: workerPath(workerID, "dry-runs/"+url.PathEscape(run)), body: result, auth: authWorker,
	})
	return err
}

func workerPath(id int64, tail string) string {
	return strings.TrimRight("/v2/workers/"+strconv.FormatInt(id, 10)+"/"+tail, "/")
}

// auth says which token a request needs, for the hint in its error.
type auth string

const (
	authNone   auth = ""
	authJoin   auth = "worker-token"
	authWorker auth = "credential"
	authAdmin  auth = "admin-token"
)

type request struct {
	op, method, path string
	query            url.Values
	body             any    // sent as JSON
	raw              []byte // sent as it is
	ifGeneration     string
	maxAnswer        int64         // 0: maxBodyBytes
	timeout          time.Duration // 0: requestTimeout
	auth             auth
	header           func(http.Header) // sees the header of a successful answer
}

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	contentType := ""
	switch {
	case r.body != nil:
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.op, err)
		}
		body, contentType = bytes.NewReader(data), "application/json"
	case r.raw != nil:
		body, contentType = bytes.NewReader(r.raw), "application/octet-stream"
		if t := bytes.TrimLeft(r.raw, " \t\r\n"); len(t) > 0 && t[0] == '{' {
			contentType = "application/json"
		}
	}
	u := c.base.JoinPath(r.path)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.op, err)
	}
	req.Header.Set("User-Agent", "stackscope/"+buildinfo.Get().Version)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.ifGeneration != "" {
		req.Header.Set("If-Match", r.ifGeneration)
	}
	return req, nil
}

func call[T any](ctx context.Context, c *Client, r request) (T, error) {
	var zero T
	timeout := cmp.Or(r.timeout, requestTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return zero, err
	}
	hc, done := c.patient(timeout)
	defer done()
	resp, err := hc.Do(req)
	if err != nil {
		return zero, c.transportError(ctx, r, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return zero, c.answerError(r, resp)
	}
	limit := cmp.Or(r.maxAnswer, maxBodyBytes)
	data, err := httpjson.ReadAll(resp.Body, limit)
	if err != nil {
		return zero, c.transportError(ctx, r, err)
	}
	var v T
	if len(data) > 0 || resp.StatusCode != http.StatusNoContent {
		if v, err = httpjson.Decode[T](bytes.NewReader(data), limit); err != nil {
			return zero, c.notOurs(r, resp, "its answer is no JSON of this API: "+err.Error())
		}
	}
	if r.header != nil {
		r.header(resp.Header)
	}
	return v, nil
}

// readFile sends r and gives the answer to read: a file of a media type for which the server may take as long as patience. what names the
// file.
func (c *Client) readFile(ctx context.Context, r request, patience time.Duration, mediaType, what string, read func(*http.Response) error) error {
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return err
	}
	hc, idle := c.patient(patience)
	defer idle()
	resp, err := hc.Do(req)
	if err != nil {
		return c.transportError(ctx, r, err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch t := resp.Header.Get("Content-Type"); {
	case resp.StatusCode != http.StatusOK:
		err = c.answerError(r, resp)
		if e, ok := errors.AsType[*Error](err); ok {
			return olderWithout(e, what)
		}
		return err
	case t != mediaType:
		return c.notOurs(r, resp, fmt.Sprintf("its answer is %q and no %s", clean(t, maxForeign), what))
	}
	return read(resp)
}

// patient returns a client whose transport waits for an answer for as long as timeout and keeps none, and what ends it.
func (c *Client) patient(timeout time.Duration) (_ *http.Client, done func()) {
	base := c.http.Transport
	if kept, is := base.(*revalidating); is {
		base = kept.base
	}
	t, ok := base.(*http.Transport)
	if private, is := base.(*withAuthorities); is {
		t, ok = private.transport(), true
	}
	if !ok || t.ResponseHeaderTimeout == 0 || t.ResponseHeaderTimeout >= timeout {
		return c.http, func() {}
	}
	t = t.Clone()
	t.ResponseHeaderTimeout = timeout
	patient := *c.http
	patient.Transport = t
	return &patient, t.CloseIdleConnections
}
