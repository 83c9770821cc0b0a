// Package discovery finds the inference engines of a machine. It has three sources: declared engines, Docker containers and the
// processes in /proc. An engine that several sources find becomes one. Owner says which engine a process belongs to. The package
// never sends a request to an engine.
//
// Command lines and environments hold keys, tokens and paths. Only ports, model names and stackscope's own settings are kept; nothing
// else of them is logged or put into an error.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/fleet"
)

// DefaultInterval is the time between two rounds over the processes.
const DefaultInterval = 2 * time.Second

// Source is where an engine was found.
type Source string

// Sources by precedence: of an engine that several sources find, the first one here wins.
const (
	SourceDeclared Source = "declared"
	SourceDocker   Source = "docker"
	SourceProcess  Source = "process"
)

// Declared is an engine that the operator named.
type Declared struct {
	Key string // the instance's name
	URL string
}

// Found is an engine that runs on this machine, or that is declared.
type Found struct {
	// Key identifies the engine across restarts: Declared.Key, docker:NAME:PORT of a container, process:PORT of a process, or
	// process:ADDRESS:PORT of one in another network namespace.
	Key    string
	Source Source
	// Runtime is DetectionRule.Runtime, or the value of label stackscope.runtime. Empty: only declared.
	Runtime string
	// Model is the model's name as the operator set it, or as the command line names it; empty: unknown.
	Model string
	// Instance is the instance's name if the operator set it, else empty.
	Instance string
	// URL is the declared URL, or http://HOST:PORT by which the worker reaches the engine.
	URL string
	// Path is the path of the /metrics endpoint; empty: the default.
	Path string
	// PID is the engine's root process, in the machine's PID namespace; 0: unknown.
	PID int
	// Container is the container's short id; empty: none.
	Container string
	// Started is when that process started; zero: unknown.
	Started time.Time
	// Listening is whether its port is open.
	Listening bool
	// Lockstep is whether its GPUs are busy with requests of other engines too, as with data parallelism.
	Lockstep bool
	// Role is what the engine does where prefill and decode are separate engines; empty: both, or unknown.
	Role fleet.Role
	// Group is the name that the operator gave to the engines that serve together; empty: none.
	Group string
	// Connector is what passes the KV cache between it and engines of the other role, as the runtime names it; empty: unknown, or nothing.
	Connector string
	// Upstreams are the addresses of a router's engines, host:port with spaces between them.
	Upstreams string
	// Served are the names of the model on the command line, if it has several, and Adapters its LoRA adapters, each with spaces between
	// them. A page may name them beside the model.
	Served, Adapters string
	// ModelSource is where the model comes from, as GPUStack names it, and ModelSourceKey which one it is there; empty: unknown.
	ModelSource, ModelSourceKey string
}

// Options configure a Discovery.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /.
	Root string
	// Rules are how engines are recognised.
	Rules    []fleet.DetectionRule
	Declared []Declared
	// Processes and Docker enable the two sources.
	Processes, Docker bool
	// DockerHost is the address of the Docker or Podman daemon, in DOCKER_HOST's syntax; empty: /var/run/docker.sock below Root.
	DockerHost string
	// Interval is the time between two rounds over the processes; 0: DefaultInterval.
	Interval time.Duration
	// OnChange is called after Engines has changed, always by the same goroutine. It may be nil.
	OnChange func()
	Logger   *slog.Logger // nil: silent
}

// Discovery finds the engines of one machine. Its methods are safe for concurrent use.
type Discovery struct {
	declared      []declaration
	onChange      func()
	interval      time.Duration
	processes     *processes // nil: disabled
	docker        *docker    // nil: disabled
	machine       *machine
	owners        ownerCache
	wake          chan struct{}
	current       atomic.Pointer[snapshot]
	lastProcesses []*engineProcess // of the last round that could see the processes

	firstRound     chan struct{}
	firstRoundOnce sync.Once

	processSkips, dockerSkips *skipCounter
}

// snapshot is the result of one round. It is immutable.
type snapshot struct {
	engines     []Found
	byPID       map[int]string    // root process -> key
	byContainer map[string]string // full id of a container with one engine -> key
	sources     map[Source]int
}

