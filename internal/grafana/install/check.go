package install

import (
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// complete says whether dir holds a Grafana that can be started.
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

// checkProgram refuses a program for another machine, and returns what else may keep it from running.
func checkProgram(dir, platform string) (note string, err error) {
	program := filepath.Join(dir, "bin", "grafana")
	goos, arch, _ := strings.Cut(platform, "/")
	wrong := func(is string) error {
		return fmt.Errorf("the archive's program is for %s, this machine is %s: fetch grafana-VERSION.%s-%s.tar.gz", is, platform, goos, arch)
	}
	if f, err := elf.Open(program); err == nil {
		defer func() { _ = f.Close() }() // only read
		is := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_ARM: "arm", elf.EM_386: "386"}[f.Machine]
		if is != arch || goos == "darwin" {
			return "", wrong("linux/" + orDefault(is, f.Machine.String()))
		}
		return missingInterpreter(f, platform), nil
	}
	if f, err := macho.Open(program); err == nil {
		defer func() { _ = f.Close() }() // only read
		is := map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]
		if is != arch || goos != "darwin" {
			return "", wrong("darwin/" + orDefault(is, f.Cpu.String()))
		}
		return "", nil
	}
	return "", fmt.Errorf("the archive's bin/grafana is no program for %s", platform)
}

// missingInterpreter says which package a program needs whose loader isn't on this machine: starting it fails with a plain "no
// such file or directory".
func missingInterpreter(f *elf.File, platform string) string {
	if platform != thisPlatform() {
		return ""
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz == 0 || p.Filesz > 4096 {
			continue
		}
		name, err := io.ReadAll(p.Open())
		loader := strings.TrimRight(string(name), "\x00")
		if err != nil {
			return ""
		}
		if _, err := os.Stat(loader); err != nil {
			pack := "a C library"
			if strings.Contains(loader, "musl") {
				pack = "the package musl"
			}
			return fmt.Sprintf("This Grafana needs %s, which is not on this machine: install %s.", loader, pack)
		}
	}
	return ""
}
