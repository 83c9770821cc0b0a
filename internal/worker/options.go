package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/fake"
	"github.com/stackscope/stackscope/internal/collector/gpu/vendors"
	"github.com/stackscope/stackscope/internal/collector/host"
	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/instances"
	"github.com/stackscope/stackscope/internal/session"
	"github.com/stackscope/stackscope/internal/wire"
)

// Options are the settings of a worker. Start from DefaultOptions.
type Options struct {
	// ServerURL is the server's address; empty: the worker stands alone.
	ServerURL string
	// Token is the server's join token. TokenFile is the file that it came from, which is read again for each registration; empty: it
	// came from no file.
	Token, TokenFile string
	// TokenFrom says in errors where the token was given.
	TokenFrom string
	// HTTPClient reaches the server; nil: an ordinary one. Its Timeout must be 0, or it cuts the watch stream off.
	HTTPClient *http.Client
	// CAFile holds the authorities of the server's certificate; empty: the system's.
	CAFile string
	// Name is the worker's name; empty: the host name.
	Name string
	// Cluster is the name of the cluster to join; empty: the default one.
	Cluster string
	// Address is the host name or IP address under which the worker is scraped; empty: the local address from which the
	// server is reached.
	Address string
	// MetricsHost and MetricsPort are where the metrics are served. Port 0 takes any free one.
	MetricsHost          string
	MetricsPort          int
	DisableWorkerMetrics bool
	// WebConfigFile protects them; empty: they answer everybody.
	WebConfigFile string
	// DataDir holds the worker's identity, its mapping, and the GPUs and engines that it has seen. New makes it if it is missing.
	DataDir string
	Engines []engine.Declaration
	Labels  map[string]string
	// HostRoot is where the machine's file system is mounted; empty: /.
	HostRoot string
	// HostInterval is the time between two samples of the machine.
	HostInterval time.Duration
	// Discover lists the sources in which undeclared engines are looked for.
	Discover []discovery.Source
	// DockerHost is the container daemon's address; empty: the usual socket.
	DockerHost string
	// EngineRetention is how long an engine that was found is shown after it ended.
	EngineRetention time.Duration
	// StallAfter is after how long without progress an engine that has work counts as stalled; negative: never.
	StallAfter time.Duration
	// MaxSeriesPerEngine bounds the series of an engine in the unified vocabulary; 0: as many as can be translated.
	MaxSeriesPerEngine int
	// MaxNewSeriesPerEngine bounds the series of an engine that are new in an hour; 0: not bounded.
	MaxNewSeriesPerEngine int
	// UserLimit is how many users of each gateway have series of their own; all others are one.
	UserLimit int
	// HashUsers replaces users' names by hashes made with the key in UserHashKeyFile; empty: a file in DataDir, which is made.
	HashUsers       bool
	UserHashKeyFile string
	// LargePagesMemory bounds, in MiB, the memory of engines' pages beyond 1 MiB and of what is translated from them.
	LargePagesMemory int
	// LimitMemory sets Go's memory limit for a process that is nothing but a worker, unless GOMEMLIMIT is set.
	LimitMemory bool
	// GPUVendors names the vendors whose GPUs are read; empty: all; none: no GPUs.
	GPUVendors []string
	// GPUInterval is the time between two samples of the GPUs.
	GPUInterval time.Duration
	// ExpectedGPUs is how many GPUs the node should have; 0: those that were once seen.
	ExpectedGPUs int
	// FakeGPUs is a number of simulated GPUs to show instead of real ones.
	FakeGPUs int
	// GPUBackends replace those of the vendors; nil: they are not replaced.
	GPUBackends []gpu.Backend
	// IgnoreAccess is for demonstrations: nothing is said of what the worker may not see of its machine.
	IgnoreAccess bool
	// ReportInterval is how often the worker reports when nothing changes; 0: as the server says.
	ReportInterval time.Duration
	// Settings returns the flags of this process, Recent its last log records, the oldest first, for the server's checks. Nil: none are told.
	Settings func() []wire.Setting
	Recent   func() []wire.LogRecord
	Logger   *slog.Logger // nil: silent
}

// DefaultOptions returns the settings of a worker started without any flag.
func DefaultOptions() Options {
	return Options{
		MetricsHost: "0.0.0.0", MetricsPort: 10151, DataDir: "/var/lib/stackscope", HostInterval: host.DefaultInterval,
		Discover: []discovery.Source{discovery.SourceProcess, discovery.SourceDocker}, EngineRetention: 5 * time.Minute, StallAfter: 2 * time.Minute,
		MaxSeriesPerEngine: 50_000, MaxNewSeriesPerEngine: 50_000, LargePagesMemory: MinLargePagesMemory, UserLimit: 1000, GPUInterval: time.Second,
	}
}

// complete fills in the worker's name and the engines' declarations, and returns the first setting that cannot work.
func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("host name: %w; name the worker with --worker-name", err)
		}
		if fault := fleet.NameFault(name); fault != "" {
			return fmt.Errorf("the host name, which would be the worker's name, %s; name the worker with --worker-name", fault)
		}
		o.Name = name
	}
	if err := session.CheckNames(o.Name, o.Cluster, o.Labels); err != nil {
		return err
	}
	switch {
	case o.MetricsPort < 0 || o.MetricsPort > 65535:
		return fmt.Errorf("--worker-metrics-port %d: ports are 1 to 65535", o.MetricsPort)
	case o.DataDir == "":
		return errors.New("--data-dir is empty: give a directory")
	case len(o.Engines) > instances.MaxEngines:
		return fmt.Errorf("--engine is given for %d engines: a worker takes at most %d", len(o.Engines), instances.MaxEngines)
	case o.ServerURL != "" && strings.TrimSpace(o.Token) == "":
		return errors.New("--token-file is missing: give a file with the content of worker-token in the server's data directory")
	case o.ServerURL == "" && o.Token != "":
		return errors.New("a token is given without --server-url: give both, or none for a worker that stands alone")
	}
	if err := o.checkGPUs(); err != nil {
		return err
	}
	engines, err := engine.CheckDeclarations(o.Engines, o.Name)
	if err != nil {
		return fmt.Errorf("--engine: %w", err)
	}
	o.Engines = engines
	return nil
}

// Check returns the first setting with which New would refuse to make a worker. It opens and changes nothing.
func (o Options) Check() error { return o.complete() }

// Describe makes the worker tell the server, when that asks, the flags of this process and the last records of its logger.
func (o *Options) Describe(settings []command.Setting) {
	logger := o.Logger
	o.Settings = func() []wire.Setting { return wire.SettingsOf(settings) }
	o.Recent = func() []wire.LogRecord { return wire.LogRecordsOf(logging.Recent(logger)) }
}

// maxExpectedGPUs bounds the GPUs that a node may be said to have.
const maxExpectedGPUs = 1024

func (o *Options) checkGPUs() error {
	switch {
	case o.FakeGPUs < 0 || o.FakeGPUs > fake.MaxDevices:
		return fmt.Errorf("--fake-gpus %d: give 0 to %d", o.FakeGPUs, fake.MaxDevices)
	case o.ExpectedGPUs < 0 || o.ExpectedGPUs > maxExpectedGPUs:
		return fmt.Errorf("--expected-gpus %d: give 0 to %d", o.ExpectedGPUs, maxExpectedGPUs)
	}
	if err := vendors.Check(o.GPUVendors); err != nil {
		return fmt.Errorf("--gpu-vendors %w", err)
	}
	return nil
}
