package command

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const (
	playStuck  = "STACKSCOPE_TEST_STUCK"
	playPolite = "STACKSCOPE_TEST_POLITE"
)

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

// polite stops when it is told to, once its input has ended.
type polite struct{}

func (polite) Run(e *Env) error {
	fmt.Fprintln(e.Stdout, "runs")
	<-e.Context.Done()
	_, err := io.Copy(io.Discard, e.Stdin)
	fmt.Fprintln(e.Stdout, "stopped")
	return err
}

// Two signals that come together are one: what a program does when it stops is done.
func TestSignalsThatComeTogether(t *testing.T) {
	if os.Getenv(playPolite) != "" {
		os.Args = os.Args[:1]
		Main("polite", "", &polite{})
	}
	for _, second := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // kills what does not end
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSignalsThatComeTogether$")
			cmd.Env = append(os.Environ(), playPolite+"=1")
			in, errIn := cmd.StdinPipe()
			out, errOut := cmd.StdoutPipe()
			if errIn != nil || errOut != nil {
				t.Fatal(errIn, errOut)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "runs" {
				t.Fatalf("it said %q", lines.Text())
			}
			began := time.Now()
			for _, s := range []syscall.Signal{syscall.SIGTERM, second} {
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			together := time.Since(began) < oneStop
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			last := ""
			for lines.Scan() {
				last = lines.Text()
			}
			if err := cmd.Wait(); together && (err != nil || last != "stopped") {
				t.Fatalf("TERM and %v: ended with %v, last said %q", second, err, last)
			}
		}
	}
}

func TestWhenASecondSignalCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, first := context.WithCancel(t.Context())
		var given atomic.Bool
		afterFirst(ctx, func() { given.Store(true) })
		time.Sleep(time.Hour)
		synctest.Wait()
		if given.Load() {
			t.Error("before the first signal")
		}
		first()
		time.Sleep(oneStop - 1)
		synctest.Wait()
		if given.Load() {
			t.Error("together with the first signal")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !given.Load() {
			t.Error("a second signal is not heard")
		}
	})
}
