package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/base/sdnotify"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/internal/worker"
	"github.com/stackscope/stackscope/internal/worker/flags"
)

type startCmd struct {
	command.Common
	serverFlags
	Web    webconfig.Flags `embed:""`
	Worker flags.Worker    `embed:""`
}

// Help is printed by kong below the usage.
func (*startCmd) Help() string {
	return `Examples:

  stackscope start                                   find the engines of this machine and monitor them
  stackscope start --engine url=http://10.0.0.7:8000 monitor an engine elsewhere, too; repeat the flag for more
  stackscope start --port 9000 --data-dir ./data     another port, another directory
  stackscope start --config-file stackscope.yaml     settings in a file: engines, port, data_dir and every other flag

It prints the address of the console and the command with which workers on other machines join. Root's defaults are port 80 and
/var/lib/stackscope. Other users get port 8080 and ~/.local/state/stackscope where they may not use those. Run it as root to see the processes
of other users.`
}

// Check implements command.Checker.
func (c *startCmd) Check() error {
	_, err := c.Worker.Options(slog.New(slog.DiscardHandler))
	return errors.Join(c.check(c.Web), err)
}

// Run starts a server and a worker that joins it over HTTP, as every other worker does.
func (c *startCmd) Run(e *command.Env) error {
	logger, err := c.Logger(e.Stderr)
	if err != nil {
		return err
	}
	logging.TakeStandard(logger)
	memory.Tune()
	options, err := c.Worker.Options(logger)
	if err != nil {
		return err
	}
	notes := c.settle(command.ThisUser())
	serverOptions := c.options(logger)
	serverOptions.StopTimeout -= worker.LeaveTime
	serverOptions.Settings = e.Settings
	options.Describe(e.Settings)
	serverOptions.WebConfigFile, options.WebConfigFile = c.Web.WebConfigFile, c.Web.WebConfigFile
	srv, err := c.open(e.Context, serverOptions)
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
	g := c.greeting(e.Context, srv)
	g.title, g.notes, g.hasWorker, g.workerAddr = "stackscope: server, and worker of this machine", notes, true, w.Addr()
	g.say(e, c.LogFormat, logger)
	defer e.Manager.Tell(e.Context, sdnotify.Program{
		Alive: func(ctx context.Context) error {
			if err := srv.Alive(ctx); err != nil {
				return fmt.Errorf("server: %w", err)
			}
			if err := w.Alive(ctx); err != nil {
				return fmt.Errorf("worker: %w", err)
			}
			return nil
		},
		Status: srv.Summary, Logger: logger,
	})()
	group, ctx := errgroup.WithContext(e.Context)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group.Go(func() error { return srv.Run(serving) })
	group.Go(func() error { return w.Run(ctx) })
	<-w.Left() // the server must outlive the worker: it stores that the worker stopped
	stop()
	return group.Wait()
}
