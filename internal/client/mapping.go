package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

const (
	configPath      = "/v2/metrics/config"
	generationsPath = configPath + "/generations"
	// maxDryRunBytes bounds a dry run's answer; the server holds about this much of it.
	maxDryRunBytes = 128 << 20
	// maxDiffBytes bounds a difference of two documents of 4 MiB, whose entries it holds as text with quotes escaped.
	maxDiffBytes = 32 << 20
)

// Config is a mapping document with the generation that it stands for.
type Config struct {
	Document   json.RawMessage // keys in the document's own order
	Generation int64           // 0: the built-in default
}

// GetConfig fetches the active mapping as it was posted: an overlay has what it adds and overrides.
func (c *Client) GetConfig(ctx context.Context) (Config, error) {
	return c.config(ctx, configPath, nil)
}

// GetEffectiveConfig fetches the active mapping as workers use it: of an overlay, with the built-in entries. A server that has no overlays
// answers as to GetConfig, which is the same there.
func (c *Client) GetEffectiveConfig(ctx context.Context) (Config, error) {
	return c.config(ctx, configPath, url.Values{"effective": {"1"}})
}

// GetDefaultConfig fetches the mapping built into the server.
func (c *Client) GetDefaultConfig(ctx context.Context) (Config, error) {
	return c.config(ctx, "/v2/metrics/default-config", nil)
}

func (c *Client) config(ctx context.Context, path string, query url.Values) (Config, error) {
	var cfg Config
	doc, err := call[json.RawMessage](ctx, c, request{
		op: "get metrics mapping", method: http.MethodGet, path: path, query: query, auth: authAdmin,
		header: func(h http.Header) { cfg.Generation = taggedGeneration(h.Get("ETag")) },
	})
	cfg.Document = doc
	return cfg, err
}

// taggedGeneration returns the generation in an ETag such as "7", or "7-5a3f" of another form of its document; 0 without one.
func taggedGeneration(tag string) int64 {
	number, _, _ := strings.Cut(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), "-")
	n, _ := strconv.ParseInt(number, 10, 64)
	return n
}

// AnyGeneration as Change.IfGeneration makes a change unconditional.
const AnyGeneration int64 = -1

// Change says how the mapping is to be changed.
type Change struct {
	// IfGeneration is the generation that must be active, or the change fails with status 412; AnyGeneration: whichever. 0 is the built-in
	// mapping before any change.
	IfGeneration int64
	// Merge takes a document as one that extends the built-in one. A server that cannot do that is not asked to.
	Merge bool
	// Author, at most 128 bytes, and Comment, at most 1000, are kept in the history. A server without a history ignores them.
	Author, Comment string
}

func (o Change) query() url.Values {
	q := url.Values{}
	if o.Merge {
		q.Set("merge", "1")
	}
	if o.Author != "" {
		q.Set("author", o.Author)
	}
	if o.Comment != "" {
		q.Set("comment", o.Comment)
	}
	return q
}

// SetConfig activates document (JSON or YAML) for all workers. Faults of the document are in the *Error.
func (c *Client) SetConfig(ctx context.Context, document []byte, o Change) (wire.MappingStatus, error) {
	if err := c.canMerge(ctx, o); err != nil {
		return wire.MappingStatus{}, err
	}
	return call[wire.MappingStatus](ctx, c, request{
		op: "set metrics mapping", method: http.MethodPost, path: configPath, raw: document, query: o.query(), ifGeneration: ifMatch(o.IfGeneration), auth: authAdmin,
	})
}

// ResetConfig activates the built-in default for all workers. Change.Merge is without effect.
func (c *Client) ResetConfig(ctx context.Context, o Change) (wire.MappingStatus, error) {
	o.Merge = false
	return call[wire.MappingStatus](ctx, c, request{
		op: "reset metrics mapping", method: http.MethodDelete, path: configPath, query: o.query(), ifGeneration: ifMatch(o.IfGeneration), auth: authAdmin,
	})
}

// RestoreConfig activates the document of generation n again, under a new number; 0 is the built-in default. Status 404 means that
// the server has no such generation (any more), 422 that its document cannot be used. Change.Merge is without effect.
func (c *Client) RestoreConfig(ctx context.Context, n int64, o Change) (wire.MappingStatus, error) {
	o.Merge = false
	return call[wire.MappingStatus](ctx, c, request{
		op: "restore metrics mapping", method: http.MethodPost, path: generationPath(n, "/restore"), query: o.query(), ifGeneration: ifMatch(o.IfGeneration), auth: authAdmin,
	})
}

