package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

type statusCmd struct {
	remote
	Watch    bool          `short:"w" help:"Show it again and again, until Ctrl-C. With --json: a document on each line."`
	Interval time.Duration `help:"Time between two requests of --watch, at least 1s." default:"2s" placeholder:"DURATION"`
	JSON     bool          `help:"Print JSON."`
}

// Help is printed by kong below the usage.
func (*statusCmd) Help() string {
	return `Examples:

  stackscope status                                  the server of this machine
  stackscope status --server-url http://SERVER       another one
  stackscope status --watch                          follow it
  stackscope status --json | jq -r '.instances[] | select(.state != "running") | .name + ": " + .state_message'
                                                     which engines need attention, and why`
}

func (c *statusCmd) Run(e *command.Env) error {
	if c.Watch && c.Interval < time.Second {
		return fmt.Errorf("--interval %s: give at least 1s", c.Interval)
	}
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	if c.Watch {
		w := watch{env: e, interval: c.Interval, json: c.JSON, read: func(ctx context.Context) (serverStatus, error) { return readStatus(ctx, cl) }}
		return w.run()
	}
	status, err := readStatus(e.Context, cl)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.TokenRefused {
		return fmt.Errorf("%w. A health check needs no token with `stackscope healthcheck`", err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(status)
	}
	return status.print(e)
}

// serverStatus is what a server says of itself and its inventory.
type serverStatus struct {
	Version    string `json:"version"`
	Generation int64  `json:"metrics_config_generation"`
	client.Inventory
	// MissingAccess is what workers do not see of their machines, by worker id. It is empty where Prometheus cannot be asked.
	MissingAccess map[int64][]string `json:"missing_access,omitempty"`

	url string
}

func readStatus(ctx context.Context, cl *client.Client) (s serverStatus, err error) {
	version, err := cl.Version(ctx)
	if err != nil {
		return s, err
	}
	inv, err := cl.Inventory(ctx)
	if err != nil {
		return s, err
	}
	config, err := cl.GetConfig(ctx)
	if err != nil {
		return s, err
	}
	return serverStatus{version.Version, config.Generation, inv, cl.MissingAccess(ctx), cl.URL()}, nil
}

func (s *serverStatus) print(e *command.Env) error {
	lines := []string{fmt.Sprintf("server %s at %s, metrics mapping of generation %d", s.Version, s.url, s.Generation)}
	width := terminal.Of(e.Stdout, os.Getenv).Width
	for _, line := range append(lines, versionWarnings(s.Version, s.Workers)...) {
		fmt.Fprintln(e.Stdout, terminal.Clip(line, width))
	}
	return printInventory(e, s.Inventory, s.MissingAccess)
}

func printInventory(e *command.Env, inv client.Inventory, missing map[int64][]string) error {
	models := map[int64]string{}
	for _, m := range inv.Models {
		models[m.ID] = m.Name
	}
	workers := map[int64]string{}
	w := terminal.NewTable(terminal.Of(e.Stdout, os.Getenv))
	fmt.Fprintln(w, "\nWORKER\tSTATE\tMETRICS\tMAPPING\tLAST REPORT\tWHY")
	for _, worker := range inv.Workers {
		workers[worker.ID] = worker.Name
		last := "never"
		if worker.LastReportAt != nil {
			last = time.Since(*worker.LastReportAt).Round(time.Second).String() + " ago"
		}
		scheme := ""
		if worker.MetricsScheme != "" {
			scheme = string(worker.MetricsScheme) + "://"
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s:%d\t%d\t%s\t%s\n", worker.Name, worker.State, scheme, worker.Address, worker.MetricsPort, worker.AppliedGeneration, last, whyOf(&worker, missing[worker.ID]))
	}
	if len(inv.Workers) == 0 {
		fmt.Fprintln(w, "none: start one with `stackscope worker --server-url URL --token-file FILE`")
	}
	// Roles have columns only where an instance has one.
	roles := slices.ContainsFunc(inv.Instances, func(i wire.ModelInstance) bool { return i.Role != "" })
	column := func(text string) string {
		if !roles {
			return ""
		}
		return text + "\t"
	}
	fmt.Fprintf(w, "\nINSTANCE\tMODEL\t%sWORKER\tSTATE\tRUNTIME\tVERSION\tRESTARTS\tWHY\n", column("ROLE\tGROUP"))
	for _, i := range inv.Instances {
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\t%s\t%s\t%d\t%s\n", i.Name, orDash(models[i.ModelID]), column(orDash(string(i.Role))+"\t"+orDash(i.Group)),
			workers[i.WorkerID], i.State, orDash(i.Runtime), orDash(i.RuntimeVersion), i.RestartCount, i.StateMessage)
	}
	if len(inv.Instances) == 0 {
		fmt.Fprintln(w, "none: start an engine on a worker's machine, or declare one with the worker's flag `--engine url=http://HOST:PORT`")
	}
	if roles {
		printRoles(w, inv.Models)
	}
	return w.Flush()
}

// whyOf says what an operator should know of a worker.
func whyOf(w *wire.Worker, missing []string) string {
	if w.StateMessage != "" || len(missing) == 0 {
		return w.StateMessage
	}
	return "does not see all of its machine (" + strings.Join(missing, ", ") + "): stackscope doctor " + w.Name
}

// printRoles prints how many instances of each role run, of those that are known, for the models that have roles.
func printRoles(w io.Writer, models []wire.Model) {
	fmt.Fprintln(w, "\nMODEL\tROLE\tREADY\tDESIRED")
	for _, m := range models {
		for _, r := range m.Roles {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", m.Name, r.Role, r.ReadyInstances, r.DesiredInstances)
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
