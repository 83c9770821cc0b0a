// Command stackscope runs the server, the worker, both in one process, or a demo. It also has the commands that manage workers and
// the metrics mapping.
package main

import (
	"github.com/stackscope/stackscope/internal/base/command"
)

const description = `stackscope monitors GPU clusters that serve large language models. It exports the metrics of machines, GPUs and inference
engines (vLLM, SGLang, MindIE and others) under one set of names, gpustack:*, stores them in an embedded Prometheus and
shows them in its console, a web page. A Grafana can show them, too.

  stackscope demo                       try it on this machine, without GPUs and engines
  stackscope start                      monitor this machine: its GPUs and the engines that run on it
  stackscope server                     run the server alone, for workers on other machines; it prints how they join
  stackscope worker --server-url http://SERVER --token-file worker-token
                                        run a worker; worker-token is a copy of the server's DATA_DIR/worker-token
  stackscope status                     show workers and engines, and why one of them has no metrics
  stackscope doctor                     find where samples are lost, and what to do
  stackscope healthcheck                check that what runs here works, for containers and service managers
  stackscope help COMMAND               explain a command; stackscope --version prints the version

Flags can also be given as environment variables (in brackets in each command's help) and, to commands that have
--config-file, as keys of that file, in snake case. A flag wins over the environment, the environment over the
file, the file over the default.`

type cli struct {
	Start   startCmd   `cmd:"" help:"Run a server and a worker for this machine in one process."`
	Server  serverCmd  `cmd:"" help:"Run a server: console, inventory, service discovery, mapping API, Prometheus and Grafana."`
	Worker  workerCmd  `cmd:"" help:"Run a worker, or manage the workers of a server."`
	Demo    demoCmd    `cmd:"" help:"Run a demo: a server, a worker for this machine, simulated engines under load, and eight simulated GPUs."`
	Mapping mappingCmd `cmd:"" help:"Show, check and change the metrics mapping."`
	Grafana grafanaCmd `cmd:"" help:"Install Grafana, which can show the dashboards beside the console."`
	Status  statusCmd  `cmd:"" help:"Show what a server knows: workers, models, engines, and why one has no metrics."`
	Backup  backupCmd  `cmd:"" help:"Save a running server: inventory, mapping, tokens, samples."`
	Restore restoreCmd `cmd:"" help:"Verify a backup, and put it into a data directory."`
	Doctor  doctorCmd  `cmd:"" help:"Find where samples stop between an engine and a dashboard, and what to do; or pack a file for a bug report."`
	command.Extra
}

func main() { command.Main("stackscope", description, &cli{}) }
