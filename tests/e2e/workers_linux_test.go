package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stackscope/stackscope/tests/programs"
)

// workerCommand runs `stackscope worker` and further words for a server on loopback and returns what it printed and its exit code.
func workerCommand(t *testing.T, port int, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), append([]string{"worker"}, words...)...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GPUSTACK_SERVER_URL=http://127.0.0.1:%d", port))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), errs.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), errs.String(), 0
}

// TestWorkersAreRemovedAndLetIn removes the worker of `stackscope start` as an operator does. The process goes on without it, also
// when it starts again, and has it again soon after it was allowed.
func TestWorkersAreRemovedAndLetIn(t *testing.T) {
	dir, port, workerPort := t.TempDir(), programs.FreePort(t), programs.FreePort(t)
	startIt := func() *programs.Program {
		p := start(t, programs.Path(t, "stackscope"), "start", "--data-dir", dir, "--host", "127.0.0.1", "--port", strconv.Itoa(port),
			"--metrics-port", strconv.Itoa(programs.FreePort(t)), "--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(workerPort),
			"--worker-name", "own", "--discover", "none", "--gpu-vendors", "none", "--disable-builtin-observability")
		programs.Eventually(t, 20*time.Second, "the server answers", contains(fmt.Sprintf("http://127.0.0.1:%d/healthz", port), ""))
		return p
	}
	exports := contains(fmt.Sprintf("http://127.0.0.1:%d/metrics", workerPort), "gpustack:worker_node_uptime_seconds")
	type workers struct {
		Workers []struct {
			ID          int64 `json:"id"`
			Name, State string
			ClusterName string `json:"cluster_name"`
		} `json:"workers"`
		Revoked []struct {
			ID int64 `json:"id"`
		} `json:"revoked_workers"`
	}
	listed := func() (l workers) {
		t.Helper()
		out, stderr, code := workerCommand(t, port, "list", "--json")
		if err := json.Unmarshal([]byte(out), &l); err != nil || code != 0 || stderr != "" {
			t.Fatalf("list: %d %v %s%s", code, err, out, stderr)
		}
		return l
	}
	isReady := func() error {
		if l := listed(); len(l.Workers) != 1 || l.Workers[0].State != "ready" || l.Workers[0].ClusterName != "default" || len(l.Revoked) != 0 {
			return fmt.Errorf("%+v", l)
		}
		return nil
	}
	isOut := func() {
		t.Helper()
		if l := listed(); len(l.Workers) != 0 || len(l.Revoked) != 1 || l.Revoked[0].ID != 1 {
			t.Errorf("%+v", l)
		}
		if out, _, _ := workerCommand(t, port, "list"); !strings.Contains(out, "revoked") || !strings.Contains(out, "removed ") {
			t.Error(out)
		}
	}

	p := startIt()
	programs.Eventually(t, 20*time.Second, "the worker is ready", isReady)
	// Without a terminal nobody is asked.
	if out, stderr, code := workerCommand(t, port, "remove", "own"); code != 0 || stderr != "" || !strings.Contains(out, "worker own (id 1, cluster default, ") || !strings.Contains(out, "stackscope worker allow 1") {
		t.Fatalf("remove: %d %s%s", code, out, stderr)
	}
	told := func() error {
		if !strings.Contains(p.Output(), "worker own was removed by an operator at ") {
			return errors.New(p.Output())
		}
		return nil
	}
	programs.Eventually(t, 10*time.Second, "the worker is told", told)
	isOut()
	if _, stderr, code := workerCommand(t, port, "remove", "own"); code != 1 || !strings.Contains(stderr, "already") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("remove again: %d %s", code, stderr)
	}
	if err := exports(); err != nil {
		t.Error(err)
	}

	p.Stop(syscall.SIGTERM)
	p = startIt()
	programs.Eventually(t, 10*time.Second, "the worker is told when it starts", told)
	isOut()
	programs.Eventually(t, 10*time.Second, "the worker exports", exports)

	if out, stderr, code := workerCommand(t, port, "allow", "own"); code != 0 || stderr != "" || !strings.Contains(out, "may join again") {
		t.Fatalf("allow: %d %s%s", code, out, stderr)
	}
	programs.Eventually(t, 40*time.Second, "the worker is back", isReady)
	if _, stderr, code := workerCommand(t, port, "allow", "own"); code != 1 || !strings.Contains(stderr, "isn't revoked: it is ready") {
		t.Errorf("allow again: %d %s", code, stderr)
	}
	if l := listed(); l.Workers[0].ID != 2 {
		t.Errorf("%+v", l)
	}

	for _, answer := range []struct {
		keys string
		code int
	}{{"n\n", 1}, {"\n", 1}, {"\x03", 1}, {"y\n", 0}} {
		if listed().Workers == nil {
			t.Fatal("it was removed without a yes")
		}
		screen, code := atTerminal(t, port, answer.keys, "remove", "own")
		if code != answer.code || !strings.Contains(screen, "worker own (id 2, cluster default, ") || !strings.Contains(screen, "revoked until `stackscope worker allow 2`") {
			t.Errorf("answered %q: %d %s", answer.keys, code, screen)
		}
	}
	if l := listed(); len(l.Workers) != 0 || len(l.Revoked) != 1 {
		t.Errorf("after a yes: %+v", l)
	}
	// Who said that it stops is forgotten, and nobody is asked; --yes doesn't ask either.
	token, err := os.ReadFile(dir + "/worker-token")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"idle-1", "idle-2"} {
		joinAndStop(t, port, strings.TrimSpace(string(token)), name)
	}
	if screen, code := atTerminal(t, port, "", "remove", "idle-1"); code != 0 || !strings.Contains(screen, "It wasn't alive, so it isn't revoked") {
		t.Errorf("%d %s", code, screen)
	}
	if out, _, code := workerCommand(t, port, "remove", "idle-2", "--yes", "--json"); code != 0 || !strings.Contains(out, `"name":"idle-2"`) || !strings.Contains(out, `"kept_out":false`) {
		t.Errorf("%d %s", code, out)
	}
}