// New makes a Discovery. Engines returns the declared engines at once; Run finds the others. New fails if two declared engines have
// one key, or if a URL, a rule or the Docker host is invalid.
func New(o Options) (*Discovery, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.OnChange == nil {
		o.OnChange = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	logger := o.Logger.With(logging.KeyComponent, "discovery")
	d := &Discovery{onChange: o.OnChange, interval: o.Interval, wake: make(chan struct{}, 1), firstRound: make(chan struct{})}
	d.processSkips, d.dockerSkips = newSkipCounter(SourceProcess, logger), newSkipCounter(SourceDocker, logger)
	keys := map[string]bool{}
	for _, declared := range o.Declared {
		parsed, err := parseDeclared(declared)
		switch {
		case err != nil:
			return nil, err
		case keys[declared.Key]:
			return nil, fmt.Errorf("discovery: two declared engines have the key %q: give each engine a key of its own", declared.Key)
		}
		keys[declared.Key] = true
		d.declared = append(d.declared, parsed)
	}
	known, err := compileRules(o.Rules)
	if err != nil {
		return nil, err
	}
	proc := filepath.Join(o.Root, "proc")
	d.machine = newMachine(proc)
	d.owners.fs = newProcfs(proc)
	if o.Processes {
		d.processes = newProcesses(proc, known, o.Interval, d.machine, d.processSkips)
	}
	if o.Docker {
		host := o.DockerHost
		if host == "" {
			host = "unix://" + filepath.Join(o.Root, runDir(o.Root), "docker.sock")
		}
		if d.docker, err = newDocker(host, known, d.dockerSkips, d.requestRound); err != nil {
			return nil, err
		}
		d.docker.verifyPIDs(d.machine, newProcfs(proc))
	}
	d.publish(nil, nil)
	return d, nil
}

// Engines returns the engines of the last round, sorted by key. The caller must not change the slice.
func (d *Discovery) Engines() []Found { return d.current.Load().engines }

// FirstRoundDone returns a channel that is closed once Engines holds what was there when Run began: all processes were read, and the
// daemon has answered or failed.
func (d *Discovery) FirstRoundDone() <-chan struct{} { return d.firstRound }

// Daemon returns the address of the container daemon and why the last attempt to connect to it failed. ok is false before the first
// attempt, and where containers are not asked for.
func (d *Discovery) Daemon() (address string, ok bool, err error) {
	if d.docker == nil {
		return "", false, nil
	}
	select {
	case <-d.docker.synced:
	default:
		return d.docker.host, false, nil
	}
	if p := d.docker.dialErr.Load(); p != nil {
		err = *p
	}
	return d.docker.host, true, err
}

// InHostNetwork reports whether the worker is in the network namespace of process 1. It is true if that cannot be read.
func (d *Discovery) InHostNetwork() bool { return d.machine.inHostNetwork() }

// Run finds engines until ctx ends. It then returns within a second, even if a process or the daemon hangs.
func (d *Discovery) Run(ctx context.Context) {
	var wg sync.WaitGroup
	if d.docker != nil {
		wg.Go(func() { d.docker.run(ctx) })
	}
	wg.Go(func() { d.runRounds(ctx) })
	<-ctx.Done()
	lifecycle.WaitWithin(time.Second, &wg)
}

// requestRound starts the next round at once.
func (d *Discovery) requestRound() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// dockerFirstWait bounds how long the first round waits for the daemon. Without its answer a container's engine would get the key of
// a process first, and so appear as two engines one after the other.
const dockerFirstWait = 2 * time.Second

func (d *Discovery) runRounds(ctx context.Context) {
	if d.docker != nil {
		select {
		case <-ctx.Done():
		case <-d.docker.synced:
		case <-time.After(dockerFirstWait):
		}
	}
	ticker := time.NewTicker(d.interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		d.runRound()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-d.wake:
		}
	}
}

// runRound reads the processes and the containers once and publishes the engines.
func (d *Discovery) runRound() {
	var running []*engineProcess
	if d.processes != nil {
		start := time.Now()
		var err error
		running, err = d.processes.scan()
		d.processSkips.recordRound(time.Since(start), err)
		if err != nil && !isGone(err) {
			running = d.lastProcesses // an error in listing them does not mean that they have ended
		}
		d.lastProcesses = running
	}
	var containers []*container
	if d.docker != nil {
		containers = d.docker.containers()
		if !d.docker.live() {
			// No event says when a container ends.
			containers = slices.DeleteFunc(slices.Clone(containers), func(c *container) bool { return !d.machine.runs(c.pid) })
		}
	}
	if d.publish(running, containers) {
		d.onChange()
	}
	if d.processes == nil || !d.processes.partial {
		d.firstRoundOnce.Do(func() { close(d.firstRound) })
	}
}

// publish merges what the sources found into a snapshot and reports whether it differs from the last one.
func (d *Discovery) publish(running []*engineProcess, containers []*container) bool {
	m := merger{machine: d.machine, processes: d.processes, processSkips: d.processSkips, dockerSkips: d.dockerSkips}
	next := m.merge(d.declared, running, containers)
	d.processSkips.endRound()
	d.dockerSkips.endRound()
	if before := d.current.Load(); before.equal(next) {
		return false // the old snapshot stays: cached answers of Owner belong to it
	}
	d.current.Store(next)
	return true
}

func (s *snapshot) equal(other *snapshot) bool {
	return s != nil && slices.Equal(s.engines, other.engines) && maps.Equal(s.byPID, other.byPID) && maps.Equal(s.byContainer, other.byContainer)
}

// runDir returns what /var/run below root links to. The link is absolute (/run) on most systems, so that it would lead out of root.
func runDir(root string) string {
	const dir = "/var/run"
	if target, err := os.Readlink(filepath.Join(root, dir)); err == nil && filepath.IsAbs(target) {
		return target
	}
	return dir
}

var errNoKey = errors.New("discovery: a declared engine has no key: give it its instance's name")
