// Command stackscope runs the server, the worker, both in one process, or a demo. It also has the commands that manage workers and
// the metrics mapping.
package main

import (
	"github.com/stackscope/stackscope/internal/base/command"
)

const description = `stackscope monitors GPU clusters that serve large language models. It exports the metrics of machines, GPUs and inference
engines (vLLM, SGLang, MindIE and others) under one set of names, gpustack:*, stores them in an embedded Prometheus and
shows them in Grafana.

  stackscope demo                       run a demo on this machine, without GPUs
  stackscope start --engine url=http://127.0.0.1:8000
                                        monitor this machine and an engine on it
  stackscope server                     run the server alone; workers join with DATA_DIR/worker-token
  stackscope worker --server-url http://SERVER --token-file FILE --engine url=http://127.0.0.1:8000
                                        run a worker; FILE is a copy of DATA_DIR/worker-token there
  stackscope worker list                list a server's workers; see also worker remove and worker allow

Flags can also be given as environment variables (in brackets in each command's help) and, to commands that have
--config-file, as keys of that file, in snake case. A flag wins over the environment, the environment over the
file, the file over the default.`

type cli struct {
	Start   startCmd   `cmd:"" help:"Run a server and a worker for this machine in one process."`
	Server  serverCmd  `cmd:"" help:"Run a server: inventory, metrics, service discovery, mapping API, Prometheus and Grafana."`
	Worker  workerCmd  `cmd:"" help:"Run a worker, or manage the workers of a server."`
	Demo    demoCmd    `cmd:"" help:"Run a demo: a server, a worker for this machine, simulated engines under load, and eight simulated GPUs."`
	Mapping mappingCmd `cmd:"" help:"Show, check and change the metrics mapping."`
	Grafana grafanaCmd `cmd:"" help:"Install Grafana for the dashboards."`
	Status  statusCmd  `cmd:"" help:"Show what a server knows: workers, models, instances."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() { command.Main("stackscope", description, &cli{}) }
