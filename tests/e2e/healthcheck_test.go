package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// healthcheck runs the check of a process' own program.
func healthcheck(t *testing.T, p *programs.Program, args ...string) (string, error) {
	t.Helper()
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return runCheck(t, exec.CommandContext(t.Context(), program, append([]string{"healthcheck", "--pid", strconv.Itoa(p.PID())}, args...)...))
}

// runCheck runs a check that has nothing of this process' environment. It must say one line.
func runCheck(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if strings.Count(string(out), "\n") != 1 {
		t.Errorf("%v: not one line: %q", cmd.Args, out)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Errorf("%v: %v: %s", cmd.Args, err, out)
	}
	return string(out), err
}

const wantsClients = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"

// Whatever protects a program, and wherever its settings come from, the check finds it healthy, and not healthy when it hangs.
func TestHealthcheck(t *testing.T) {
	closed := newWeb(t, wantsClients, "127.0.0.1")
	users := newWeb(t, "", "127.0.0.1")
	worker := []string{"--discover", "none", "--gpu-vendors", "none"}
	port := func() string { return strconv.Itoa(programs.FreePort(t)) }
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	byFile := file("port: " + port() + "\nmetrics_port: " + port() + "\nhost: 127.0.0.3\n")
	changed := file("worker_metrics_host: 127.0.0.1\nworker_metrics_port: " + port() + "\n")
	for _, tt := range []struct {
		name    string
		program string
		env     []string
		args    []string
		dir     string   // its working directory
		want    []string // in what the check says
		changes []string // of changed, one after the other, once it is healthy: it stays so
	}{
		{
			name: "server that trusts nobody", program: "stackscope",
			args: []string{"server", "--host", "127.0.0.1", "--port", port(), "--disable-metrics", "--disable-anonymous-viewer", "--no-trust-loopback"},
			want: []string{"API at http://127.0.0.1:"},
		},
		{
			name: "server with TLS and client certificates", program: "stackscope",
			args: []string{
				"server", "--tls-port", port(), "--metrics-port", port(), "--tls-cert", users.file("cert.pem"), "--tls-key", users.file("key.pem"),
				"--web.config.file", closed.file("web.yml"), "--disable-anonymous-viewer", "--no-trust-loopback",
			},
			want: []string{"API at https://127.0.0.1:"},
		},
		{
			name: "server by its environment", program: "stackscope", args: []string{"server"},
			env:  []string{"GPUSTACK_HOST=::", "GPUSTACK_PORT=" + port(), "GPUSTACK_METRICS_PORT=" + port(), "GPUSTACK_DISABLE_ANONYMOUS_VIEWER=true"},
			want: []string{"API at http://[::1]:"},
		},
		{
			name: "server by a file of its directory", program: "stackscope", args: []string{"server", "--config-file", filepath.Base(byFile)}, dir: filepath.Dir(byFile),
			want: []string{"API at http://127.0.0.3:"},
		},
		{
			name: "start at free ports, with users", program: "stackscope",
			args: append([]string{
				"start", "--host", "127.0.0.1", "--port", "0", "--metrics-port", "0", "--worker-metrics-port", "0", "--web.config.file", users.file("web.yml"),
				"--disable-anonymous-viewer", "--no-trust-loopback",
			}, worker...),
			want: []string{"API at http://127.0.0.1:", "worker at https://127.0.0.1:"},
		},
		{
			name: "demo whose ports are in use", program: "stackscope",
			args: []string{"demo", "--port", port(), "--metrics-port", takenPort(t), "--worker-metrics-port", takenPort(t)},
			want: []string{"API at http://127.0.0.1:", "worker at http://127.0.0.1:"},
		},
		{
			name: "worker run with users", program: "stackscope",
			args: append([]string{"worker", "run", "--worker-metrics-port", port(), "--web.config.file", users.file("web.yml")}, worker...),
			want: []string{"worker at https://127.0.0.1:"},
		},
		{
			name: "worker at one address", program: "stackscope", args: append([]string{"worker", "--worker-metrics-host", "127.0.0.2", "--worker-metrics-port", port()}, worker...),
			want: []string{"worker at http://127.0.0.2:"},
		},
		{
			name: "worker that wants certificates", program: "stackscope-worker", env: []string{"GPUSTACK_WEB_CONFIG_FILE=" + closed.file("web.yml")},
			args: append([]string{"--worker-metrics-port", port()}, worker...),
			want: []string{"worker at https://127.0.0.1:"},
		},
		{
			name: "worker at a free port that wants certificates", program: "stackscope-worker",
			args: append([]string{"--worker-metrics-port", "0", "--web.config.file", closed.file("web.yml")}, worker...),
			want: []string{"worker at https://127.0.0.1:"},
		},
		{
			name: "worker whose file was changed", program: "stackscope-worker", args: append([]string{"--config-file", changed}, worker...),
			want:    []string{"worker at http://127.0.0.1:"},
			changes: []string{"worker_metrics_port: " + port() + "\n", "worker_metrics_prt: 1\n", ":"},
		},
		{
			name: "worker without metrics", program: "stackscope-worker", args: append([]string{"--disable-worker-metrics"}, worker...),
			want: []string{"runs, and serves nothing"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(programs.Path(t, tt.program), tt.args...)
			cmd.Dir = tt.dir
			cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GPUSTACK_DISABLE_BUILTIN_GRAFANA=true"}, tt.env...)
			if tt.args[0] != "demo" {
				cmd.Env = append(cmd.Env, "GPUSTACK_DATA_DIR="+t.TempDir())
			}
			p := programs.Start(t, cmd)
			healthy := func() error {
				out, err := healthcheck(t, p)
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				for _, want := range tt.want {
					if !strings.Contains(out, want) {
						t.Errorf("the check says %q, want %q in it", out, want)
					}
				}
				return nil
			}
			p.Await(time.Minute, "the check is content", healthy)
			for _, text := range tt.changes {
				if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := healthcheck(t, p); err != nil {
					t.Errorf("with %q in its file: %v: %s", text, err, out)
				}
			}
			if strings.Contains(tt.name, "without metrics") {
				return
			}
			p.Signal(syscall.SIGSTOP)
			defer p.Signal(syscall.SIGCONT)
			begin := time.Now()
			out, err := healthcheck(t, p, "--timeout", "300ms")
			if err == nil || !strings.HasPrefix(out, "unhealthy: process "+strconv.Itoa(p.PID())+": ") || !strings.Contains(out, "does not answer in time") && !strings.Contains(out, "none of the process' ports") {
				t.Errorf("a program that hangs: %v: %s", err, out)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("the check took %s", took)
			}
		})
	}
}

