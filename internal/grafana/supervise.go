package grafana

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
)

// failure says why Grafana is not running.
type failure struct {
	kind    kind
	reason  string
	healthy time.Duration // how long it answered before that
}

// Run provisions Grafana, starts it, checks its health and restarts it when it fails. When ctx ends, Run stops Grafana and
// returns nil. While no Grafana is installed, Run searches for one periodically.
func (g *Grafana) Run(ctx context.Context) error {
	wait := restartPause{timing: g.timing}
	warned, missing := false, ""
	for ctx.Err() == nil {
		h, err := g.find()
		if absent, ok := errors.AsType[*absentError](err); ok {
			if missing != absent.Error() {
				missing = absent.Error()
				g.logger.Info("grafana is not installed: /grafana/ explains how to install it, everything else works", "reason", missing)
			}
			g.set(Status{Phase: PhaseAbsent, Reason: missing})
			backoff.Sleep(ctx, g.timing.look)
			continue
		}
		if !warned {
			g.warnPassword()
			warned = true
		}
		var f *failure
		if err != nil {
			f = &failure{kind: kindStart, reason: err.Error()}
		} else {
			f = g.once(ctx, h)
		}
		if ctx.Err() != nil {
			break
		}
		g.count(f.kind)
		pause := wait.after(f.healthy)
		g.logger.Error("grafana is not running", "reason", f.reason, "next_start_in", pause.String())
		g.set(Status{Phase: PhaseWaiting, Reason: f.reason, Home: h.dir, Version: g.Status().Version, Next: time.Now().Add(pause)})
		backoff.Sleep(ctx, pause)
	}
	g.set(Status{Phase: PhaseStopped, Home: g.Status().Home, Version: g.Status().Version})
	return nil
}

func (g *Grafana) count(k kind) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures[k]++
}

// once runs Grafana until it fails or ctx ends. When it returns, the process has ended, unless SIGKILL does not end it.
func (g *Grafana) once(ctx context.Context, h home) *failure {
	fail := func(err error) *failure { return &failure{kind: kindStart, reason: oneLine(err.Error(), maxReason)} }
	if err := g.provision(); err != nil {
		return fail(err)
	}
	if err := g.awaitLeftover(ctx); err != nil {
		return fail(err)
	}
	port, err := g.freePort(ctx)
	if err != nil {
		return fail(err)
	}
	environ := g.environment(port)
	if dir := h.pluginsElsewhere(g.packagedPlugins); dir != "" && g.env[envBundledPlugins] == "" {
		environ = append(environ, envBundledPlugins+"="+dir)
	}
	made, err := g.applyPassword(ctx, h, environ)
	if err != nil {
		return fail(errors.New(g.advise(err.Error(), port)))
	}

	program, args := h.command("server")
	cmd := exec.Command(program, args...) //nolint:gosec // the operator's Grafana
	cmd.Dir, cmd.Env = h.dir, environ
	out := newOutput(g.logger.Handler(), g.secrets())
	begun := time.Now()
	c, err := start(cmd, out)
	if err != nil {
		return fail(fmt.Errorf("%s cannot be started: %w", program, err))
	}
	g.mu.Lock()
	g.starts++
	g.mu.Unlock()
	g.set(Status{Phase: PhaseStarting, Home: h.dir, PID: c.pid})
	g.logger.Debug("grafana started", "pid", c.pid, "home", h.dir, "port", port)
	g.writePID(c.pid)
	defer func() { _ = os.Remove(filepath.Join(g.opts.Dir, pidFile)) }()

	addr := net.JoinHostPort(loopback, strconv.Itoa(port))
	version, f := g.awaitHealthy(ctx, c, addr)
	if version == nil {
		return g.end(ctx, c, out, f, port, 0)
	}
	healthy := time.Now()
	g.mu.Lock()
	g.startDuration = healthy.Sub(begun)
	g.mu.Unlock()
	if !made {
		if err := g.savePassword(); err != nil {
			g.logger.Warn("grafana's admin password is set again at the next start: the note that it was set cannot be saved", "error", err)
		}
	}
	g.addr.Store(&addr)
	out.setAnswers()
	g.set(Status{Phase: PhaseRunning, Home: h.dir, Version: *version, PID: c.pid})
	g.logger.Info("grafana answers", "version", *version, "pid", c.pid, "address", addr, "took", healthy.Sub(begun).Round(time.Millisecond).String())
	f = g.watch(ctx, c, addr)
	g.addr.Store(nil)
	if f != nil { // stopping a process that hangs takes a while
		g.set(Status{Phase: PhaseStarting, Reason: f.reason + "; it is being restarted", Home: h.dir, Version: *version, PID: c.pid})
	}
	return g.end(ctx, c, out, f, port, time.Since(healthy))
}

