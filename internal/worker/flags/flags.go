// Package flags has the flags of every command that runs a worker, and the command of a worker alone, for both programs.
package flags

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/health"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu/vendors"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/worker"
)

// Worker are the flags of every command that runs a worker, with their kong tags. Names, environment variables and defaults
// are GPUStack's where it has them.
type Worker struct {
	Engine []string `name:"engine" help:"Engine to monitor. Repeat the flag for each engine: url=http://127.0.0.1:8000[,model=NAME][,instance=NAME][,runtime=vLLM][,version=0.11.0][,path=/metrics][,role=prefill][,group=NAME][,connector=NixlConnector]. Omitted values are detected. Roles are prefill, decode and router. Key in files: engines." placeholder:"KEY=VALUE,..." sep:"none" key:"engines" env:"GPUSTACK_ENGINES" example:"[{url: 'http://127.0.0.1:8000', model: qwen3-32b}]" file:"Engines to monitor besides those that are discovered. Only url is required; model, instance, runtime, version, path, role, group and connector are detected where they are missing. Roles are prefill, decode and router." group:"Worker"`

	WorkerName           string            `help:"Name of this worker. Default: the host name." placeholder:"NAME" env:"GPUSTACK_WORKER_NAME" example:"gpu-7" group:"Worker"`
	WorkerIP             string            `name:"worker-ip" help:"Address at which the server scrapes this worker. Default: the local address of the connection to the server." placeholder:"ADDRESS" env:"GPUSTACK_WORKER_IP" example:"192.0.2.7" group:"Worker"`
	WorkerLabels         map[string]string `name:"worker-label" help:"Label of this worker, exported on gpustack:worker_info, for example rack=a12. Repeat the flag for each label. Key in files: worker_labels." placeholder:"KEY=VALUE" mapsep:"," key:"worker_labels" env:"GPUSTACK_WORKER_LABELS" example:"{rack: a12}" file:"Labels of this worker, exported on gpustack:worker_info." group:"Worker"`
	Cluster              string            `help:"Cluster to join. Default: the cluster named default." placeholder:"NAME" env:"GPUSTACK_CLUSTER" example:"default" group:"Worker"`
	WorkerMetricsHost    string            `help:"Address to serve the worker's metrics on." default:"0.0.0.0" placeholder:"ADDRESS" env:"GPUSTACK_WORKER_METRICS_HOST" group:"Worker"`
	WorkerMetricsPort    int               `help:"Port to serve the worker's metrics on." default:"10151" env:"GPUSTACK_WORKER_METRICS_PORT" group:"Worker"`
	DisableWorkerMetrics bool              `help:"Do not serve the worker's metrics." env:"GPUSTACK_DISABLE_WORKER_METRICS" group:"Worker"`
	HostRoot             string            `help:"Mount point of the machine's root file system, for example /host in a container." default:"/" placeholder:"DIR" env:"GPUSTACK_HOST_ROOT" group:"Worker"`
	HostInterval         time.Duration     `help:"Time between two samples of the machine: CPU, memory, disks, networks." default:"5s" placeholder:"DURATION" env:"GPUSTACK_HOST_INTERVAL" group:"Worker"`

	Discover           []string      `help:"Where to look for engines: process, docker. none: only declared engines." default:"process,docker" placeholder:"SOURCE,..." env:"GPUSTACK_DISCOVER" group:"Worker"`
	DockerHost         string        `help:"Address of the container daemon. Default: unix:///var/run/docker.sock." placeholder:"URL" env:"GPUSTACK_DOCKER_HOST,DOCKER_HOST" example:"unix:///var/run/docker.sock" group:"Worker"`
	EngineRetention    time.Duration `help:"How long a discovered engine stays in the inventory after it ended." default:"5m" placeholder:"DURATION" env:"GPUSTACK_ENGINE_RETENTION" group:"Worker"`
	StallAfter         time.Duration `help:"An engine that has work and makes no progress for this time is stalled. 0: no stall detection." default:"2m" placeholder:"DURATION" env:"GPUSTACK_STALL_AFTER" group:"Worker"`
	MaxSeriesPerEngine *int          `help:"Most unified series of an engine. Series beyond that are dropped and counted in gpustack:runtime_dropped_samples_total." default:"50000" placeholder:"N" env:"GPUSTACK_MAX_SERIES_PER_ENGINE" group:"Worker"`
	MaxNewSeries       *int          `name:"max-new-series-per-engine" help:"Most new series of an engine per hour, in unified metrics and separately in /metrics/raw. Beyond that known series continue, metrics without churn stay whole, and other new series are dropped and counted. 0: no limit. Default: 50000, or twice --max-series-per-engine if that is above 50000. Gateways may always have twice --max-series-per-engine, because their users appear all at once." placeholder:"N" env:"GPUSTACK_MAX_NEW_SERIES_PER_ENGINE" example:"50000" group:"Worker"`
	UserLimit          *int          `help:"How many users of each gateway get series of their own. All others are added up as user other. 0: all users are added up." default:"1000" placeholder:"N" env:"GPUSTACK_USER_LIMIT" group:"Worker"`
	HashUsers          bool          `help:"Export hashes instead of users' names, and omit gateways from /metrics/raw." env:"GPUSTACK_HASH_USERS" group:"Worker"`
	UserHashKeyFile    string        `help:"File with the secret for --hash-users. Workers with the same secret export the same hashes. Default: DATA_DIR/user-hash-key, which is created." placeholder:"FILE" env:"GPUSTACK_USER_HASH_KEY_FILE" example:"''" group:"Worker"`
	LargePagesMemory   int           `help:"Memory in MiB that metrics pages above 1 MiB, and the results made of them, may use together. What does not fit is dropped and counted." default:"28" placeholder:"MIB" env:"GPUSTACK_LARGE_PAGES_MEMORY" group:"Worker"`
	GPUVendors         []string      `name:"gpu-vendors" help:"Vendors whose GPUs are read: nvidia, amd, ascend, intel, hygon, metax, mthreads, iluvatar, cambricon, thead. none: no GPUs. Default: all." placeholder:"VENDOR,..." env:"GPUSTACK_GPU_VENDORS" example:"[nvidia, amd]" group:"Worker"`
	GPUInterval        time.Duration `name:"gpu-interval" help:"Time between two samples of the GPUs. Some vendor tools run less often." default:"1s" placeholder:"DURATION" env:"GPUSTACK_GPU_INTERVAL" group:"Worker"`
	ExpectedGPUs       int           `name:"expected-gpus" help:"How many GPUs this node should have. gpustack:gpu_expected exports it. Default: the GPUs that were seen once." placeholder:"N" env:"GPUSTACK_EXPECTED_GPUS" group:"Worker"`
	FakeGPUs           int           `name:"fake-gpus" help:"Export this many simulated GPUs instead of real ones." placeholder:"N" env:"GPUSTACK_FAKE_GPUS" group:"Worker"`
}

