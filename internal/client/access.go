package client

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
)

// missingTime bounds the query: what it adds to a status is not worth a long wait.
const missingTime = 2 * time.Second

// MissingAccess asks the server's Prometheus which kinds of access each worker lacks, by the worker's id. Without an answer nothing is
// known, which is no error.
func (c *Client) MissingAccess(ctx context.Context) map[int64][]string {
	type answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
			} `json:"result"`
		} `json:"data"`
	}
	query := "group by (" + catalog.LabelWorkerID + ", access) (" + catalog.MissingAccess.WireName() + " == 1)"
	got, err := call[answer](ctx, c, request{
		op: "query Prometheus", method: http.MethodGet, path: "/prometheus/api/v1/query", query: url.Values{"query": {query}},
		maxAnswer: maxListBytes, timeout: missingTime, auth: authAdmin,
	})
	if err != nil {
		return nil
	}
	missing := map[int64][]string{}
	for _, r := range got.Data.Result {
		if id, err := strconv.ParseInt(r.Metric[catalog.LabelWorkerID], 10, 64); err == nil && r.Metric["access"] != "" {
			missing[id] = append(missing[id], r.Metric["access"])
		}
	}
	for _, kinds := range missing {
		slices.Sort(kinds)
	}
	return missing
}
