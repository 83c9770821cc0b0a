package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/wire"
)

const (
	// doctorTime is how long a server examines a subject at most, with some time on top.
	doctorTime = 20 * time.Second
	// doctorTries is how often a server that is busy with other examinations is asked.
	doctorTries = 4
	// bundleTime is how long a server makes a bundle at most, with some time on top.
	bundleTime = 90 * time.Second
	// maxBundleBytes bounds a bundle.
	maxBundleBytes = 65 << 20
)

// DoctorQuery is what to examine. Without a field: the fleet. Subject is resolved by the server, in the order of the other fields.
type DoctorQuery struct {
	Subject, Instance, Worker, Model, Metric string
}

func (q DoctorQuery) values() url.Values {
	values := url.Values{}
	for _, p := range []struct{ name, value string }{
		{"subject", q.Subject}, {"instance", q.Instance}, {"worker", q.Worker}, {"model", q.Model}, {"metric", q.Metric},
	} {
		if p.value != "" {
			values.Set(p.name, p.value)
		}
	}
	return values
}

// Doctor asks where samples stop between an engine and a dashboard. It waits and asks again while the server is busy with other
// examinations. Of an *Error, status 404 means that there is no such subject, 409 that several have that name; its Detail names them.
func (c *Client) Doctor(ctx context.Context, q DoctorQuery) (wire.Doctor, error) {
	r := request{op: "examine", method: http.MethodGet, path: "/v2/doctor", query: q.values(), timeout: doctorTime, auth: authAdmin}
	d, err := Again(ctx, doctorTries, doctorTime, func() (wire.Doctor, error) { return call[wire.Doctor](ctx, c, r) })
	if e, ok := errors.AsType[*Error](err); ok {
		return d, olderWithout(e, "doctor")
	}
	return d, err
}

// olderWithout explains an answer that says that there is no such route.
func olderWithout(e *Error, what string) error {
	if e.Status == http.StatusNotFound && strings.HasPrefix(e.Detail, "this path does not exist") {
		e.Detail, e.Hint = "the server is older and has no "+what, "update it"
	}
	return e
}

// DoctorBundle writes the bundle of the server, a tar.gz, to w; the client's token must be the admin token. After an error, what was written
// is not whole. Of an *Error, status 503 means that another bundle is being made.
func (c *Client) DoctorBundle(ctx context.Context, w io.Writer) error {
	r := request{op: "make a bundle", method: http.MethodGet, path: "/v2/doctor/bundle", auth: authAdmin}
	ctx, cancel := context.WithTimeoutCause(ctx, bundleTime, fmt.Errorf("no whole answer within %s", bundleTime))
	defer cancel()
	return c.readFile(ctx, r, bundleTime, "application/gzip", "bundle", func(resp *http.Response) error {
		n, err := io.Copy(w, io.LimitReader(resp.Body, maxBundleBytes+1))
		switch {
		case n > maxBundleBytes:
			return c.notOurs(r, resp, fmt.Sprintf("its answer is larger than %d MiB", maxBundleBytes>>20))
		case errors.Is(err, io.ErrUnexpectedEOF):
			return &Error{Op: r.op, URL: c.URL(), Detail: "the connection ended before the bundle did; the server's log says why", Err: err}
		case err != nil:
			return c.transportError(ctx, r, err)
		}
		return nil
	})
}
