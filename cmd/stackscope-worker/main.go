// Command stackscope-worker is the worker alone, for GPU nodes. It does the same as `stackscope worker run`, without the code of the
// server and of Prometheus.
package main

import (
	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/worker/flags"
)

const description = `stackscope-worker exports the metrics of this machine, its GPUs and its inference engines (vLLM, SGLang, MindIE and
others) under one set of names, gpustack:*.

  stackscope-worker --engine url=http://127.0.0.1:8000
                        run without a server; metrics on port 10151
  stackscope-worker --server-url http://SERVER --token-file FILE --engine url=http://127.0.0.1:8000
                        join a server; FILE is a copy of DATA_DIR/worker-token there
  stackscope-worker healthcheck
                        check that the worker that runs here works; --url asks one elsewhere
  stackscope-worker completion bash
                        print a script that completes flags in bash, zsh or fish; also: config, help, version

It keeps its identity in /var/lib/stackscope, or in ~/.local/state/stackscope for a user who cannot write there.

Every flag can also be given as an environment variable (in brackets below) or as a key of --config-file, in snake case.
A flag wins over the environment, the environment over the file, the file over the default.`

type cli struct {
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version and exit." key:"-"`
	flags.Command
}

func main() { command.Main("stackscope-worker", description, &cli{}) }
