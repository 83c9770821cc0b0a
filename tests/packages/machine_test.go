package packages_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// machine is a Debian system that runs systemd in namespaces of this one. Its network is loopback alone.
type machine struct {
	dir string // its root, seen from outside
	pid int    // of its first process
}

// debian returns the folder of a minimal Debian with systemd, which is made once and kept in the user's cache.
var debian = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("../../hack/debian-tree", "bookworm", "systemd,systemd-sysv,dbus,procps,curl,ca-certificates,rpm")
	cmd.Stderr = os.Stderr
	tree, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("hack/debian-tree: %w", err)
	}
	return strings.TrimSpace(string(tree)), nil
})

// boot starts a machine whose files are a layer above the Debian tree, so that each test has one of its own.
func boot(t *testing.T) *machine {
	t.Helper()
	base, err := debian()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, upper, work := filepath.Join(dir, "root"), filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{root, upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("overlay", root, "overlay", 0, "lowerdir="+base+",upperdir="+upper+",workdir="+work); err != nil {
		t.Fatalf("mount an overlay below %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	group := fmt.Sprintf("stackscope-test-%d-%s", os.Getpid(), t.Name())
	cmd := exec.Command("./boot", root, group)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // systemd, and with it all others, is killed with it
		_ = cmd.Wait()
		removeGroups(t, group)
	})
	m := &machine{dir: root}
	m.wait(t, "systemd", time.Minute, func() error {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(children), &m.pid); err != nil {
			return err
		}
		state, err := m.try("systemctl", "is-system-running")
		if state = strings.TrimSpace(state); state != "running" && state != "degraded" {
			return fmt.Errorf("%s %w", state, err)
		}
		return nil
	})
	return m
}

// removeGroups removes the control groups of a machine that was killed.
func removeGroups(t *testing.T, name string) {
	t.Helper()
	tops, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	deadline := time.Now().Add(10 * time.Second)
	for _, top := range append(tops, "/sys/fs/cgroup/"+name) {
		for {
			_ = exec.Command("find", top, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run()
			if _, err := os.Stat(top); err != nil {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s still holds processes", top)
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// try runs a command in the machine as root and returns what it printed.
func (m *machine) try(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	args := append([]string{"-t", fmt.Sprint(m.pid), "-a", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}, argv...)
	out, err := exec.CommandContext(ctx, "nsenter", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n"), err // apt gives scripts a terminal
}

// run is try for a command that must succeed.
func (m *machine) run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := m.try(argv...)
	if err != nil {
		t.Fatalf("%v\n%s", err, last(out, 4000))
	}
	return out
}

// sh runs a line of shell, which must succeed.
func (m *machine) sh(t *testing.T, line string) string {
	t.Helper()
	return m.run(t, "/bin/sh", "-euc", line)
}

// path returns where a file of the machine is, seen from outside.
func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// write makes a file in the machine; one that exists keeps its owner and mode.
func (m *machine) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(m.path(name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// bring copies packages into the machine and returns their names there. pattern is what follows a package's name in that of its file.
func (m *machine) bring(t *testing.T, b built, pattern string) (names []string) {
	t.Helper()
	for _, unit := range units {
		text, err := os.ReadFile(b.file(t, unit+pattern))
		if err != nil {
			t.Fatal(err)
		}
		name := "/var/tmp/" + unit + filepath.Ext(pattern)
		m.write(t, name, string(text), 0o644)
		names = append(names, name)
	}
	return names
}

// edit appends lines to a file of the machine.
func (m *machine) edit(t *testing.T, name, lines string) {
	t.Helper()
	f, err := os.OpenFile(m.path(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\n" + lines); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// gone fails if one of the files exists.
func (m *machine) gone(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(m.path(name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}

// there fails if one of the files does not exist.
func (m *machine) there(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(m.path(name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
}

// wait repeats try until it succeeds.
func (m *machine) wait(t *testing.T, what string, most time.Duration, try func() error) {
	t.Helper()
	deadline := time.Now().Add(most)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			console, _ := os.ReadFile(m.path("console"))
			journal, _ := m.try("journalctl", "--no-pager", "-n", "80")
			t.Fatalf("%s: not within %s: %v\n%s\n%s", what, most, err, last(string(console), 2000), last(journal, 12000))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// property returns a property of a unit.
func (m *machine) property(t *testing.T, unit, name string) string {
	t.Helper()
	return strings.TrimSpace(m.run(t, "systemctl", "show", "--value", "-p", name, unit))
}

// last returns the end of a text, at most n bytes.
func last(s string, n int) string { return s[max(0, len(s)-n):] }
