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
	// A request of remote read selects a few times at most; Prometheus asks once in each.
	maxReadQueries = 16
)

// admission stands before the API's handlers: it has the texts parsed while the client is still there, and gives listings and
// remote read, which no engine bounds, memory from the budget. Queries take their own.
type admission struct {
	parser *guard.Parser
	budget *queryBudget
	next   http.Handler
}

func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if path == "/read" {
		a.read(w, r)
		return
	}
	if err := parseForm(r); err != nil {
		apiRefusal(w, err)
		return
	}
	done, err := a.parse(r, path)
	if err != nil {
		apiRefusal(w, err)
		return
	}
	defer done()
	switch {
	case path == "/series", path == "/labels", strings.HasPrefix(path, "/label/"):
		boundLimit(r)
		a.admitted(w, r, 0)
	case path == "/status/tsdb", path == "/targets", strings.HasPrefix(path, "/targets/"), path == "/metadata", strings.HasPrefix(path, "/search/"):
		a.admitted(w, r, 0)
	default:
		a.next.ServeHTTP(w, r)
	}
}

// parseForm reads the parameters of a request. As in a separate Prometheus, the ones that can't be read are absent, unless the body
// is too large.
func parseForm(r *http.Request) error {
	err := r.ParseForm() // by itself, because the next one hides its error
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	if err := r.ParseMultipartForm(maxRequestBytes); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return err
	}
	return nil
}

// parse has the PromQL of a request parsed: under a slot, for as long as the client is there.
func (a *admission) parse(r *http.Request, path string) (func(), error) {
	switch path {
	case "/query", "/query_range", "/query_exemplars", "/format_query", "/parse_query":
		return a.parser.PrepareExpr(r.Context(), r.FormValue("query"))
	case "/targets/metadata":
		return a.parser.PrepareSelectors(r.Context(), []string{r.FormValue("match_target")})
	}
	return a.parser.PrepareSelectors(r.Context(), r.Form["match[]"])
}

// boundLimit makes a listing end at maxListed; the API then says in a warning that the result was cut.
func boundLimit(r *http.Request) {
	n, err := strconv.Atoi(r.Form.Get("limit"))
	if r.Form.Get("limit") != "" && err != nil {
		return // the API says so
	}
	if n == 0 || n > maxListed {
		r.Form.Set("limit", strconv.Itoa(maxListed))
	}
}

// admitted serves a request that holds memory of the budget.
func (a *admission) admitted(w http.ResponseWriter, r *http.Request, samples int64) {
	slot, ctx, err := a.budget.listing(r.Context(), samples)
	if err != nil {
		apiRefusal(w, err)
		return
	}
	defer slot.Release()
	a.next.ServeHTTP(w, r.WithContext(ctx))
}

// read serves remote read, whose matchers come as protobuf and are compiled without passing the parser.
func (a *admission) read(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		apiRefusal(w, err)
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
			http.Error(w, fmt.Sprintf("the request holds %d queries, at most %d are allowed: send several requests", len(req.Queries), maxReadQueries), http.StatusBadRequest)
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
	a.admitted(w, r, int64(a.budget.readSamples()))
}

// apiRefusal answers a request for which there was no room, or whose text is too large.
func apiRefusal(w http.ResponseWriter, err error) {
	var (
		full     budget.ErrFull
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &full), errors.Is(err, guard.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", "1")
		apiError(w, http.StatusServiceUnavailable, "timeout", err)
	case errors.Is(err, context.Canceled):
		apiError(w, statusClientGone, "canceled", promql.ErrQueryCanceled("waiting for room"))
	case errors.As(err, &tooLarge):
		apiError(w, http.StatusRequestEntityTooLarge, "bad_data", fmt.Errorf(
			"the request's body has more than %d bytes: select by fewer or shorter matchers, or ask in several requests", tooLarge.Limit))
	default:
		apiError(w, http.StatusBadRequest, "bad_data", err)
	}
}

// statusClientGone is what Prometheus answers, to nobody, when the client has gone.
const statusClientGone = 499

func apiError(w http.ResponseWriter, status int, kind string, err error) {
	_ = httpjson.Write(w, status, struct {
		Status string `json:"status"`
		Type   string `json:"errorType"`
		Error  string `json:"error"`
	}{"error", kind, err.Error()})
}
