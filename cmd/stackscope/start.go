package main

import (
	"context"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/internal/server"
	"github.com/stackscope/stackscope/internal/worker"
	"github.com/stackscope/stackscope/internal/worker/flags"
)

type startCmd struct {
	command.Common
	serverFlags
	Web    webconfig.Flags `embed:""`
	Worker flags.Worker    `embed:""`
}

// Run starts a server and a worker that joins it over HTTP, as every other worker does.
func (c *startCmd) Run(e *command.Env) error {
	logger, err := c.Logger(e.Stderr)
	if err != nil {
		return err
	}
	memory.Tune()
	options, err := c.Worker.Options(logger)
	if err != nil {
		return err
	}
	serverOptions := c.options(logger)
	serverOptions.StopTimeout -= worker.LeaveTime
	serverOptions.WebConfigFile, options.WebConfigFile = c.Web.WebConfigFile, c.Web.WebConfigFile
	srv, err := server.New(e.Context, serverOptions)
	if err != nil {
		return err
	}
	options.ServerURL, options.Token = srv.URL(), srv.WorkerToken()
	options.HTTPClient = srv.Client()
	options.DataDir = filepath.Join(c.DataDir, "worker")
	w, err := worker.New(e.Context, options)
	if err != nil {
		_ = srv.Close() // the worker's error is returned
		return err
	}
	srv.ScrapeInside(w.Inside)
	group, ctx := errgroup.WithContext(e.Context)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error { return srv.Run(serving) })
	group.Go(func() error { return w.Run(ctx) })
	<-w.Left() // the server must outlive the worker: it stores that the worker stopped
	stop()
	return group.Wait()
}
