package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// registerRevoked adds the routes about workers that were removed while they were alive.
func (a *API) registerRevoked(h huma.API, tag string) {
	const path = "/v2/revoked-workers"
	register(a, h, route{
		id: "list-revoked-workers", method: "GET", path: path, access: admin, tag: tag, summary: "Revoked workers",
		description: "Those that were removed while they were alive: their registrations are refused. Everything, unless page or perPage is given.",
		errors:      []int{http.StatusUnprocessableEntity},
	}, a.listRevoked)
	h.OpenAPI().Paths[path].Get.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		"application/json": {Schema: h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.List[wire.RevokedWorker]](), true, "")},
	}}
	register(a, h, route{
		id: "allow-worker", method: "DELETE", path: path + "/{id}", access: admin, tag: tag,
		summary:     "Allow a revoked worker to join again",
		description: "The id is the one that the worker had. It joins under a new one, within a minute if it runs.",
		errors:      []int{http.StatusNotFound, http.StatusServiceUnavailable},
	}, a.allowWorker)
}

func (a *API) listRevoked(_ context.Context, in *pageQuery) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		items := a.opts.Inventory.Revoked()
		var part *wire.Pagination
		if in.paged {
			page, at := in.slice(len(items))
			part, items = &page, items[at.from:at.to]
		}
		w.Header().Set("Content-Type", "application/json")
		if err := writeList(w, items, wireRevoked, part); err != nil {
			a.logger.Debug("answer not delivered", "error", err)
		}
	}}, nil
}

func (a *API) allowWorker(ctx context.Context, in *workerInput) (*struct{}, error) {
	if err := a.opts.Inventory.Allow(ctx, in.ID); err != nil {
		return nil, a.problem(ctx, admin, "allow worker", err)
	}
	return nil, nil
}

func wireRevoked(w *fleet.RevokedWorker) wire.RevokedWorker {
	return wire.RevokedWorker{ID: w.ID, Name: w.Name, ClusterName: w.Cluster, Address: w.Address, RevokedAt: w.RevokedAt}
}