// awaitHealthy waits for the first successful health check and returns Grafana's version. Without one version is nil, and f says
// why; f is nil if the process or ctx ended.
func (g *Grafana) awaitHealthy(ctx context.Context, c *child, addr string) (version *string, f *failure) {
	deadline := time.NewTimer(g.timing.start)
	defer deadline.Stop()
	ticker := time.NewTicker(g.timing.poll)
	defer ticker.Stop()
	last := "no health check was made"
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-c.done:
			return nil, nil
		case <-deadline.C:
			return nil, &failure{kind: kindStart, reason: fmt.Sprintf("it did not answer within %s of its start: %s", g.timing.start, last)}
		case <-ticker.C:
		}
		v, err := g.check(ctx, addr, min(g.timing.deadline, g.timing.start))
		if err == nil {
			end := time.Now().Add(g.timing.settle)
			for !g.provisioned(ctx, addr) && time.Now().Before(end) {
				if c.ended(g.timing.poll) {
					return nil, nil
				}
			}
			return &v, nil
		}
		last = oneLine(err.Error(), maxReason)
	}
}

// watch checks the health of a running Grafana. It returns a failure when too many checks in a row fail, and nil when the process
// or ctx ends.
func (g *Grafana) watch(ctx context.Context, c *child, addr string) *failure {
	timer := time.NewTimer(g.timing.check)
	defer timer.Stop()
	for misses := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-c.done:
			return nil
		case <-timer.C:
		}
		next := g.timing.check
		if _, err := g.check(ctx, addr, g.timing.deadline); err == nil {
			misses = 0
		} else if misses++; misses >= g.timing.misses {
			return &failure{kind: kindUnresponsive, reason: fmt.Sprintf("it failed %d health checks in a row: %s", misses, oneLine(err.Error(), maxReason))}
		} else {
			next = g.timing.recheck
			g.logger.Debug("grafana failed a health check", "error", err)
		}
		timer.Reset(next)
	}
}

// end stops the process and returns why Grafana is not running. f is why it must stop; nil if the process or ctx has ended.
func (g *Grafana) end(ctx context.Context, c *child, out *output, f *failure, port int, healthy time.Duration) *failure {
	switch {
	case f == nil && ctx.Err() != nil:
		if !c.stop(g.opts.StopTimeout*4/5, g.opts.StopTimeout/5) {
			g.logger.Error("grafana does not stop, not even when killed", "pid", c.pid)
		}
		return &failure{}
	case f == nil:
		f = &failure{kind: kindExit, reason: g.advise(out.reason(c.err), port)} //nolint:contextcheck // logging is not cancelled
		if healthy == 0 {
			f.kind = kindStart
		}
	default:
		if !c.stop(g.timing.grace, g.timing.grace) {
			f.reason += fmt.Sprintf("; its process %d does not stop, not even when killed", c.pid)
		}
	}
	f.healthy = healthy
	return f
}

// advise adds the remedy to an error of Grafana.
func (g *Grafana) advise(reason string, port int) string {
	switch {
	case strings.Contains(reason, "address already in use"):
		return g.taken(port)
	case containsAny(reason, "disk is full", "no space left", "disk quota", "disc quota"):
		return fmt.Sprintf("%s: free space on the disk that holds %s, or choose another with --data-dir", reason, g.opts.Dir)
	case containsAny(reason, "readonly database", "read-only file system", "unable to open database file"):
		return fmt.Sprintf("%s: let the user that stackscope runs as write to %s and all files in it, or choose another directory with --data-dir", reason, g.opts.Dir)
	case containsAny(reason, "migration", "no such column", "no such table", "duplicate column", "not a database", "malformed"):
		return fmt.Sprintf("%s: its database %s is of another Grafana version or damaged; run that version (--grafana-home), or move the database away to start with an empty one",
			reason, g.database())
	}
	return reason
}

func containsAny(s string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
