package command

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const playStuck = "STACKSCOPE_TEST_STUCK"

// stuck is told to stop and never does.
type stuck struct{}

func (stuck) Run(e *Env) error {
	fmt.Fprintln(e.Stdout, "runs")
	<-e.Context.Done()
	fmt.Fprintln(e.Stdout, "stops")
	select {}
}

// The first signal asks a program to stop, the second ends it.
func TestSecondSignalEndsTheProcess(t *testing.T) {
	if os.Getenv(playStuck) != "" {
		os.Args = os.Args[:1]
		Main("stuck", "", &stuck{})
	}
	for _, signals := range [][2]syscall.Signal{{syscall.SIGTERM, syscall.SIGTERM}, {syscall.SIGINT, syscall.SIGTERM}, {syscall.SIGTERM, syscall.SIGINT}} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // kills what does not end
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSecondSignalEndsTheProcess$")
		cmd.Env = append(os.Environ(), playStuck+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for k, want := range []string{"runs", "stops"} {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("it said %q, want %q", lines.Text(), want)
			}
			if err := cmd.Process.Signal(signals[k]); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		go func() {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
			close(done)
		}()
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			case <-time.After(10 * time.Millisecond): // the one before may have come too early
				_ = cmd.Process.Signal(signals[1])
			}
		}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != signals[1] {
			t.Errorf("%v: ended with %v", signals, cmd.ProcessState)
		}
	}
}
