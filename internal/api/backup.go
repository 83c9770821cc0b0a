package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/backup"
)

// The copies of a backup take room until it is sent: a client must read it within backupTime and the time that it takes at backupRate bytes a
// second.
const (
	backupTime = 10 * time.Minute
	backupRate = 256 << 10
)

// backups lets one backup be made at a time.
type backups struct {
	mu      sync.Mutex
	current *runningBackup
}

// runningBackup is what others are told about it.
type runningBackup struct {
	by    string
	since time.Time
	total atomic.Int64 // 0: it is being prepared
	sent  atomic.Int64
}

func (r *runningBackup) Error() string {
	s := fmt.Sprintf("a backup for the %s is being made since %s", r.by, r.since.UTC().Format(time.RFC3339))
	if total := r.total.Load(); total > 0 {
		s += fmt.Sprintf(" and has sent %d of %d MiB", r.sent.Load()>>20, total>>20)
	}
	return s + "; try again when it has ended"
}

// begin takes the place of the one backup, or returns the one that has it.
func (b *backups) begin(by string) (mine, others *runningBackup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil {
		return nil, b.current
	}
	b.current = &runningBackup{by: by, since: time.Now()}
	return b.current, nil
}

func (b *backups) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = nil
}

// Write counts what is sent.
func (r *runningBackup) Write(p []byte) (int, error) {
	r.sent.Add(int64(len(p)))
	return len(p), nil
}

func (a *API) registerBackup(h huma.API, tag string) {
	register(a, h, route{
		id: "make-backup", method: "POST", path: "/v2/backup", access: admin, tag: tag,
		summary: "Back the server up, as a tar archive",
		description: "The archive holds the database, the tokens, what a worker in this process keeps, Grafana's database, and with samples the blocks of the embedded Prometheus. " +
			"manifest.json, its first file, says what is in it; SHA256SUMS, its last one, has the digests. Without it, or with fewer bytes than Content-Length says, the backup is not whole. " +
			"It holds secrets. 409 says that another one is being made, 507 that the disk has no room for what is needed meanwhile. A client must read 256 KiB/s on average, with 10 minutes on top.",
		errors: []int{http.StatusConflict, http.StatusServiceUnavailable, http.StatusInsufficientStorage},
		answer: &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{backup.MediaType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
	}, a.backup)
}

type backupInput struct {
	Samples bool `query:"samples" default:"true" doc:"Whether the samples of the embedded Prometheus are in it"`
}

func (a *API) backup(ctx context.Context, in *backupInput) (*huma.StreamResponse, error) {
	if a.opts.Backup == nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "this server makes no backups"}
	}
	by := adminOf(ctx)
	mine, others := a.backups.begin(by)
	if others != nil {
		return nil, &Problem{Status: http.StatusConflict, Detail: others.Error()}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-a.stopping:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	streams := false // then the end of the stream is the backup's
	defer func() {
		if !streams {
			cancel(nil)
			a.backups.end()
		}
	}()
	archive, remove, err := a.opts.Backup(ctx, in.Samples)
	if err != nil {
		return nil, a.backupProblem(ctx, err)
	}
	streams = true
	mine.total.Store(archive.Bytes())
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		log := a.logger.With("for", by, "address", host, "samples", archive.Manifest().Samples.Included, "bytes", archive.Bytes())
		defer a.backups.end()
		defer func() {
			if err := remove(); err != nil {
				log.Warn("what a backup needed while it was made could not be removed; the next start of the server tries it again", "error", err)
			}
		}()
		defer cancel(nil)
		limit := backupTime + time.Duration(archive.Bytes()/backupRate)*time.Second
		ctx, expire := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the client has not read it within %s", limit.Round(time.Second)))
		defer expire()
		w.Header().Set("Content-Type", backup.MediaType)
		w.Header().Set("Content-Length", strconv.FormatInt(archive.Bytes(), 10))
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Disposition", `attachment; filename="`+backup.FileName(archive.Manifest().CreatedAt)+`"`)
		w.WriteHeader(http.StatusOK)
		if err := archive.Write(ctx, io.MultiWriter(w, mine)); err != nil {
			log.Warn("backup not delivered", "sent", mine.sent.Load(), "error", err)
			panic(http.ErrAbortHandler) // a closed connection says that it is not whole
		}
		log.Info("backup delivered", "duration", time.Since(mine.since).Round(time.Millisecond))
	}}, nil
}

func (a *API) backupProblem(ctx context.Context, err error) error {
	p := &Problem{Status: http.StatusInternalServerError, Detail: "no backup was made: " + err.Error()}
	switch {
	case ctx.Err() != nil:
		p.Status, p.Detail = http.StatusServiceUnavailable, context.Cause(ctx).Error()
	case errors.Is(err, backup.ErrNoSpace):
		p.Status = http.StatusInsufficientStorage
	case errors.Is(err, backup.ErrUnavailable):
		p.Status = http.StatusServiceUnavailable
	}
	a.logger.Warn("no backup was made", "error", err)
	return p
}
