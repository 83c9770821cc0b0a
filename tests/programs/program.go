//go:build unix

// Package programs runs real programs in tests: the two that `make build` made, and others. A Program prints into memory, is
// killed when its test ends at the latest, and shows what it printed when the test has failed.
package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// stopTimeout bounds how long a program may take to end after a signal.
	stopTimeout = 20 * time.Second
	// shownBytes bounds how much of its output a failed test shows, and shownStopped that of one which the test had stopped before: a
	// test that starts many shows its error among them.
	shownBytes   = 16 << 10
	shownStopped = 1 << 10
)

// Dir returns the folder of the built programs: $STACKSCOPE_BIN, else bin in the repository, two folders above the test's.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("STACKSCOPE_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// Path returns the path of a built program.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(Dir(tb), name)
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%v: run `make build`", err)
	}
	return path
}

// Program is a running program. Its methods are safe for concurrent use.
type Program struct {
	tb   testing.TB
	cmd  *exec.Cmd
	log  Buffer
	done chan struct{}
	err  error // set before done is closed
	// stopped says that the test stopped it, rather than that it ended by itself.
	stopped atomic.Bool
}

// Start starts cmd and collects its standard output and error. With Setpgid in cmd.SysProcAttr, signals go to the program and to
// all that it started.
func Start(tb testing.TB, cmd *exec.Cmd) *Program {
	tb.Helper()
	p := &Program{tb: tb, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		shown := shownBytes
		if p.stopped.Load() {
			shown = shownStopped
		}
		p.Stop(syscall.SIGKILL)
		if tb.Failed() {
			out := p.Output()
			tb.Logf("the last that %q printed:\n%s", cmd.Args, out[max(0, len(out)-shown):])
		}
	})
	return p
}

// Output returns what the program has printed so far.
func (p *Program) Output() string { return p.log.String() }

// PID returns the program's process id.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Args returns the program's command line, without the program.
func (p *Program) Args() []string { return p.cmd.Args[1:] }

// Done returns a channel that is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Ended reports whether the program has ended.
func (p *Program) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Err waits until the program has ended and returns why it failed; nil if its exit code was 0.
func (p *Program) Err() error {
	<-p.done
	return p.err
}

// ExitCode waits until the program has ended and returns its exit code, -1 if a signal ended it.
func (p *Program) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

func (p *Program) hasGroup() bool { return p.cmd.SysProcAttr != nil && p.cmd.SysProcAttr.Setpgid }

// Signal sends a signal. A program that has ended gets none.
func (p *Program) Signal(sig syscall.Signal) {
	if p.hasGroup() {
		_ = syscall.Kill(-p.PID(), sig)
		return
	}
	_ = p.cmd.Process.Signal(sig)
}

// Stop sends a signal, waits for the end and returns how long that took. A program that does not end in time is killed, and the
// test fails. What is left of a process group is killed too.
func (p *Program) Stop(sig syscall.Signal) time.Duration {
	p.tb.Helper()
	begin := time.Now()
	p.stopped.Store(!p.Ended())
	p.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.tb.Errorf("%q was still running %s after %v", p.cmd.Args, stopTimeout, sig)
		p.Signal(syscall.SIGKILL)
		<-p.done
	}
	took := time.Since(begin)
	if p.hasGroup() {
		p.Signal(syscall.SIGKILL)
	}
	return took
}

// AwaitURL waits until GET url is answered with 200 and returns the answer. The test ends at once if the program does.
func (p *Program) AwaitURL(limit time.Duration, url string) (body string) {
	p.tb.Helper()
	p.Await(limit, url, func() (err error) {
		body, err = Get(url)
		return err
	})
	return body
}

// Await waits until check returns nil. The test ends at once if the program does.
func (p *Program) Await(limit time.Duration, what string, check func() error) {
	p.tb.Helper()
	Eventually(p.tb, limit, what, func() error {
		if p.Ended() {
			p.tb.Fatalf("%s: %q has ended: %v", what, p.cmd.Args, p.cmd.ProcessState)
		}
		return check()
	})
}
