package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// backupPrepared is how long a server may take to copy what a backup holds, before it sends anything.
	backupPrepared = 30 * time.Minute
	// backupPause is how long it may send nothing.
	backupPause = 2 * time.Minute
)

// ErrNotWhole says that an answer ended early.
var ErrNotWhole = errors.New("the connection ended before the backup did; the server's log says why")

// Backup asks the server for a backup, with or without samples, and gives its archive to read, with the size that the server has announced,
// 0 if a proxy has removed it. The client's token must be the admin token. The archive is not verified: a backup is whole if read says so.
// Of an *Error, status 409 means that another backup is being made, and 507 that the server's disk has no room.
func (c *Client) Backup(ctx context.Context, samples bool, read func(archive io.Reader, bytes int64) error) error {
	r := request{op: "back up", method: http.MethodPost, path: "/v2/backup", query: url.Values{"samples": {strconv.FormatBool(samples)}}, auth: authAdmin}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return c.readFile(ctx, r, backupPrepared, "application/x-tar", "backup", func(resp *http.Response) error {
		pause := time.AfterFunc(backupPause, func() { cancel(fmt.Errorf("it sent nothing for %s", backupPause)) })
		defer pause.Stop()
		body := &backupBody{resp.Body, pause, nil}
		err := read(body, max(0, resp.ContentLength))
		switch {
		case body.err != nil && ctx.Err() == nil:
			return &Error{Op: r.op, URL: c.URL(), Detail: fmt.Sprintf("%v (%v)", ErrNotWhole, body.err), Err: ErrNotWhole}
		case body.err != nil:
			return c.transportError(ctx, r, body.err)
		}
		return err
	})
}

// backupBody keeps the error of the connection, and bounds the wait for each piece.
type backupBody struct {
	io.Reader
	pause *time.Timer
	err   error // other than the end
}

func (b *backupBody) Read(p []byte) (n int, err error) {
	b.pause.Reset(backupPause)
	n, err = b.Reader.Read(p)
	b.pause.Stop() // whoever reads may take their time
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
