package main

import (
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/configfile"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/memory"
	"github.com/stackscope/stackscope/internal/demo"
)

// demoCmd logs less than the other commands by default: what a newcomer should read is the summary.
type demoCmd struct {
	ConfigFile        configfile.Flag `help:"YAML file with the same settings, in snake case: log_level for --log-level." placeholder:"FILE" env:"GPUSTACK_CONFIG_FILE"`
	Host              string          `help:"Address to listen on." default:"127.0.0.1" env:"GPUSTACK_HOST"`
	Port              int             `help:"Port of the API, /prometheus and /grafana." default:"8080" env:"GPUSTACK_PORT"`
	MetricsPort       int             `help:"Port of the server's metrics. If it is in use, a free one is taken." default:"10161" env:"GPUSTACK_METRICS_PORT"`
	WorkerMetricsPort int             `help:"Port of the worker's metrics. If it is in use, a free one is taken." default:"10151" env:"GPUSTACK_WORKER_METRICS_PORT"`
	GrafanaHome       string          `help:"Home directory of the Grafana to run. Default: the one of 'stackscope grafana install', else an installed one." placeholder:"DIR" env:"GPUSTACK_GRAFANA_HOME"`
	GrafanaPort       int             `name:"builtin-grafana-port" help:"Port of Grafana on loopback. If it is in use, a free one is taken." default:"13000" env:"GPUSTACK_BUILTIN_GRAFANA_PORT"`
	NoGrafana         bool            `name:"disable-builtin-grafana" help:"Run without Grafana." env:"GPUSTACK_DISABLE_BUILTIN_GRAFANA"`
	Scenario          string          `help:"What to simulate: engines (four engines behind a gateway) or pd (two prefill/decode groups)." default:"engines" enum:"engines,pd"`
	DataDir           string          `help:"Directory for data. Default: a temporary one that is removed at the end." placeholder:"DIR"`
	Seed              uint64          `help:"Seed of the simulated load. The same seed gives the same load." default:"1"`
	LogLevel          string          `help:"Lowest level to log: debug, info, warn or error." default:"warn" enum:"debug,info,warn,error" env:"GPUSTACK_LOG_LEVEL"`
	LogFormat         string          `help:"Log format: text or json." default:"text" enum:"text,json" env:"GPUSTACK_LOG_FORMAT"`
}

func (c *demoCmd) Run(e *command.Env) error {
	logger, err := logging.New(e.Stderr, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	logging.TakeStandard(logger)
	memory.Tune()
	o := demo.DefaultOptions()
	o.Host, o.Port, o.MetricsPort, o.WorkerMetricsPort = c.Host, c.Port, c.MetricsPort, c.WorkerMetricsPort
	o.GrafanaHome, o.GrafanaSearched, o.GrafanaPort, o.NoGrafana = c.GrafanaHome, grafanaHomes(), c.GrafanaPort, c.NoGrafana
	o.Scenario, o.DataDir, o.Seed, o.Settings, o.Logger, o.Out = c.Scenario, c.DataDir, c.Seed, e.Settings, logger, e.Stdout
	return demo.Run(e.Context, o)
}
