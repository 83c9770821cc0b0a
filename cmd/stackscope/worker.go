package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/internal/worker/flags"
)

// workerCmd runs a worker, as in GPUStack, unless a subcommand follows.
type workerCmd struct {
	Run    workerRun    `cmd:"" default:"withargs" help:"Run a worker: export this machine, its GPUs and its engines. This is the default: 'stackscope worker' does the same."`
	List   workerList   `cmd:"" help:"List the workers of a server, and the revoked ones."`
	Remove workerRemove `cmd:"" help:"Remove a worker from a server's inventory and scrape targets. A live worker is revoked: the server refuses it from then on."`
	Allow  workerAllow  `cmd:"" help:"Allow a revoked worker to join again."`
}

// Help says how to list the flags.
func (*workerCmd) Help() string {
	return "'stackscope worker' alone runs a worker. 'stackscope worker run --help' lists the flags of the worker.\n\n" + workerExamples
}

const workerExamples = `Examples:

  stackscope worker --server-url http://SERVER --token-file worker-token
                                                     join a server; worker-token is a copy of its DATA_DIR/worker-token
  stackscope worker --engine url=http://127.0.0.1:8000
                                                     no server: metrics on port 10151 alone
  stackscope worker list                             a server's workers`

// workerRun is the worker's own command, with examples.
type workerRun struct{ flags.Command }

// Help is printed by kong below the usage.
func (*workerRun) Help() string { return workerExamples }

// stateRevoked is shown beside the states of workers that are in the inventory.
const stateRevoked = "revoked"

// known are a server's workers.
type known struct {
	workers []listedWorker
	revoked []wire.RevokedWorker // nil: the server does not show them
	hidden  error                // why it does not
}

type listedWorker struct {
	wire.Worker
	ClusterName string `json:"cluster_name"`
}

func (w *listedWorker) String() string {
	return fmt.Sprintf("worker %s (id %d, cluster %s, %s)", w.Name, w.ID, w.ClusterName, metricsAt(&w.Worker))
}

func describeRevoked(w *wire.RevokedWorker) string {
	return fmt.Sprintf("worker %s (id %d, cluster %s, %s)", w.Name, w.ID, w.ClusterName, w.Address)
}

// metricsAt is where a worker is scraped.
func metricsAt(w *wire.Worker) string {
	if w.MetricsPort == 0 {
		return w.Address
	}
	return net.JoinHostPort(w.Address, strconv.Itoa(w.MetricsPort))
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Status
	}
	return 0
}

// readWorkers requests both lists from a server. Only admins may read the revoked workers.
func readWorkers(e *command.Env, cl *client.Client) (k known, err error) {
	clusters, err := cl.Clusters(e.Context)
	if err != nil {
		return k, err
	}
	workers, err := cl.Workers(e.Context)
	if err != nil {
		return k, err
	}
	names := map[int64]string{}
	for _, c := range clusters {
		names[c.ID] = c.Name
	}
	k.workers = make([]listedWorker, len(workers))
	for i, w := range workers {
		k.workers[i] = listedWorker{w, names[w.ClusterID]}
	}
	slices.SortFunc(k.workers, func(a, b listedWorker) int {
		return cmp.Or(cmp.Compare(a.ClusterName, b.ClusterName), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	revoked, err := cl.Revoked(e.Context)
	refused, _ := errors.AsType[*client.Error](err)
	switch {
	case refused == nil:
	case refused.Status == http.StatusNotFound:
		k.hidden = fmt.Errorf("the server at %s is older and cannot revoke workers", cl.URL())
		return k, nil
	case refused.TokenRefused, refused.Status == http.StatusForbidden: // the former with 429, too, after many wrong ones
		k.hidden = err
		return k, nil
	}
	k.revoked = append([]wire.RevokedWorker{}, revoked...)
	slices.SortFunc(k.revoked, func(a, b wire.RevokedWorker) int {
		return cmp.Or(cmp.Compare(a.ClusterName, b.ClusterName), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return k, err
}

type workerList struct {
	remote
	JSON bool `help:"Print JSON: an object with workers, and with revoked_workers for admins."`
}

func (c *workerList) Run(e *command.Env) error {
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	k, err := readWorkers(e, cl)
	if err != nil {
		return err
	}
	switch {
	case statusOf(k.hidden) != 0 && c.Token.Source(c.TokenFile) == "":
		fmt.Fprintln(e.Stderr, "warning: revoked workers are not shown: only admins see them; give a copy of admin-token in the server's data directory with --token-file, or ask as the server's own user on its own machine")
	case statusOf(k.hidden) != 0:
		fmt.Fprintln(e.Stderr, "warning: revoked workers are not shown:", k.hidden)
	case k.hidden != nil:
		fmt.Fprintln(e.Stderr, "warning:", k.hidden)
	}
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(struct {
			Workers []listedWorker       `json:"workers"`
			Revoked []wire.RevokedWorker `json:"revoked_workers,omitzero"`
		}{k.workers, k.revoked})
	}
	return printWorkers(e, &k)
}

func printWorkers(e *command.Env, k *known) error {
	w := terminal.NewTable(terminal.Of(e.Stdout, os.Getenv))
	fmt.Fprintln(w, "ID\tWORKER\tCLUSTER\tSTATE\tMETRICS\tVERSION\tLAST REPORT\tWHY")
	for i := range k.workers {
		it := &k.workers[i]
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", it.ID, it.Name, it.ClusterName, it.State, metricsAt(&it.Worker), orDash(it.Version), lastReport(&it.Worker), it.StateMessage)
	}
	for i := range k.revoked {
		it := &k.revoked[i]
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t-\t-\tremoved %s\n", it.ID, it.Name, it.ClusterName, stateRevoked, it.Address, ago(it.RevokedAt))
	}
	if len(k.workers)+len(k.revoked) == 0 {
		fmt.Fprintln(w, "none has joined: start one with `stackscope worker --server-url URL --token-file FILE`")
	}
	if len(k.revoked) > 0 {
		fmt.Fprintln(w, "\nrevoked: it was removed, and the server refuses it until `stackscope worker allow ID`")
	}
	return w.Flush()
}

func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() + " ago" }

func lastReport(w *wire.Worker) string {
	if w.LastReportAt == nil {
		return "never"
	}
	return ago(*w.LastReportAt)
}
