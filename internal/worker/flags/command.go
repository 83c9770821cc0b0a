package flags

import (
	"errors"
	"log/slog"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/health"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/sdnotify"
	"github.com/stackscope/stackscope/internal/base/webconfig"
	"github.com/stackscope/stackscope/internal/worker"
)

// Command is the command that runs a worker alone, in both programs.
type Command struct {
	command.Common
	Join
	webconfig.WorkerFlags
	Worker Worker `embed:""`
}

// Check implements command.Checker.
func (c *Command) Check() error {
	logger := slog.New(slog.DiscardHandler)
	options, err := c.Worker.Options(logger)
	if err != nil {
		return err
	}
	if err := c.Apply(&options); err != nil {
		return err
	}
	_, err = webconfig.Load(c.WebConfigFile, logger)
	return errors.Join(options.Check(), err)
}

// Run is called by kong.
func (c *Command) Run(e *command.Env) error {
	logger, err := c.Logger(e.Stderr)
	if err != nil {
		return err
	}
	logging.TakeStandard(logger)
	options, err := c.Worker.Options(logger)
	if err != nil {
		return err
	}
	if err := c.Apply(&options); err != nil {
		return err
	}
	options.Describe(e.Settings)
	options.LimitMemory = true
	options.WebConfigFile = c.WebConfigFile
	w, err := worker.New(e.Context, options)
	if err != nil {
		return err
	}
	defer e.Manager.Tell(e.Context, sdnotify.Program{Alive: w.Alive, Status: w.Summary, Logger: logger})()
	return w.Run(e.Context)
}

// Places is called by the health check.
func (c *Command) Places() []health.Place { return c.Worker.Places(c.WebConfigFile) }