// Join are the flags of a worker that is not in the server's own process.
type Join struct {
	ServerURL string        `name:"server-url" short:"s" help:"Address of the server, http://HOST:PORT. Without it the worker runs alone." placeholder:"URL" env:"GPUSTACK_SERVER_URL" example:"http://192.0.2.1" group:"Worker"`
	TokenFile string        `help:"File with the join token: a copy of the server's DATA_DIR/worker-token. Changes are used without a restart." placeholder:"FILE" env:"GPUSTACK_TOKEN_FILE" example:"/etc/stackscope/worker-token" group:"Worker"`
	Token     command.Token `short:"t" help:"The join token itself. Other users of this machine see it on the command line: prefer --token-file." placeholder:"TOKEN" env:"GPUSTACK_TOKEN" example:"''" file:"The join token itself. It is a secret: prefer token_file, which other users of this machine cannot read." group:"Worker"`
	CAFile    string        `name:"ca-file" help:"Certificate authorities (PEM) to verify the server with, instead of this machine's. Changes are used without a restart." placeholder:"FILE" env:"GPUSTACK_CA_FILE" example:"/etc/stackscope/ca.pem" group:"Worker"`
	DataDir   string        `help:"Directory for the worker's identity, its last mapping and the known GPUs. Default: /var/lib/stackscope; for a user who cannot write there, ~/.local/state/stackscope ($XDG_STATE_HOME/stackscope)." placeholder:"DIR" env:"GPUSTACK_DATA_DIR" example:"/var/lib/stackscope-worker" group:"Worker"`
}

// Options returns the settings that the flags describe.
func (f *Worker) Options(logger *slog.Logger) (worker.Options, error) {
	o := worker.DefaultOptions()
	o.Logger = logger
	o.Name, o.Address, o.Cluster, o.Labels = f.WorkerName, f.WorkerIP, f.Cluster, f.WorkerLabels
	o.MetricsPort, o.DisableWorkerMetrics = f.WorkerMetricsPort, f.DisableWorkerMetrics
	o.MetricsHost = cmp.Or(f.WorkerMetricsHost, o.MetricsHost)
	o.HostRoot, o.HostInterval = f.HostRoot, cmp.Or(f.HostInterval, o.HostInterval)
	if o.HostInterval < time.Second {
		return o, fmt.Errorf("--host-interval %s: give at least 1s", o.HostInterval)
	}
	if err := f.discoveryOptions(&o); err != nil {
		return o, err
	}
	for _, declared := range f.Engine {
		// An environment variable holds several, one a line or with semicolons between them.
		for part := range strings.FieldsFuncSeq(declared, func(c rune) bool { return c == ';' || c == '\n' }) {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			d, err := engine.ParseDeclaration(part)
			if err != nil {
				return o, err
			}
			o.Engines = append(o.Engines, d)
		}
	}
	return o, nil
}

