package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simengine"
	"github.com/stackscope/stackscope/tests/programs"
)

// forEverybody copies a program to where every user may run it.
func forEverybody(t *testing.T, from, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, name)
	copyFile(t, from, path)
	return path
}

// TestWorkerPrivileges runs workers with several users and capabilities beside an engine of yet another user. The name of the engine is in
// its variables alone, which only who may read them finds. Who may not says so, and what to grant.
func TestWorkerPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("other users and capabilities need root")
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("setpriv is not installed")
	}
	const three = "-all,+sys_ptrace,+dac_read_search,+syslog"
	if out, err := exec.Command("setpriv", "--bounding-set="+three, "--inh-caps="+three, "true").CombinedOutput(); err != nil {
		t.Skipf("root itself lacks capabilities here: %v: %s", err, out)
	}
	const engineUser, workerUser = 54321, 65534
	port := programs.FreePort(t)
	engine := exec.Command(forEverybody(t, os.Args[0], "vllm"), "serve", "Qwen/Qwen3-8B")
	engine.Env = []string{fmt.Sprintf("%s=%s %d", playEngine, simengine.ProfileVLLM, port), fmt.Sprintf("STACKSCOPE_METRICS_PORT=%d", port), "STACKSCOPE_INSTANCE=by-variable"}
	engine.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: engineUser, Gid: engineUser}}
	engine.Stderr = t.Output()
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Process.Kill(); _ = engine.Wait() })
	worker := forEverybody(t, programs.Path(t, "stackscope-worker"), "stackscope-worker")
	for _, tt := range []struct {
		name, capabilities string
		uid                int
		missing            string // what it says that it lacks; empty: it finds the engine's name
	}{
		{"root with three capabilities", three, 0, ""},
		{"another user with three capabilities", three, workerUser, ""},
		{"root with CAP_SYS_PTRACE and CAP_SYSLOG", "-all,+sys_ptrace,+syslog", 0, "process_files"},
		{"another user", "-all", workerUser, "process_details"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := forEverybody(t, "/dev/null", "data")
			if err := os.Remove(data); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(data, tt.uid, tt.uid); err != nil {
				t.Fatal(err)
			}
			metrics := fmt.Sprintf("http://127.0.0.1:%d/metrics", programs.FreePort(t))
			args := []string{fmt.Sprintf("--reuid=%d", tt.uid), fmt.Sprintf("--regid=%d", tt.uid), "--clear-groups", "--bounding-set=" + tt.capabilities, "--inh-caps=" + tt.capabilities}
			if tt.uid != 0 {
				args = append(args, "--ambient-caps="+tt.capabilities)
			}
			p := start(t, "setpriv", append(args, worker, "--worker-name", "node-1", "--data-dir", data, "--discover", "process", "--gpu-vendors", "none",
				"--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", portOf(metrics))...)
			const name = `model_instance_name="by-variable"`
			says := `stackscope_missing_access{cluster_name="default",worker_name="node-1",access="` + tt.missing + `"} 1`
			want := says
			if tt.missing == "" {
				want = name
			}
			p.Await(30*time.Second, "page", contains(metrics, want))
			page, err := programs.Get(metrics)
			if err != nil {
				t.Fatal(err)
			}
			if found := strings.Contains(page, name); found != (tt.missing == "") {
				t.Errorf("the engine's name is found: %t", found)
			}
			for _, own := range []string{"process_details", "process_files", "hidden_processes"} {
				if own != tt.missing && strings.Contains(page, `access="`+own+`"`) {
					t.Errorf("it says that it lacks %s:\n%s", own, grep(page, "missing_access"))
				}
			}
			if n := strings.Count(p.Output(), "does not see all of its machine"); tt.missing != "" && n != 1 {
				t.Errorf("it says so %d times:\n%s", n, p.Output())
			}
		})
	}
}
