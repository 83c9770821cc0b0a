package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/wire"
)

// errEmptyArgument is for an empty argument, for example from an unset variable of a script.
var errEmptyArgument = errors.New("the id or the name is empty: `stackscope worker list` prints the ids and names")

// pick returns the index of the item whose id or name is arg; -1: there is none. An ambiguous arg is an error.
func pick[T any](arg string, items []T, id func(*T) int64, name, describe func(*T) string) (int, error) {
	if strings.TrimSpace(arg) == "" {
		return -1, errEmptyArgument
	}
	byID := -1
	var byName []int
	number, err := strconv.ParseInt(arg, 10, 64)
	for i := range items {
		switch {
		case err == nil && id(&items[i]) == number && strconv.FormatInt(number, 10) == arg:
			byID = i
		case name(&items[i]) == arg:
			byName = append(byName, i)
		}
	}
	if byID >= 0 && len(byName) == 0 {
		return byID, nil
	}
	if byID >= 0 {
		return -1, fmt.Errorf("%s is the id of %s, and also the name of another: give the name of the first, or the id of the other, which is %s",
			arg, describe(&items[byID]), idsOf(items, byName, id, describe))
	}
	switch len(byName) {
	case 0:
		return -1, nil
	case 1:
		return byName[0], nil
	}
	return -1, fmt.Errorf("%d workers have the name %s: give the id of one of them, which are %s", len(byName), arg, idsOf(items, byName, id, describe))
}

// idsOf lists the ids of the items with their descriptions.
func idsOf[T any](items []T, which []int, id func(*T) int64, describe func(*T) string) string {
	const most = 10
	var texts []string
	for _, i := range which[:min(most, len(which))] {
		texts = append(texts, fmt.Sprintf("%d: %s", id(&items[i]), describe(&items[i])))
	}
	if left := len(which) - most; left > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", left))
	}
	return strings.Join(texts, ", ")
}

func (k *known) worker(arg string) (int, error) {
	return pick(arg, k.workers, func(w *listedWorker) int64 { return w.ID }, func(w *listedWorker) string { return w.Name }, (*listedWorker).String)
}

func (k *known) revokedWorker(arg string) (int, error) {
	return pick(arg, k.revoked, func(w *wire.RevokedWorker) int64 { return w.ID }, func(w *wire.RevokedWorker) string { return w.Name },
		func(w *wire.RevokedWorker) string { return describeRevoked(w) + " removed " + ago(w.RevokedAt) })
}

type workerRemove struct {
	remote
	Worker string `arg:"" help:"Id or name of the worker."`
	Yes    bool   `short:"y" help:"Do not ask for confirmation. Only a terminal is asked, and only about a live worker." key:"-"`
	JSON   bool   `help:"Print JSON."`
}

// Help says what removing means.
func (*workerRemove) Help() string {
	return "The worker and its instances leave the inventory and the scrape targets. Its samples stay.\n\n" +
		"A live worker is revoked: it continues to export its metrics, and the server refuses it until 'stackscope worker allow'. A worker that said that it stops, " +
		"or that has not reported for two and a half minutes, is forgotten. It joins under a new id if it starts again.\n\n" +
		"The server knows a worker by the identity in its data directory. To exclude a machine that you don't trust, replace the join token (DATA_DIR/worker-token), too: " +
		"with that token the machine can join under another identity."
}

