package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/stackscope/stackscope/internal/wire"
)

// maxListBytes bounds a list: 20,000 workers with a few labels have some 10 MB.
const maxListBytes = 96 << 20

// Inventory is what a server knows, as one answer of each list has it.
type Inventory struct {
	Clusters  []wire.Cluster       `json:"clusters"`
	Workers   []wire.Worker        `json:"workers"`
	Models    []wire.Model         `json:"models"`
	Instances []wire.ModelInstance `json:"model_instances"`
}

// Inventory reads all lists. They are read one after the other, so an instance may name a worker that is not there yet.
func (c *Client) Inventory(ctx context.Context) (inv Inventory, err error) {
	if inv.Clusters, err = c.Clusters(ctx); err != nil {
		return inv, err
	}
	if inv.Workers, err = c.Workers(ctx); err != nil {
		return inv, err
	}
	if inv.Models, err = list[wire.Model](ctx, c, "/v2/models"); err != nil {
		return inv, err
	}
	inv.Instances, err = list[wire.ModelInstance](ctx, c, "/v2/model-instances")
	return inv, err
}

// Clusters reads the list of clusters.
func (c *Client) Clusters(ctx context.Context) ([]wire.Cluster, error) {
	return list[wire.Cluster](ctx, c, "/v2/clusters")
}

// GPUDevices reads the list of GPUs. An *Error with status 404 means that the server is older and has none.
func (c *Client) GPUDevices(ctx context.Context) ([]wire.GPUDevice, error) {
	return list[wire.GPUDevice](ctx, c, "/v2/gpu-devices")
}

// Workers reads the list of workers.
func (c *Client) Workers(ctx context.Context) ([]wire.Worker, error) {
	return list[wire.Worker](ctx, c, "/v2/workers")
}

func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	answer, err := call[wire.List[T]](ctx, c, request{op: "read the inventory", method: http.MethodGet, path: path, maxAnswer: maxListBytes, auth: authAdmin})
	return answer.Items, err
}

// Revoked reads which workers are revoked because they were removed while they were alive; the client's token must be the admin
// token. An *Error with status 404 means that the server is older and keeps nobody out.
func (c *Client) Revoked(ctx context.Context) ([]wire.RevokedWorker, error) {
	return list[wire.RevokedWorker](ctx, c, "/v2/revoked-workers")
}

// AllowWorker allows a revoked worker to join again; workerID is the one that it had.
func (c *Client) AllowWorker(ctx context.Context, workerID int64) error {
	_, err := call[json.RawMessage](ctx, c, request{
		op: "let worker in", method: http.MethodDelete, path: "/v2/revoked-workers/" + strconv.FormatInt(workerID, 10), auth: authAdmin,
	})
	return err
}
