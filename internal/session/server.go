package session

import (
	"context"
	"errors"
	"net/http"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

// Server is the API of the server as a worker uses it. Its errors are *client.Error: a status of 0 says that there was no answer.
type Server interface {
	URL() string
	// Register is authorised by the join token, every other method by the credential that it returns.
	Register(ctx context.Context, joinToken string, req wire.RegisterRequest) (wire.RegisterResponse, error)
	Report(ctx context.Context, m Membership, req wire.ReportRequest) (wire.ReportResponse, error)
	// Watch follows the mapping from the one after generation on. It returns when the stream ends.
	Watch(ctx context.Context, m Membership, generation int64, handle client.Events) error
	AnswerDryRun(ctx context.Context, m Membership, run string, result wire.DryRunResult) error
	AnswerPage(ctx context.Context, m Membership, run string, page wire.InstancePage) error
	AnswerCheck(ctx context.Context, m Membership, run string, check wire.WorkerCheck) error
}

// Membership is what a registration gave the worker.
type Membership struct {
	WorkerID   int64
	Credential string
}

// OverHTTP returns the server at the other end of c.
func OverHTTP(c *client.Client) Server { return overHTTP{c} }

type overHTTP struct{ client *client.Client }

func (s overHTTP) URL() string { return s.client.URL() }

func (s overHTTP) Register(ctx context.Context, joinToken string, req wire.RegisterRequest) (wire.RegisterResponse, error) {
	return s.client.WithToken(joinToken).Register(ctx, req)
}

func (s overHTTP) Report(ctx context.Context, m Membership, req wire.ReportRequest) (wire.ReportResponse, error) {
	return s.client.WithToken(m.Credential).Report(ctx, m.WorkerID, req)
}

func (s overHTTP) Watch(ctx context.Context, m Membership, generation int64, handle client.Events) error {
	return s.client.WithToken(m.Credential).Watch(ctx, m.WorkerID, generation, handle)
}

func (s overHTTP) AnswerDryRun(ctx context.Context, m Membership, run string, result wire.DryRunResult) error {
	return s.client.WithToken(m.Credential).AnswerDryRun(ctx, m.WorkerID, run, result)
}

func (s overHTTP) AnswerPage(ctx context.Context, m Membership, run string, page wire.InstancePage) error {
	return s.client.WithToken(m.Credential).AnswerPage(ctx, m.WorkerID, run, page)
}

func (s overHTTP) AnswerCheck(ctx context.Context, m Membership, run string, check wire.WorkerCheck) error {
	return s.client.WithToken(m.Credential).AnswerCheck(ctx, m.WorkerID, run, check)
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Status
	}
	return 0
}

// tokenRefused reports whether the server says that the token, or the credential, is wrong.
func tokenRefused(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.TokenRefused
}

// unknownToServer reports whether the server does not know the worker any more. A server that lost its database refuses all credentials; if
// many workers share an address, it answers most of them with 429.
func unknownToServer(err error) bool {
	return tokenRefused(err) || statusOf(err) == http.StatusNotFound
}

// takenByAnother reports whether a registration was refused because of another worker, which may end.
func takenByAnother(err error) bool { return statusOf(err) == http.StatusConflict }
