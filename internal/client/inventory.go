package client

import (
	"context"
	"net/http"

	"github.com/stackscope/stackscope/internal/wire"
)

// Inventory is what a server knows, as one answer of each list has it.
type Inventory struct {
	Clusters  []wire.Cluster       `json:"clusters"`
	Workers   []wire.Worker        `json:"workers"`
	Models    []wire.Model         `json:"models"`
	Instances []wire.ModelInstance `json:"model_instances"`
}

// Inventory reads all lists. They are read one after the other, so an instance may name a worker that is not there yet.
func (c *Client) Inventory(ctx context.Context) (inv Inventory, err error) {
	if inv.Clusters, err = list[wire.Cluster](ctx, c, "/v2/clusters"); err != nil {
		return inv, err
	}
	if inv.Workers, err = list[wire.Worker](ctx, c, "/v2/workers"); err != nil {
		return inv, err
	}
	if inv.Models, err = list[wire.Model](ctx, c, "/v2/models"); err != nil {
		return inv, err
	}
	inv.Instances, err = list[wire.ModelInstance](ctx, c, "/v2/model-instances")
	return inv, err
}

func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	answer, err := call[wire.List[T]](ctx, c, request{op: "read the inventory", method: http.MethodGet, path: path, auth: authAdmin})
	return answer.Items, err
}
