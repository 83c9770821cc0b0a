// Package discovery finds the inference engines of a machine, as they were declared, in Docker containers and among the
// processes, makes one of what is found in several ways, and says which engine a process belongs to. It reads what the
// machine says about them and never talks to an engine.
//
// Command lines and environments hold keys, tokens and paths. Of them only a port, a model's name and what the operator set
// for stackscope is taken; nothing else of them is kept, logged or put into an error.
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

// Source says how an engine was found.
type Source string

// Sources, the more explicit one first: of an engine that is found in several ways, it wins.
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

// Found is an engine that is there.
type Found struct {
	// Key stays the same while an engine stays at its place, also when it is started again: Declared.Key of a declared one,
	// docker:NAME:PORT of a container, process:PORT or process:ADDRESS:PORT (another network) of a process.
	Key    string
	Source Source
	// Runtime is Sign.Runtime, or what label stackscope.runtime says; empty for a declared engine that was not found otherwise.
	Runtime string
	// Model is the model's name as the operator set it, or as the command line names it; empty: unknown.
	Model string
	// Instance is the instance's name if the operator set it; else the caller makes one up.
	Instance string
	// URL is http://host:port as it is reached from here, without a path; for a declared engine the declared one.
	URL string
	// Path is the path of the metrics page; empty: the default.
	Path string
	// PID is the engine's root process as this machine numbers it; 0: unknown.
	PID int
	// Container is the container's short id; empty: none.
	Container string
	// Started is when that process started; zero: unknown.
	Started time.Time
	// Listening is whether its port is open.
	Listening bool
	// Lockstep is whether its cards work for other engines' requests too.
	Lockstep bool
}

// Options configure a Discovery.
type Options struct {
	// Root is where the machine's file system is mounted; empty: /.
	Root string
	// Rules are the kinds of engine that are looked for.
	Rules    []fleet.DetectionRule
	Declared []Declared
	// Processes and Docker switch the two sources on.
	Processes, Docker bool
	// DockerHost is the daemon's address as DOCKER_HOST has it, Podman's too; empty: /var/run/docker.sock below Root.
	DockerHost string
	// Interval is the time between two rounds over the processes; 0: DefaultInterval.
	Interval time.Duration
	// OnChange is called, from one goroutine, after Engines has changed. It may be nil.
	OnChange func()
	Logger   *slog.Logger // nil: silent
}

// Discovery finds the engines of one machine. Its methods are safe for concurrent use.
type Discovery struct {
	declared  []declaration
	onChange  func()
	interval  time.Duration
	processes *processes // nil: switched off
	docker    *docker    // nil: switched off
	machine   *machine
	owners    owners
	wake      chan struct{}
	now       atomic.Pointer[snapshot]
	last      []*running // of the last round that could see the processes

	looked     chan struct{}
	lookedOnce sync.Once

	processTally, dockerTally *tally
}

// snapshot is what was there after one round. It is immutable.
type snapshot struct {
	engines     []Found
	byPID       map[int]string    // root process -> key
	byContainer map[string]string // full id of a container with one engine -> key
	sources     map[Source]int
}

// New makes a Discovery. The declared engines are there at once, the others are looked for in Run. It returns an error if
// two declared engines have one key, a URL is none, or a sign or the Docker host cannot be used.
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
	d := &Discovery{onChange: o.OnChange, interval: o.Interval, wake: make(chan struct{}, 1), looked: make(chan struct{})}
	d.processTally, d.dockerTally = newTally(SourceProcess, logger), newTally(SourceDocker, logger)
	keys := map[string]bool{}
	for _, declared := range o.Declared {
		parsed, err := parseDeclared(declared)
		switch {
		case err != nil:
			return nil, err
		case keys[declared.Key]:
			return nil, fmt.Errorf("discovery: two declared engines have the key %q: give each its own", declared.Key)
		}
		keys[declared.Key] = true
		d.declared = append(d.declared, parsed)
	}
	known, err := compile(o.Rules)
	if err != nil {
		return nil, err
	}
	proc := filepath.Join(o.Root, "proc")
	d.machine = newMachine(proc)
	d.owners.fs = newProcfs(proc)
	if o.Processes {
		d.processes = newProcesses(proc, known, o.Interval, d.machine, d.processTally)
	}
	if o.Docker {
		host := o.DockerHost
		if host == "" {
			host = "unix://" + filepath.Join(o.Root, runDir(o.Root), "docker.sock")
		}
		if d.docker, err = newDocker(host, known, d.dockerTally, d.poke); err != nil {
			return nil, err
		}
		d.docker.distrust(d.machine, newProcfs(proc))
	}
	d.publish(nil, nil)
	return d, nil
}