// joinAndStop plays a worker that says that it stops.
func joinAndStop(t *testing.T, port int, token, name string) {
	t.Helper()
	send := func(method, path, token, body string) (answer []byte) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err = io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, string(answer), err)
		}
		return answer
	}
	var joined struct {
		ID         int64 `json:"worker_id"`
		Credential string
	}
	if err := json.Unmarshal(send(http.MethodPost, "/v2/workers/register", token, fmt.Sprintf(`{"uuid":%q,"name":%q,"address":"10.0.0.1","metrics_port":1}`, name, name)), &joined); err != nil {
		t.Fatal(err)
	}
	send(http.MethodPut, fmt.Sprintf("/v2/workers/%d/report", joined.ID), joined.Credential, `{"applied_generation":0,"instances":[],"stopping":true}`)
}

// atTerminal runs `stackscope worker` at a terminal, at which somebody answers a question with keys, and returns what is on the screen.
func atTerminal(t *testing.T, port int, keys string, words ...string) (screen string, code int) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer master.Close()
	var n, unlock uint32
	for request, arg := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &n} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(arg))); errno != 0 {
			t.Fatal(errno)
		}
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), programs.Path(t, "stackscope"), append([]string{"worker"}, words...)...)
	cmd.Env = append(os.Environ(), "TERM=dumb", fmt.Sprintf("GPUSTACK_SERVER_URL=http://127.0.0.1:%d", port))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var text strings.Builder
	in := bufio.NewReader(master)
	for { // until nobody has the terminal open any more, which is an error on Linux
		b, err := in.ReadByte()
		if err != nil {
			break
		}
		text.WriteByte(b)
		if strings.HasSuffix(text.String(), "[y/N] ") {
			if _, err := io.WriteString(master, keys); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait()
	return text.String(), cmd.ProcessState.ExitCode()
}
