package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/tests/programs"
)

// startTimeout bounds how long a program may take until it answers.
const startTimeout = 2 * time.Minute

// oldDebian has glibc 2.31, as Ubuntu 20.04.
const oldDebian = "bullseye"

// install writes the programs of an archive for this machine into a folder and returns their version.
func install(t *testing.T, name, into string) (version string) {
	t.Helper()
	dist := distDir(t)
	if os.Getuid() != 0 {
		t.Fatal("it changes the root of programs, which needs root: sudo -E env \"PATH=$PATH\" make release-test")
	}
	version = releaseVersion(t, dist)
	files := unpack(t, filepath.Join(dist, wanted{name: name, arch: runtime.GOARCH}.file(version)))
	for _, program := range []string{"stackscope", "stackscope-worker"} {
		f, ok := files[program]
		if !ok {
			continue
		}
		if err := os.WriteFile(filepath.Join(into, program), f.text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return version
}

// system is a file system in which programs of a release run.
type system struct {
	dir     string                         // with the programs
	inside  string                         // the path of dir there
	command func(args ...string) *exec.Cmd // a program there
}

// try runs both programs: they print their version, the server with its worker gets healthy and has Prometheus' web UI, the worker
// alone gets a page that contains want.
func (s system) try(t *testing.T, version, want string) {
	t.Helper()
	for _, name := range []string{"stackscope", "stackscope-worker"} {
		out, err := s.command(s.inside+"/"+name, "version").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), name+" "+version+" ") {
			t.Fatalf("%s version: %v, got\n%s", name, err, out)
		}
	}
	port, metrics, workerPort := programs.FreePort(t), programs.FreePort(t), programs.FreePort(t)
	server := s.start(t, "stackscope", "start", "--data-dir", "/tmp/server", "--host", "127.0.0.1", "--port", strconv.Itoa(port),
		"--metrics-port", strconv.Itoa(metrics), "--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(workerPort))
	server.AwaitURL(startTimeout, fmt.Sprintf("http://127.0.0.1:%d/healthz", port))
	if page := server.AwaitURL(startTimeout, fmt.Sprintf("http://127.0.0.1:%d/prometheus/", port)); !strings.Contains(page, "<script") {
		t.Errorf("the program has no Prometheus UI: /prometheus/ is\n%.300s", page)
	}
	server.Stop(syscall.SIGTERM)

	workerPort = programs.FreePort(t)
	worker := s.start(t, "stackscope-worker", "--data-dir", "/tmp/worker", "--server-url", "http://127.0.0.1:9", "--token", "none",
		"--worker-metrics-host", "127.0.0.1", "--worker-metrics-port", strconv.Itoa(workerPort))
	url := fmt.Sprintf("http://127.0.0.1:%d/metrics", workerPort)
	worker.Await(startTimeout, "the worker's page contains "+want, func() error {
		page, err := programs.Get(url)
		if err == nil && !strings.Contains(page, want) {
			err = fmt.Errorf("got\n%s", page)
		}
		return err
	})
}

func (s system) start(t *testing.T, name string, args ...string) *programs.Program {
	t.Helper()
	return programs.Start(t, s.command(append([]string{s.inside + "/" + name}, args...)...))
}

// TestStaticNeedsNothing starts the programs where there is nothing but them: no C library, no shell, no /proc, no /etc.
func TestStaticNeedsNothing(t *testing.T) {
	root := t.TempDir()
	version := install(t, "stackscope-static", root)
	s := system{dir: root, inside: "", command: func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Env, cmd.Dir = []string{"HOME=/"}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		return cmd
	}}
	s.try(t, version, `gpustack:collector_success{`)
}

// TestOldSystem starts the programs with cgo on a Debian with an old glibc. They read a GPU there through a library in the place of
// NVIDIA's, which they load when they run.
func TestOldSystem(t *testing.T) {
	dir := t.TempDir()
	version := install(t, "stackscope", dir)
	tree, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "hack", "debian-tree"), oldDebian).Output()
	if err != nil {
		t.Fatalf("hack/debian-tree %s: %v", oldDebian, err)
	}
	root := strings.TrimSpace(string(tree))
	source := filepath.Join("..", "..", "internal", "collector", "gpu", "nvidia", "testdata", "library.c")
	if out, err := exec.CommandContext(t.Context(), "cc", "-shared", "-fPIC", "-o", filepath.Join(dir, "libnvidia-ml.so.1"), source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := system{dir: dir, inside: "/mnt", command: func(args ...string) *exec.Cmd {
		// The mounts are the program's own, and end with it.
		const enter = `mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && mount --bind "$2" "$1/mnt" && mount -t tmpfs none "$1/tmp" && mount -t proc none "$1/proc" &&
			root="$1" && shift 2 && exec chroot "$root" "$@"`
		cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "sh", "-c", enter, "sh", root, dir}, args...)...)
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH=/mnt"}
		return cmd
	}}
	if out, err := s.command("ldd", "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), " 2.31") {
		t.Fatalf("ldd --version: %v, want glibc 2.31, got\n%s", err, out)
	}
	s.try(t, version, `uuid="GPU-library"`)
}
