package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/bundle"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of a bundle.
const (
	bundleTime = 60 * time.Second
	// bundleWorkersTime and bundlePagesTime are when workers and pages are no longer waited for.
	bundleWorkersTime = 30 * time.Second
	bundlePagesTime   = 50 * time.Second
	// maxBundleWorkers are the workers, and maxBundlePages the instances, that are asked.
	maxBundleWorkers = 20
	maxBundlePages   = 20
	// maxBundlePage bounds an engine's page in it.
	maxBundlePage = 256 << 10
	// bundleAsked are the workers, or instances, that are asked at a time.
	bundleAsked = 3
	// bundlePageRetry is when a page is asked for again because others take all places.
	bundlePageRetry = 500 * time.Millisecond
	// maxBundleHistory bounds the generations of the mapping that are listed.
	maxBundleHistory = 200
	bundleType       = "application/gzip"
)

// BundleParts is what a bundle has besides what the API knows itself. Nil functions give nothing.
type BundleParts struct {
	// Metrics calls send with the server's own metrics page.
	Metrics func(send func(page []byte))
	// Settings are the flags of this process, Log its last log records.
	Settings []wire.Setting
	Log      func() []wire.LogRecord
	// Names are further names to hash, such as that of the user of this process, and Metrics names of metrics that stay.
	Names       []bundle.Name
	MetricNames []string
}

func (a *API) registerBundle(h huma.API, tag string) {
	const path = "/v2/doctor/bundle"
	register(a, h, route{
		id: "get-doctor-bundle", method: "GET", path: path, access: admin, tag: tag,
		summary: "What a maintainer needs for a bug report, as a tar.gz",
		description: "Versions, settings, findings, inventory, mapping, metrics and log lines of the server and of at most 20 workers, and pages of at most 20 engines. " +
			"Names are hashed with a key that is new each time, secrets are left out. manifest.txt, the last file, lists the others; without it the bundle is not whole. It takes at most a minute. 503 says that another one is being made.",
		errors: []int{http.StatusServiceUnavailable},
		answer: &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{bundleType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
	}, a.bundle)
}

func (a *API) bundle(context.Context, *none) (*huma.StreamResponse, error) {
	select {
	case a.bundling <- struct{}{}:
	default:
		return nil, huma.ErrorWithHeaders(
			&Problem{Status: http.StatusServiceUnavailable, Detail: "another bundle is being made; try again in a minute"}, http.Header{"Retry-After": {"30"}})
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) { //nolint:contextcheck // it has the request's
		defer func() { <-a.bundling }()
		r, w := humago.Unwrap(hc)
		now := time.Now()
		ctx, cancel := context.WithTimeoutCause(r.Context(), bundleTime, fmt.Errorf("the bundle took longer than %s", bundleTime))
		defer cancel()
		w.Header().Set("Content-Type", bundleType)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Disposition", `attachment; filename="stackscope-bundle-`+now.UTC().Format("20060102T150405Z")+`.tar.gz"`)
		w.WriteHeader(http.StatusOK)
		if err := a.writeBundle(ctx, w, now); err != nil {
			a.logger.Debug("bundle not delivered", "error", err)
		}
	}}, nil
}
