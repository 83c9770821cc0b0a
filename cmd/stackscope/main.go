// Command stackscope watches a fleet that serves large language models: the server, the worker, both in one process, a
// demo, and the commands to look at and change the metrics mapping.
package main

import (
	"github.com/stackscope/stackscope/internal/base/command"
)

const description = `stackscope watches a fleet that serves large language models: the machines, and the inference engines
(vLLM, SGLang, MindIE) in one vocabulary, gpustack:*, kept in an embedded Prometheus and shown in an
embedded Grafana.

  stackscope demo                       see what it looks like, within a minute, without a GPU
  stackscope start --engine url=http://127.0.0.1:8000
                                        watch this machine and an engine on it
  stackscope server                     the server alone; workers join with DATA_DIR/worker-token
  stackscope worker --server-url http://SERVER --token-file FILE --engine url=http://127.0.0.1:8000
  stackscope worker list                a server's workers; remove and allow take one out and let it in again

Flags can also be given as environment variables (in brackets in each command's help) and, to commands that have
--config-file, as keys of that file, in snake case. A flag wins over the environment, the environment over the
file, the file over the default.`

type cli struct {
	Start   startCmd   `cmd:"" help:"Server and worker of this machine in one process."`
	Server  serverCmd  `cmd:"" help:"The server: inventory, metrics, service discovery, mapping API, Prometheus, Grafana."`
	Worker  workerCmd  `cmd:"" help:"The worker, and a server's workers."`
	Demo    demoCmd    `cmd:"" help:"A server, a worker of this machine, four simulated engines behind a simulated gateway, and eight simulated cards."`
	Mapping mappingCmd `cmd:"" help:"Look at, check and change the metrics mapping."`
	Grafana grafanaCmd `cmd:"" help:"Install a Grafana for the dashboards."`
	Status  statusCmd  `cmd:"" help:"What a server knows: workers, models, instances."`
	Version versionCmd `cmd:"" help:"Say which build this is."`
}

func main() { command.Main("stackscope", description, &cli{}) }
