package prom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage/remote"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/prom/budget"
	"github.com/stackscope/stackscope/internal/prom/guard"
)

const (
	// maxListed bounds what a listing of series, labels or their values returns.
	maxListed = 100_000
	// maxReadQueries bounds the queries of a remote read request. Prometheus sends one.
	maxReadQueries = 16
)

// apiLimiter runs before the API's handlers. It parses PromQL under the request's context, so that parsing ends with the client, and
// reserves memory for listings and remote read, which no query engine bounds. Queries reserve their own.
type apiLimiter struct {
	parser *guard.Parser
	budget *queryBudget
	next   http.Handler
}

func (l *apiLimiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if path == "/read" {
		l.read(w, r)
		return
	}
	if err := parseForm(r); err != nil {
		writeRefusal(w, err)
		return
	}
	done, err := l.parse(r, path)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	defer done()
	switch {
	case path == "/series", path == "/labels", strings.HasPrefix(path, "/label/"):
		boundLimit(r)
		l.withListingMemory(w, r, 0)
	case path == "/status/tsdb", path == "/targets", strings.HasPrefix(path, "/targets/"), path == "/metadata", strings.HasPrefix(path, "/search/"):
		l.withListingMemory(w, r, 0)
	default:
		l.next.ServeHTTP(w, r)
	}
}

// parseForm reads the parameters of a request. As in a separate Prometheus, malformed ones are ignored; a body that is too large is
// an error.
func parseForm(r *http.Request) error {
	err := r.ParseForm() // called separately, because ParseMultipartForm hides its error
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	if err := r.ParseMultipartForm(maxRequestBytes); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return err
	}
	return nil
}

// parse parses the PromQL of a request under a parser slot, until the client disconnects.
func (l *apiLimiter) parse(r *http.Request, path string) (func(), error) {
	switch path {
	case "/query", "/query_range", "/query_exemplars", "/format_query", "/parse_query":
		return l.parser.PrepareExpr(r.Context(), r.FormValue("query"))
	case "/targets/metadata":
		return l.parser.PrepareSelectors(r.Context(), []string{r.FormValue("match_target")})
	}
	return l.parser.PrepareSelectors(r.Context(), r.Form["match[]"])
}

// boundLimit limits a listing to maxListed entries. The API then adds a warning that the result was truncated.
func boundLimit(r *http.Request) {
	n, err := strconv.Atoi(r.Form.Get("limit"))
	if r.Form.Get("limit") != "" && err != nil {
		return // the API rejects it
	}
	if n == 0 || n > maxListed {
		r.Form.Set("limit", strconv.Itoa(maxListed))
	}
}

// withListingMemory serves a request while it holds memory of the query budget.
func (l *apiLimiter) withListingMemory(w http.ResponseWriter, r *http.Request, samples int64) {
	slot, ctx, err := l.budget.reserveListing(r.Context(), samples)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	defer slot.Release()
	l.next.ServeHTTP(w, r.WithContext(ctx))
}

// read serves remote read. Its matchers arrive as protobuf and bypass the PromQL parser, so they are checked here.
func (l *apiLimiter) read(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Method == http.MethodPost {
		req, err := remote.DecodeReadRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if len(req.Queries) > maxReadQueries {
			http.Error(w, fmt.Sprintf("the request has %d queries, at most %d are allowed: send several requests", len(req.Queries), maxReadQueries), http.StatusBadRequest)
			return
		}
		var texts []string
		for _, q := range req.Queries {
			for _, m := range q.Matchers {
				texts = append(texts, m.Name, m.Value)
			}
		}
		if err := guard.CheckMatchers(texts); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	l.withListingMemory(w, r, int64(l.budget.readSamples()))
}

// writeRefusal answers a request that got no memory in time, or that is too large.
func writeRefusal(w http.ResponseWriter, err error) {
	var (
		full     budget.ErrFull
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &full), errors.Is(err, guard.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", "1")
		writeAPIError(w, http.StatusServiceUnavailable, "timeout", err)
	case errors.Is(err, context.Canceled):
		writeAPIError(w, statusClientGone, "canceled", promql.ErrQueryCanceled("waiting for memory"))
	case errors.As(err, &tooLarge):
		writeAPIError(w, http.StatusRequestEntityTooLarge, "bad_data", fmt.Errorf(
			"the request's body has more than %d bytes: use fewer or shorter matchers, or send several requests", tooLarge.Limit))
	default:
		writeAPIError(w, http.StatusBadRequest, "bad_data", err)
	}
}

// statusClientGone is Prometheus' status code for a request whose client has disconnected.
const statusClientGone = 499

func writeAPIError(w http.ResponseWriter, status int, kind string, err error) {
	_ = httpjson.Write(w, status, struct {
		Status string `json:"status"`
		Type   string `json:"errorType"`
		Error  string `json:"error"`
	}{"error", kind, err.Error()})
}