// takenPort is a port that somebody else uses while the test runs.
func takenPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// copyOf copies a program: it is another file, whose processes are no other test's.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	copyFile(t, programs.Path(t, name), path)
	return path
}

// All processes of the program are checked, and none of another root directory, user or address is taken for one of them.
func TestHealthcheckFindsItsProcesses(t *testing.T) {
	program := copyOf(t, "stackscope-worker")
	check := func(args ...string) (string, error) {
		return runCheck(t, exec.CommandContext(t.Context(), program, append([]string{"healthcheck"}, args...)...))
	}
	if out, err := check(); err == nil || out != "unhealthy: no stackscope-worker runs here; give the address of one that runs elsewhere with --url\n" {
		t.Errorf("without a process: %v: %s", err, out)
	}
	run := func(cmd *exec.Cmd, port int) *programs.Program {
		cmd.Args = append(cmd.Args, "--data-dir", t.TempDir(), "--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(port), "--discover", "none", "--gpu-vendors", "none")
		p := programs.Start(t, cmd)
		p.AwaitURL(30*time.Second, fmt.Sprintf("http://127.0.0.1:%d/healthz", port))
		return p
	}

	// The same file under another root directory, as in another container of the same image.
	inside := filepath.Join(t.TempDir(), "root")
	script := `mkdir -p "$1" && mount -t tmpfs none "$1" && cd "$1" && mkdir proc tmp && cp -a --parents /etc/passwd . && for d in bin lib lib64 usr sys dev; do
		[ -e "/$d" ] || continue; mkdir -p "$d" && mount --rbind "/$d" "$d"; done && mount --rbind /proc proc && mkdir -p "${2%/*}" ".${2%/*}" && touch ".$2" && mount --bind "$2" ".$2" &&
		mkdir -p ".$3" && shift 1 && program=$1 && shift 2 && exec chroot . "$program" "$@"`
	port := programs.FreePort(t)
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", inside, program, "/data")
	cmd.Args = append(cmd.Args, "--data-dir", "/data", "--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(port), "--discover", "none", "--gpu-vendors", "none", "--worker-name", "other")
	if err := exec.Command("unshare", "--user", "--map-root-user", "--mount", "true").Run(); err != nil {
		t.Logf("another root directory is not tested: unshare: %v", err)
	} else {
		p := programs.Start(t, cmd)
		p.AwaitURL(30*time.Second, fmt.Sprintf("http://127.0.0.1:%d/healthz", port))
		if out, err := check(); err == nil || !strings.Contains(out, "no stackscope-worker runs here") {
			t.Errorf("a process under another root directory is checked: %v: %s", err, out)
		}
		p.Stop(syscall.SIGTERM)
	}

	first, second := programs.FreePort(t), programs.FreePort(t)
	run(exec.Command(program), first)
	p := run(exec.Command(program), second)
	if out, err := check(); err != nil || out != fmt.Sprintf("healthy: worker at http://127.0.0.1:%d/healthz; worker at http://127.0.0.1:%d/healthz\n", first, second) {
		t.Errorf("two processes: %v: %s", err, out)
	}
	if out, err := runCheck(t, exec.CommandContext(t.Context(), program, "healthcheck", "--url", fmt.Sprintf("http://127.0.0.1:%d", second))); err != nil {
		t.Errorf("by its address: %v: %s", err, out)
	}
	if os.Getuid() == 0 {
		if _, err := exec.LookPath("setpriv"); err != nil {
			t.Logf("another user is not tested: %v", err)
		} else if out, err := runCheck(t, exec.CommandContext(t.Context(), "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program, "healthcheck")); err == nil ||
			!strings.Contains(out, " of that name belong to another user") {
			t.Errorf("as another user: %v: %s", err, out)
		}
	}
	p.Signal(syscall.SIGSTOP)
	if out, err := check("--timeout", "300ms"); err == nil || !strings.Contains(out, strconv.Itoa(p.PID())) {
		t.Errorf("one of two hangs: %v: %s", err, out)
	}
	p.Signal(syscall.SIGCONT)
	// A program that was replaced, as by an upgrade, is still found.
	if err := os.Rename(copyOf(t, filepath.Base(program)), program); err != nil {
		t.Fatal(err)
	}
	if out, err := check(); err != nil {
		t.Errorf("after an upgrade: %v: %s", err, out)
	}
}

// `stackscope status` says what a check of a server that trusts nobody uses.
func TestStatusNamesTheHealthcheck(t *testing.T) {
	port := programs.FreePort(t)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	server := start(t, programs.Path(t, "stackscope"), "server", "--data-dir", t.TempDir(), "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--disable-metrics",
		"--disable-anonymous-viewer", "--no-trust-loopback")
	server.AwaitURL(30*time.Second, base+"/healthz")
	out, err := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), "status", "--server-url", base).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--token-file") || !strings.Contains(string(out), "stackscope healthcheck") {
		t.Errorf("%v: %s", err, out)
	}
}
