package grafana

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/simgrafana"
)

func TestStopKillsWhatIgnoresTheSignal(t *testing.T) {
	g, lines := newFake(t, simgrafana.Play{IgnoresSIGTERM: true}, func(o *Options) { o.StopTimeout = 500 * time.Millisecond })
	stop := run(t, g)
	s := await(t, g, "running", running)
	stop()
	if alive(s.PID) {
		t.Error("it is still there")
	}
	if !strings.Contains(lines.String(), "System signal: terminated") {
		t.Error("it was killed before it was asked")
	}
}

// Stopping takes what StopTimeout says and no longer, also when even a kill ends nothing.
func TestStopIsBounded(t *testing.T) {
	victim := exec.Command("sleep", "600") // the bubble's child: signals go to it, and nobody tells of its end
	victim.SysProcAttr = attributes()
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	g, _ := newFake(t, simgrafana.Play{}, func(o *Options) { o.StopTimeout = 10 * time.Second })
	synctest.Test(t, func(t *testing.T) {
		for within, f := range map[time.Duration]*failure{10 * time.Second: nil, 2 * g.timing.grace: {kind: kindUnresponsive}} {
			ctx, cancel := context.WithCancel(t.Context())
			if f == nil {
				cancel()
			}
			begun := time.Now()
			g.end(ctx, &child{pid: victim.Process.Pid, done: make(chan struct{})}, newOutput(g.logger.Handler(), g.secrets()), f, 1, time.Second)
			if took := time.Since(begun); took != within {
				t.Errorf("it took %s, want %s", took, within)
			}
			cancel()
		}
	})
	if err := victim.Wait(); err == nil {
		t.Error("nothing ended it")
	}
}

// The child is to die with this process, and not with the thread that happened to start it.
func TestOutlivesThreads(t *testing.T) {
	ended := make(chan struct{}) // a thread ends with a goroutine that is locked to it
	var starting, churning sync.WaitGroup
	children := make([]*child, 16)
	for i := range children {
		starting.Go(func() {
			c, err := start(exec.CommandContext(context.Background(), "sleep", "60"), io.Discard)
			if err != nil {
				t.Error(err)
			}
			children[i] = c
		})
	}
	starting.Wait()
	for range 64 {
		churning.Go(func() {
			runtime.LockOSThread()
			<-ended
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(ended)
	churning.Wait()
	time.Sleep(100 * time.Millisecond)
	for _, c := range children {
		if !alive(c.pid) {
			t.Errorf("process %d ended: %v", c.pid, c.err)
		}
		if !c.stop(time.Second, time.Second) {
			t.Errorf("process %d does not end", c.pid)
		}
	}
}

func TestKilledParentLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can end a child with its parent")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := simgrafana.Home(t)
	simgrafana.Set(t, home, simgrafana.Play{IgnoresSIGTERM: true})
	parent := exec.Command(self)
	parent.Env = append(simgrafana.Environ(), envParent+"="+home)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		_ = parent.Process.Kill()
		t.Fatalf("the parent says %q", line)
	}
	if !alive(pid) {
		t.Error("the child is gone already")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	awaitGone(t, pid)
}