// discoveryOptions takes over the flags about engines and GPUs.
func (f *Worker) discoveryOptions(o *worker.Options) error {
	o.Discover, o.DockerHost = nil, f.DockerHost
	for _, name := range f.Discover {
		switch source := discovery.Source(strings.TrimSpace(name)); source {
		case discovery.SourceProcess, discovery.SourceDocker:
			o.Discover = append(o.Discover, source)
		case vendors.None, "":
		default:
			return fmt.Errorf("--discover %q: sources are %s and %s; %s switches discovery off", name, discovery.SourceProcess, discovery.SourceDocker, vendors.None)
		}
	}
	o.EngineRetention = f.EngineRetention
	o.StallAfter = f.StallAfter
	if f.StallAfter == 0 {
		o.StallAfter = -1
	}
	if f.MaxSeriesPerEngine != nil {
		o.MaxSeriesPerEngine = *f.MaxSeriesPerEngine
	}
	// An engine that may have many series may have them in its first hour.
	if o.MaxSeriesPerEngine > o.MaxNewSeriesPerEngine {
		o.MaxNewSeriesPerEngine = min(2*o.MaxSeriesPerEngine, maxNewSeries)
	}
	if f.MaxNewSeries != nil {
		o.MaxNewSeriesPerEngine = *f.MaxNewSeries
	}
	if f.UserLimit != nil {
		o.UserLimit = *f.UserLimit
	}
	o.HashUsers, o.UserHashKeyFile = f.HashUsers, f.UserHashKeyFile
	o.LargePagesMemory = cmp.Or(f.LargePagesMemory, o.LargePagesMemory)
	o.GPUInterval = cmp.Or(f.GPUInterval, o.GPUInterval)
	o.GPUVendors, o.ExpectedGPUs, o.FakeGPUs = f.GPUVendors, f.ExpectedGPUs, f.FakeGPUs
	switch {
	case f.EngineRetention < 0:
		return fmt.Errorf("--engine-retention %s: give 0 or more", f.EngineRetention)
	case f.StallAfter != 0 && f.StallAfter < time.Second:
		return fmt.Errorf("--stall-after %s: give at least 1s, or 0 to switch it off", f.StallAfter)
	case o.MaxSeriesPerEngine < 1 || o.MaxSeriesPerEngine > translate.MaxSamples:
		return fmt.Errorf("--max-series-per-engine %d: give 1 to %d", o.MaxSeriesPerEngine, translate.MaxSamples)
	case o.MaxNewSeriesPerEngine < 0 || o.MaxNewSeriesPerEngine > maxNewSeries:
		return fmt.Errorf("--max-new-series-per-engine %d: give 1 to %d, or 0 for no bound", o.MaxNewSeriesPerEngine, maxNewSeries)
	case o.UserLimit < 0 || o.UserLimit > translate.MaxUsers:
		return fmt.Errorf("--user-limit %d: give 0 to %d", o.UserLimit, translate.MaxUsers)
	case o.UserHashKeyFile != "" && !o.HashUsers:
		return errors.New("--user-hash-key-file is given without --hash-users: give both, or none to show users by name")
	case o.LargePagesMemory < worker.MinLargePagesMemory || o.LargePagesMemory > maxLargePagesMemory:
		return fmt.Errorf("--large-pages-memory %d: give %d to %d MiB", o.LargePagesMemory, worker.MinLargePagesMemory, maxLargePagesMemory)
	case o.GPUInterval < 100*time.Millisecond:
		return fmt.Errorf("--gpu-interval %s: give at least 100ms", f.GPUInterval)
	}
	return nil
}

const (
	// maxNewSeries bounds MaxNewSeriesPerEngine: each series that is known takes memory.
	maxNewSeries        = 10_000_000
	maxLargePagesMemory = 16 << 10 // MiB
)

// Apply adds the flags to o. It returns an error if the token's file cannot be used.
func (f *Join) Apply(o *worker.Options) (err error) {
	if f.Token.Shown {
		o.Logger.Warn("--token shows the join token to other users of this machine, in the list of processes; write it to a file and give --token-file FILE", logging.KeyComponent, "worker")
	}
	o.ServerURL, o.CAFile, o.TokenFile = strings.TrimSpace(f.ServerURL), f.CAFile, f.TokenFile
	o.DataDir = f.dataDir(o.Logger, command.ThisUser())
	o.Token, err = f.Token.Value(f.TokenFile, command.JoinTokenFile)
	o.TokenFrom = f.Token.Source(f.TokenFile)
	return err
}

// identityFile shows that a directory is a worker's.
const identityFile = "worker.json"

// dataDir returns the directory that was named, else the user's. It logs what a user who is not root should know.
func (f *Join) dataDir(logger *slog.Logger, user command.User) string {
	if f.DataDir != "" {
		return f.DataDir
	}
	dir, note := user.DataDir(identityFile)
	logger = logger.With(logging.KeyComponent, "worker")
	if dir != user.SystemDir {
		logger.Info("not root: data is in the user's state directory", "dir", dir, "instead_of", user.SystemDir)
	}
	if note != "" {
		logger.Warn("another data directory is in use", "note", note)
	}
	return dir
}

// Places is where the worker answers health checks; none if it serves no metrics.
func (f *Worker) Places(webConfigFile string) []health.Place {
	if f.DisableWorkerMetrics {
		return nil
	}
	p := health.Place{Name: "worker", Host: f.WorkerMetricsHost, Port: f.WorkerMetricsPort}
	if webConfigFile != "" {
		p.Scheme = health.Either
	}
	return []health.Place{p}
}