// Engines returns the engines that are there now, by key. The slice is immutable.
func (d *Discovery) Engines() []Found { return d.now.Load().engines }

// Looked returns a channel that is closed when Engines holds what there was when Run began: all processes were looked at, and
// the daemon was asked.
func (d *Discovery) Looked() <-chan struct{} { return d.looked }

// Run looks for engines until ctx ends. A process or a daemon that does not answer doesn't keep it from returning.
func (d *Discovery) Run(ctx context.Context) {
	var wg sync.WaitGroup
	if d.docker != nil {
		wg.Go(func() { d.docker.run(ctx) })
	}
	wg.Go(func() { d.rounds(ctx) })
	<-ctx.Done()
	lifecycle.WaitWithin(time.Second, &wg)
}

// poke asks for a round without waiting for the timer.
func (d *Discovery) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// dockerFirst bounds how long the first round waits for what the daemon says, so that a container's engine is not taken for
// another one that was found as a process alone.
const dockerFirst = 2 * time.Second

func (d *Discovery) rounds(ctx context.Context) {
	if d.docker != nil {
		select {
		case <-ctx.Done():
		case <-d.docker.asked:
		case <-time.After(dockerFirst):
		}
	}
	ticker := time.NewTicker(d.interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		d.round()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-d.wake:
		}
	}
}

// round looks at the machine once and publishes what is there.
func (d *Discovery) round() {
	var running []*running
	if d.processes != nil {
		start := time.Now()
		var err error
		running, err = d.processes.scan()
		d.processTally.verdict(time.Since(start), err)
		if err != nil && !isGone(err) {
			running = d.last // that they can't be listed doesn't end them
		}
		d.last = running
	}
	var containers []*container
	if d.docker != nil {
		containers = d.docker.containers()
		if !d.docker.live() {
			// Nobody says when one ends.
			containers = slices.DeleteFunc(slices.Clone(containers), func(c *container) bool { return !d.machine.runs(c.pid) })
		}
	}
	if d.publish(running, containers) {
		d.onChange()
	}
	if d.processes == nil || !d.processes.partial {
		d.lookedOnce.Do(func() { close(d.looked) })
	}
}

// publish makes one list of all that was found and reports whether it differs from the one before.
func (d *Discovery) publish(running []*running, containers []*container) bool {
	m := merging{machine: d.machine, processes: d.processes, processTally: d.processTally, dockerTally: d.dockerTally}
	next := m.merge(d.declared, running, containers)
	d.processTally.endRound()
	d.dockerTally.endRound()
	if before := d.now.Load(); before.equal(next) {
		return false // the old one stays, as answers of Owner are kept with it
	}
	d.now.Store(next)
	return true
}

func (s *snapshot) equal(other *snapshot) bool {
	return s != nil && slices.Equal(s.engines, other.engines) && maps.Equal(s.byPID, other.byPID) && maps.Equal(s.byContainer, other.byContainer)
}

// runDir returns /var/run below a root. It is mostly a link to /run, which below another root leads out of it.
func runDir(root string) string {
	const dir = "/var/run"
	if target, err := os.Readlink(filepath.Join(root, dir)); err == nil && filepath.IsAbs(target) {
		return target
	}
	return dir
}

var errNoKey = errors.New("discovery: a declared engine has no key: give it its instance's name")
