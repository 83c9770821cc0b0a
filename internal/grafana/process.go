package grafana

import (
	"io"
	"os/exec"
	"runtime"
	"time"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
)

// drain is how long output of a process that has ended is waited for: something that it started may hold the pipe.
const drain = 500 * time.Millisecond

// child is a process that was started, with everything that it starts.
type child struct {
	pid  int
	done chan struct{} // closed when it has ended and its output has been read
	err  error         // how it ended, once done is closed
}

// start starts cmd in a process group of its own, out of reach of the terminal's Ctrl-C, and where the system can do that so
// that it dies with this process.
func start(cmd *exec.Cmd, out io.Writer) (*child, error) {
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = drain
	c := &child{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux kills the child when the thread that started it ends: this goroutine keeps that thread to itself.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			c.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		kill(c.pid) // what it left behind
		close(c.done)
	}()
	return c, <-started
}

// stop ends the process: it asks, after grace it kills, and waits as long as reap for the end of what was killed. It reports
// whether the process has ended: one that hangs in the kernel has not.
func (c *child) stop(grace, reap time.Duration) bool {
	if grace > 0 {
		terminate(c.pid)
		if c.ended(grace) {
			return true
		}
	}
	kill(c.pid)
	return c.ended(reap)
}

func (c *child) ended(within time.Duration) bool { return lifecycle.DoneWithin(within, c.done) }
