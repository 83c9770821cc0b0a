//go:build linux

package attack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk is the environment variable that names a directory in which the test may mount a disk of its own.
const smallDisk = "STACKSCOPE_ATTACK_DISK"

const noDisk = "no small disk:"

// onSmallDisk runs the rest of a test with a directory that is a disk of the given size, in namespaces of its own: nobody else
// sees the disk, and it goes with the process. It returns "" when the rest has run already.
func onSmallDisk(t *testing.T, size int64) string {
	t.Helper()
	if dir := os.Getenv(smallDisk); dir != "" {
		if err := mountDisk(dir, size); err != nil {
			fmt.Println(noDisk, err)
			t.SkipNow()
		}
		return dir
	}
	own := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	root := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	var reasons []string
	for _, attr := range []*syscall.SysProcAttr{own, root} { // root may where others may have no namespaces
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=29m")
		cmd.Env, cmd.SysProcAttr = append(os.Environ(), smallDisk+"="+t.TempDir()), attr
		out, err := cmd.CombinedOutput()
		switch {
		case cmd.ProcessState == nil:
			reasons = append(reasons, err.Error())
			continue
		case strings.Contains(string(out), noDisk):
			reasons = append(reasons, string(out))
			continue
		case err != nil:
			t.Fatalf("%v:\n%s", err, out)
		}
		passOn(t, string(out))
		return ""
	}
	t.Skip("nobody lets this test have a disk of its own: ", strings.Join(reasons, "; "))
	return ""
}

// passOn logs the rows of tables.
func passOn(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if _, row, ok := strings.Cut(line, ": |"); ok {
			t.Log("|" + strings.TrimRight(row, "\n"))
		}
	}
}

func mountDisk(dir string, size int64) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size))
}

// ballast fills a disk and frees it again.
type ballast struct{ path string }

func newBallast(disk string) ballast { return ballast{filepath.Join(disk, "ballast")} }

// fill takes all that is left of the disk.
func (b ballast) fill() error {
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		_, err := f.Write(block)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			block = block[:len(block)/2]
		case err != nil:
			return err
		}
	}
	return nil
}

func (b ballast) free() error { return os.Remove(b.path) }
