package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/stackscope/stackscope/internal/wire"
)

// maxInstancePageBytes bounds the answer with an instance's page; a server takes a smaller one from a worker.
const maxInstancePageBytes = 16 << 20

// InstancePage reads the metrics page of an instance's engine, and what became of it. Nothing changes. The server waits 10 s for the worker. The page's own Error says why there
// is none. Of an *Error, status 404 means that there is no such instance, 503 that the server reads enough pages already.
func (c *Client) InstancePage(ctx context.Context, instanceID int64) (wire.InstancePage, error) {
	return call[wire.InstancePage](ctx, c, request{
		op: "read page of instance", method: http.MethodGet, path: "/v2/model-instances/" + strconv.FormatInt(instanceID, 10) + "/page",
		maxAnswer: maxInstancePageBytes, auth: authAdmin,
	})
}

// AnswerPage answers a PageEvent; the client's token must be the worker's credential. Status 410 means that nobody waits for it any more.
func (c *Client) AnswerPage(ctx context.Context, workerID int64, run string, page wire.InstancePage) error {
	_, err := call[json.RawMessage](ctx, c, request{
		op: "answer with a page", method: http.MethodPost, path: workerPath(workerID, "pages/"+url.PathEscape(run)), body: page, auth: authWorker,
	})
	return err
}

// AnswerCheck answers a CheckEvent; the client's token must be the worker's credential. Status 410 means that nobody waits for it any more.
func (c *Client) AnswerCheck(ctx context.Context, workerID int64, run string, check wire.WorkerCheck) error {
	_, err := call[json.RawMessage](ctx, c, request{
		op: "answer with a check", method: http.MethodPost, path: workerPath(workerID, "checks/"+url.PathEscape(run)), body: check, auth: authWorker,
	})
	return err
}