func (c *workerRemove) Run(e *command.Env) error {
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	k, err := readWorkers(e, cl)
	if err != nil {
		return err
	}
	i, err := k.worker(c.Worker)
	if err != nil {
		return err
	}
	if i < 0 {
		if i, err := k.revokedWorker(c.Worker); err == nil && i >= 0 {
			return fmt.Errorf("%s was removed %s already, and is revoked until `stackscope worker allow %d`", describeRevoked(&k.revoked[i]), ago(k.revoked[i].RevokedAt), k.revoked[i].ID)
		}
		return fmt.Errorf("no worker has the id or the name %s: `stackscope worker list` prints the ids and names", c.Worker)
	}
	w := &k.workers[i]
	if !c.Yes && maybeAlive(&w.Worker) && atTerminal(e) {
		if err := askToRemove(e, w); err != nil {
			return err
		}
	}
	if err := cl.RemoveWorker(e.Context, w.ID); err != nil {
		return err
	}
	revoked, err := cl.Revoked(e.Context)
	if err != nil && statusOf(err) != http.StatusNotFound {
		return fmt.Errorf("%s is removed; whether it is revoked is not known: %w", w, err)
	}
	isRevoked := slices.ContainsFunc(revoked, func(r wire.RevokedWorker) bool { return r.ID == w.ID })
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(struct {
			ID          int64  `json:"id"`
			Name        string `json:"name"`
			ClusterName string `json:"cluster_name"`
			KeptOut     bool   `json:"kept_out"`
		}{w.ID, w.Name, w.ClusterName, isRevoked})
	}
	next := "It wasn't alive, so it isn't revoked. If it starts again, it joins under a new id."
	switch {
	case isRevoked:
		next = fmt.Sprintf("It is revoked: if it runs, it continues to export its metrics, and this server refuses it until `stackscope worker allow %d`.", w.ID)
	case err != nil:
		next = "This server is older and cannot revoke workers: if the worker runs, it joins again under a new id. Stop it first."
	}
	_, err = fmt.Fprintf(e.Stdout, "%s is removed. Its samples stay.\n%s\n", w, next)
	return err
}

type workerAllow struct {
	remote
	Worker string `arg:"" help:"Id or name that the worker had."`
	JSON   bool   `help:"Print JSON."`
}

// Help says what happens next.
func (*workerAllow) Help() string {
	return "A running worker joins by itself within half a minute, under a new id. Nothing has to be done on its machine."
}

func (c *workerAllow) Run(e *command.Env) error {
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	k, err := readWorkers(e, cl)
	switch {
	case err != nil:
		return err
	case k.hidden != nil:
		return k.hidden
	}
	i, err := k.revokedWorker(c.Worker)
	if err != nil {
		return err
	}
	if i < 0 {
		if i, err := k.worker(c.Worker); err == nil && i >= 0 {
			return fmt.Errorf("%s isn't revoked: it is %s and reported %s", &k.workers[i], k.workers[i].State, lastReport(&k.workers[i].Worker))
		}
		return fmt.Errorf("no revoked worker has the id or the name %s: `stackscope worker list` prints the revoked workers", c.Worker)
	}
	w := &k.revoked[i]
	if err := cl.AllowWorker(e.Context, w.ID); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(w)
	}
	_, err = fmt.Fprintf(e.Stdout, "%s may join again.\nIf it runs, it joins within half a minute, under a new id; `stackscope worker list` shows it.\n", describeRevoked(w))
	return err
}

// maybeAlive reports whether a server with the default grace period would revoke the worker when it is removed.
func maybeAlive(w *wire.Worker) bool {
	const (
		grace   = 150 * time.Second // a server's
		stopped = "worker stopped"  // as it says
	)
	last := w.RegisteredAt
	if w.LastReportAt != nil && w.LastReportAt.After(last) {
		last = *w.LastReportAt
	}
	return w.State == "ready" || w.StateMessage != stopped && time.Since(last) < grace
}

// atTerminal reports whether a question can be asked: both ends are a terminal.
func atTerminal(e *command.Env) bool {
	if !isDevice(e.Stdin) || !isDevice(e.Stderr) {
		return false
	}
	have, err := e.Stdin.(*os.File).Stat()
	null, errNull := os.Stat(os.DevNull)
	return err == nil && errNull == nil && !os.SameFile(have, null)
}

// askToRemove asks for confirmation and returns an error if it is not given.
func askToRemove(e *command.Env, w *listedWorker) error {
	fmt.Fprintf(e.Stderr, "%s is %s and reported %s.\nIt and its instances leave the inventory and the scrape targets, and it is revoked until `stackscope worker allow %d`. Its samples stay.\n",
		w, w.State, lastReport(&w.Worker), w.ID)
	if confirm(e.Context, e.Stdin, e.Stderr, "Remove it? [y/N] ") {
		return nil
	}
	fmt.Fprintln(e.Stderr, "nothing was removed")
	return command.ErrSaid
}

// confirm asks a question and reports whether the answer was yes.
func confirm(ctx context.Context, in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s", question)
	answer := make(chan string, 1)
	go func() { // ends with the process when nobody answers
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false
	case line := <-answer:
		if !strings.HasSuffix(line, "\n") { // the input has ended on the question's line
			fmt.Fprintln(out)
		}
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	}
}