// TryConfig asks what document (JSON or YAML), or with nil the built-in default, would change on the workers if it were active.
// Nothing changes. The server waits for its workers for as long as timeout, which it allows to be 1 s to 1 min. Faults are as in
// SetConfig. Status 503 means that the server has enough dry runs under way.
func (c *Client) TryConfig(ctx context.Context, document []byte, o Change, timeout time.Duration) (wire.MappingDryRun, error) {
	r := request{method: http.MethodPost, path: configPath, raw: document}
	if document == nil {
		r.method, o.Merge = http.MethodDelete, false
	}
	if err := c.canMerge(ctx, o); err != nil {
		return wire.MappingDryRun{}, err
	}
	return c.dryRun(ctx, r, o, timeout)
}

// TryRestore is TryConfig of the document of generation n.
func (c *Client) TryRestore(ctx context.Context, n int64, o Change, timeout time.Duration) (wire.MappingDryRun, error) {
	o.Merge = false
	return c.dryRun(ctx, request{method: http.MethodPost, path: generationPath(n, "/restore")}, o, timeout)
}

func (c *Client) dryRun(ctx context.Context, r request, o Change, timeout time.Duration) (wire.MappingDryRun, error) {
	r.op, r.auth = "try metrics mapping", authAdmin
	r.query, r.ifGeneration = o.query(), ifMatch(o.IfGeneration)
	r.query.Set("dry_run", "1")
	r.query.Set("timeout", timeout.String())
	r.maxAnswer, r.timeout = maxDryRunBytes, timeout+requestTimeout
	answer, err := call[wire.MappingDryRun](ctx, c, r)
	if err == nil && answer.Status != "dry run" {
		err = &Error{Op: r.op, URL: c.URL(), Detail: "the server is older and has no dry runs: it activated the mapping", Hint: "put the one before back"}
	}
	return answer, err
}

// Generations reads a page of the history of the mapping, from 1, the newest first; perPage is 1 to 100. Status 404 means that the server
// is older and has no history.
func (c *Client) Generations(ctx context.Context, page, perPage int) (wire.List[wire.Generation], error) {
	return call[wire.List[wire.Generation]](ctx, c, request{
		op: "read history of metrics mappings", method: http.MethodGet, path: generationsPath, auth: authAdmin,
		query: url.Values{"page": {strconv.Itoa(page)}, "perPage": {strconv.Itoa(perPage)}},
	})
}

// Generation reads a generation with its document as it was posted; 0 is the built-in mapping. Status 404 means that there is none (any
// more), or that the server is older.
func (c *Client) Generation(ctx context.Context, n int64) (wire.GenerationDocument, error) {
	return c.generation(ctx, n, nil)
}

// EffectiveGeneration is Generation with the document as workers would use it under the server as it is now.
func (c *Client) EffectiveGeneration(ctx context.Context, n int64) (wire.GenerationDocument, error) {
	return c.generation(ctx, n, url.Values{"effective": {"1"}})
}

func (c *Client) generation(ctx context.Context, n int64, query url.Values) (wire.GenerationDocument, error) {
	return call[wire.GenerationDocument](ctx, c, request{
		op: "read metrics mapping " + strconv.FormatInt(n, 10), method: http.MethodGet, path: generationPath(n, ""), query: query, auth: authAdmin,
	})
}

// DiffGenerations compares the effective documents of two generations: what would turn n into to. AnyGeneration as to is the active one.
func (c *Client) DiffGenerations(ctx context.Context, n, to int64) (wire.GenerationDiff, error) {
	r := request{op: "compare metrics mappings", method: http.MethodGet, path: generationPath(n, "/diff"), maxAnswer: maxDiffBytes, auth: authAdmin}
	if to >= 0 {
		r.query = url.Values{"to": {strconv.FormatInt(to, 10)}}
	}
	return call[wire.GenerationDiff](ctx, c, r)
}

// canMerge returns an error if the document is to be merged and the server is too old for that: it would ignore the parameter and
// activate the document alone. Such a server has no history either.
func (c *Client) canMerge(ctx context.Context, o Change) error {
	if !o.Merge {
		return nil
	}
	_, err := c.Generations(ctx, 1, 1)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound {
		return &Error{
			Op: "merge metrics mapping", URL: c.URL(), Detail: "the server is older and would activate the document without the built-in entries; nothing was changed",
			Hint: "upgrade the server, or write the whole document",
		}
	}
	return err
}

func generationPath(n int64, tail string) string {
	return generationsPath + "/" + strconv.FormatInt(n, 10) + tail
}

func ifMatch(generation int64) string {
	if generation < 0 {
		return ""
	}
	return strconv.Quote(strconv.FormatInt(generation, 10))
}
