package grafana

import (
	"io"
	"os/exec"
	"runtime"
	"time"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
)

// drain is how long to wait for output after the process has ended: a process that it started may keep the pipe open.
const drain = 500 * time.Millisecond

// child is a process with all processes that it starts.
type child struct {
	pid  int
	done chan struct{} // closed when it has ended and its output has been read
	err  error         // how it ended, once done is closed
}

// start starts cmd in a process group of its own, which the terminal's Ctrl-C does not reach. On Linux it is killed when this
// process ends.
func start(cmd *exec.Cmd, out io.Writer) (*child, error) {
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = drain
	c := &child{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux kills the child when the thread that started it ends: this goroutine keeps that thread.
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
		kill(c.pid) // the rest of its process group
		close(c.done)
	}()
	return c, <-started
}

// stop sends SIGTERM, after grace SIGKILL, and waits for the end, at most reap after SIGKILL. It reports whether the process has
// ended: a process that hangs in the kernel has not.
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
