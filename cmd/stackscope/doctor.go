package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

type doctorCmd struct {
	remote
	Subject  string `arg:"" optional:"" help:"Instance, worker, model or metric, by name or id. Default: everything."`
	Instance string `help:"Examine this instance (name or id)." placeholder:"NAME" xor:"subject"`
	Worker   string `help:"Examine this worker (name or id)." placeholder:"NAME" xor:"subject"`
	Model    string `help:"Examine the instances of this model (name or id)." placeholder:"NAME" xor:"subject"`
	Metric   string `help:"Examine where this unified metric is lost; beside another subject, of that one alone." placeholder:"NAME"`
	JSON     bool   `help:"Print JSON."`
	Bundle   string `help:"Write what a maintainer needs to this new file, a tar.gz: versions, settings without secrets, findings, mapping, metrics, log lines. Names are hashed. It needs the admin token." placeholder:"FILE"`
}

// Help is printed by kong below the usage.
func (*doctorCmd) Help() string {
	return `It follows the samples from an engine to a dashboard and names the first place where they stop, with what to do.

  stackscope doctor                                  what is wrong anywhere
  stackscope doctor llama-0                          why an instance has no metrics; also: a worker, a model, a metric
  stackscope doctor --metric gpustack:time_to_first_token_seconds
                                                     why a metric has no samples
  stackscope doctor --worker gpu-3 --server-url http://SERVER --token-file admin-token
                                                     a worker of another machine's server
  stackscope doctor --json | jq -r '.findings[] | .id + ": " + .do'
                                                     for scripts
  stackscope doctor --bundle bundle.tar.gz           a file for a bug report; look at it before you send it

Marks: ok; ! works, and something is to be done; x broken, the first one has > before it; ? could not be seen.
Exit codes: 0 nothing is broken, warnings included; 1 the server could not be asked; 3 something is broken.`
}

// codeBroken is the exit code when something is broken. 1 says that the doctor itself failed.
const codeBroken = 3

func (c *doctorCmd) query() client.DoctorQuery {
	return client.DoctorQuery{Subject: c.Subject, Instance: c.Instance, Worker: c.Worker, Model: c.Model, Metric: c.Metric}
}

func (c *doctorCmd) Run(e *command.Env) error {
	query := c.query()
	named := cmp.Or(c.Instance, c.Worker, c.Model)
	switch {
	case c.Subject != "" && named != "":
		return fmt.Errorf("%s and %s are both given: name one subject", c.Subject, named)
	case c.Bundle != "" && query != (client.DoctorQuery{}):
		return errors.New("--bundle is about everything: leave out the subject")
	case c.Bundle != "" && c.JSON:
		return errors.New("--bundle prints no JSON: leave out --json")
	}
	local := c.ServerURL == ""
	cl, err := c.client(e)
	if local && c.ServerURL == "" && err != nil { // nothing listens on either port
		cl, err = client.New(client.Options{BaseURL: "http://127.0.0.1:8080"})
		if err != nil {
			return err
		}
		return c.unreachable(e, cl, true)
	}
	if err != nil {
		return err
	}
	if c.Bundle != "" {
		err = writeBundle(e, cl, c.Bundle)
	} else {
		err = c.examine(e, cl, query)
	}
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == 0 && e.Context.Err() == nil {
		fmt.Fprintf(e.Stderr, "stackscope: error: %v\n", err)
		return c.unreachable(e, cl, local)
	}
	return err
}

func (c *doctorCmd) examine(e *command.Env, cl *client.Client, query client.DoctorQuery) error {
	d, err := cl.Doctor(e.Context, query)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(e.Stdout).Encode(d)
	} else {
		err = printDoctor(terminal.Of(e.Stdout, os.Getenv), &d)
	}
	if err == nil && hasErrors(&d) {
		err = &command.CodeError{Code: codeBroken, Err: command.ErrSaid}
	}
	return err
}

// hasErrors reports whether there is a finding of severity error.
func hasErrors(d *wire.Doctor) bool {
	for i := range d.Findings {
		if d.Findings[i].Severity == wire.FindingError {
			return true
		}
	}
	return false
}

// reach is what is found where the server cannot be asked.
type reach struct {
	Server string           `json:"server"`
	Steps  []wire.DoctorHop `json:"steps"`
	Do     string           `json:"do"`
	Worker *localWorker     `json:"local_worker,omitempty"`
}

// unreachable says how far a request to the server comes, and what a worker on this machine says.
func (c *doctorCmd) unreachable(e *command.Env, cl *client.Client, local bool) error {
	r := reach{Server: cl.URL()}
	r.Steps, r.Do = cl.Reach(e.Context)
	switch {
	case local && r.Do != "":
		r.Do = "no server listens on port 80 or 8080 of this machine: start one with `stackscope start`, or name yours with --server-url http://HOST[:PORT], with TLS https://HOST[:PORT]"
	case r.Do == "":
		r.Do = "every step works now: try it again; if it happens often, a proxy or a firewall on the way cuts connections"
	}
	r.Worker = readLocalWorker(e.Context, os.Getenv)
	var err error
	if c.JSON {
		err = json.NewEncoder(e.Stdout).Encode(r)
	} else {
		err = printReach(terminal.Of(e.Stdout, os.Getenv), &r)
	}
	return errors.Join(err, command.ErrSaid)
}

// The metrics port of a worker on this machine, and the variable that names another one.
const (
	workerMetricsPort    = "10151"
	workerMetricsPortEnv = "GPUSTACK_WORKER_METRICS_PORT"
)

// readLocalWorker reads the page of a worker on this machine; nil: none answers.
func readLocalWorker(ctx context.Context, getenv func(string) string) *localWorker {
	return readWorkerPage(ctx, http.DefaultClient, "http://127.0.0.1:"+cmp.Or(getenv(workerMetricsPortEnv), workerMetricsPort)+"/metrics")
}
