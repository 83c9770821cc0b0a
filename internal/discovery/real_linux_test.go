package discovery

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childEnv makes the test program play an engine: its value is the port to listen on.
const childEnv = "DISCOVERY_TEST_CHILD"

func TestMain(m *testing.M) {
	if port := os.Getenv(childEnv); port != "" {
		if err := child(port); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child listens, says where, and waits until its standard input ends.
func child(port string) error {
	address := "127.0.0.1:" + port
	if host := os.Getenv("DISCOVERY_TEST_ADDRESS"); host != "" {
		for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", host + "/32", "dev", "lo"}} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip: %w: %s", err, out)
			}
		}
		address = os.Getenv("DISCOVERY_TEST_LISTEN") + ":" + port
	}
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

type realEngine struct {
	cmd  *exec.Cmd
	port string
}

// startEngine starts the test program under an engine's command line.
func startEngine(t *testing.T, attr *syscall.SysProcAttr, env []string, argv ...string) realEngine {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: program, Args: argv, Env: append(os.Environ(), env...), SysProcAttr: attr, Stderr: t.Output()}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		if attr != nil {
			t.Skipf("no network namespace can be made here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "failed:") {
		if attr != nil {
			t.Skipf("the namespace cannot be furnished: %s%v", line, err)
		}
		t.Fatalf("%s%v", line, err)
	}
	return realEngine{cmd: cmd, port: strings.TrimSpace(line)}
}

// of returns what was found of a process.
func of(d *Discovery, pid int) (Found, bool) {
	for _, f := range d.Engines() {
		if f.PID == pid {
			return f, true
		}
	}
	return Found{}, false
}

func TestRealProcesses(t *testing.T) {
	changed := make(chan struct{}, 16)
	d, err := New(Options{Rules: testSigns(), Processes: true, Interval: 100 * time.Millisecond, OnChange: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { d.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	before := time.Now()
	vllm := startEngine(t, nil, []string{childEnv + "=0", "STACKSCOPE_MODEL=own"}, "/opt/venv/bin/vllm", "serve", "org/m", "--port", "0")
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	_ = free.Close()
	sglang := startEngine(t, nil, []string{childEnv + "=" + port}, "python3.12", "-m", "sglang.launch_server", "--model-path", "org/s", "--port", port)
	wait := func(what string, done func() bool) {
		t.Helper()
		await(t, d, changed, what, done)
	}
	wait("found", func() bool {
		a, ok := of(d, vllm.cmd.Process.Pid)
		b, ok2 := of(d, sglang.cmd.Process.Pid)
		return ok && ok2 && a.Listening && b.Listening
	})
	a, _ := of(d, vllm.cmd.Process.Pid)
	b, _ := of(d, sglang.cmd.Process.Pid)
	if a.URL != "http://127.0.0.1:"+vllm.port || a.Model != "own" || a.Runtime != "vLLM" || a.Container != "" && len(a.Container) != 12 {
		t.Errorf("%+v", a)
	}
	if b.URL != "http://127.0.0.1:"+port || b.Model != "org/s" || b.Key != "process:"+port {
		t.Errorf("%+v", b)
	}
	for _, f := range []Found{a, b} { // the kernel's clock ticks in hundredths, and its start is known to a second
		if f.Started.Before(before.Add(-2*time.Second)) || f.Started.After(time.Now().Add(2*time.Second)) {
			t.Errorf("started at %s, it was started after %s", f.Started, before)
		}
	}
	if key, _ := d.Owner(vllm.cmd.Process.Pid); key != a.Key {
		t.Errorf("owner is %q", key)
	}
	if key, ok := d.Owner(os.Getpid()); ok {
		t.Errorf("we are part of engine %s", key)
	}
	if err := sglang.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sglang.cmd.Wait()
	wait("killed", func() bool { _, ok := of(d, sglang.cmd.Process.Pid); return !ok })
	if _, ok := of(d, vllm.cmd.Process.Pid); !ok {
		t.Error("the other one is gone too")
	}
}

func TestRealNetworks(t *testing.T) {
	const address = "192.0.2.77"
	for _, test := range []struct{ listen, want string }{{"0.0.0.0", address}, {address, address}, {"127.0.0.1", ""}} {
		t.Run(test.listen, func(t *testing.T) {
			engine := startEngine(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET},
				[]string{childEnv + "=8000", "DISCOVERY_TEST_ADDRESS=" + address, "DISCOVERY_TEST_LISTEN=" + test.listen}, "vllm", "serve", "m")
			d, err := New(Options{Rules: testSigns(), Processes: true})
			if err != nil {
				t.Fatal(err)
			}
			d.runRound()
			f, ok := of(d, engine.cmd.Process.Pid)
			if test.want == "" {
				if n := skippedBy(d, SourceProcess, skipLoopback); ok || n != 1 {
					t.Errorf("%+v; %g counted", f, n)
				}
				return
			}
			if want := "http://" + test.want + ":8000"; !ok || f.URL != want || !f.Listening || f.Key != "process:"+test.want+":8000" {
				t.Errorf("%+v, want %s", f, want)
			}
			// Where the link to the namespace may not be read, a file in it tells it.
			pid := strconv.Itoa(engine.cmd.Process.Pid)
			if there, here := networkByFile("/proc/"+pid), networkByFile("/proc/self"); there == "" || there == here || !d.machine.isOwn(here) || d.machine.isOwn(there) {
				t.Errorf("%q and %q", there, here)
			}
		})
	}
}
