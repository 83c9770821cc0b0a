package install

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// complete reports whether dir holds a Grafana that can be started.
func complete(dir string) bool { return lacks(dir) == nil }

// lacks returns what dir is missing of a Grafana.
func lacks(dir string) error {
	for _, want := range []string{"bin/grafana", "conf/defaults.ini"} {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(want)))
		if err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("it has no %s", want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "public")); err != nil || !info.IsDir() {
		return errors.New("it has no public/")
	}
	info, err := os.Stat(filepath.Join(dir, "bin", "grafana"))
	if err != nil || info.Mode().Perm()&0o111 == 0 {
		return errors.New("its bin/grafana is not executable")
	}
	return nil
}

// machines are the architectures of ELF programs.
var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}

// fits reports whether bin/grafana is for a platform. What is no ELF program, or is for a platform that has none, is not judged.
func fits(dir, platform string) error {
	want, known := machines[platform]
	f, err := elf.Open(filepath.Join(dir, "bin", "grafana"))
	if err != nil || !known {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	if f.Machine != want {
		return fmt.Errorf("the archive's bin/grafana is for another architecture (%s) than %s: use the archive for that platform", f.Machine, platform)
	}
	return nil
}

// startTimeout bounds how long a program may take to print its version.
const startTimeout = 30 * time.Second

// starts runs bin/grafana --version and reports whether this machine can start the program. What the program answers does not
// matter: a fault of Grafana's own shows when the server starts it.
func starts(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	program := exec.CommandContext(ctx, filepath.Join(dir, "bin", "grafana"), "--version") //nolint:gosec // its archive's checksum was compared
	program.Dir, program.WaitDelay = dir, time.Second
	err := program.Run()
	if _, ran := errors.AsType[*exec.ExitError](err); ran || err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("the archive's bin/grafana did not print its version within %s: %w", startTimeout, context.Cause(ctx))
	}
	return fmt.Errorf("the archive's bin/grafana does not start on this machine, which is %s: %w: use the archive for this system", thisPlatform(), durable.Cause(err))
}

// identify returns the version of the Grafana in dir, which lay in a directory called top; empty when nothing tells.
func identify(dir, top string) (string, error) {
	if err := lacks(dir); err != nil {
		return "", fmt.Errorf("the archive is no release of Grafana 9.4 or newer: %w", err)
	}
	if f, err := os.Open(filepath.Join(dir, "VERSION")); err == nil {
		defer func() { _ = f.Close() }() // only read
		data, err := io.ReadAll(io.LimitReader(f, 100))
		if v := strings.TrimPrefix(strings.TrimSpace(string(data)), "v"); err == nil && releaseVersion.MatchString(v) {
			return v, nil
		}
	}
	v := strings.TrimPrefix(strings.TrimPrefix(top, homePrefix), "v")
	if v != top && releaseVersion.MatchString(v) {
		return v, nil
	}
	return "", nil
}
