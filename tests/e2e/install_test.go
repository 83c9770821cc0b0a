package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/tests/programs"
)

// installed returns the files below a folder, and the folders that hold none.
func installed(t *testing.T, root string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		entries, _ := os.ReadDir(path) // of a file: none
		if !d.IsDir() || len(entries) == 0 {
			rel, err := filepath.Rel(root, path)
			list = append(list, rel)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestMakeInstall installs the built programs into a folder, twice, and removes them again.
func TestMakeInstall(t *testing.T) {
	bin := programs.Dir(t)
	destdir := filepath.Join(t.TempDir(), "a b")
	run := func(target string, settings ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory", "-C", "../..", target, "BIN=" + bin, "DESTDIR=" + destdir}, settings...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(target string, settings ...string) string {
		t.Helper()
		out, err := run(target, settings...)
		if err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
		return out
	}
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(destdir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(destdir, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}

	const prefix = "/opt/stack scope"
	where := []string{"PREFIX=" + prefix}
	write("opt/stack scope/share/man/man1/other.1", "another program's")
	must("install", where...)
	all := installed(t, destdir)
	for _, want := range []string{
		"bin/stackscope", "bin/stackscope-worker", "share/man/man1/stackscope-server.1", "share/man/man1/stackscope-worker.1", "share/man/man5/stackscope.yaml.5",
		"share/bash-completion/completions/stackscope-worker", "share/zsh/site-functions/_stackscope", "share/fish/vendor_completions.d/stackscope.fish",
	} {
		if !slices.Contains(all, "opt/stack scope/"+want) {
			t.Errorf("%s is missing", want)
		}
	}
	program := filepath.Join(destdir, prefix, "bin/stackscope")
	if out, err := exec.CommandContext(t.Context(), program, "version").Output(); err != nil || !strings.HasPrefix(string(out), "stackscope ") {
		t.Errorf("%s version: %v %s", program, err, out)
	}
	units, err := filepath.Glob(filepath.Join(destdir, prefix, "lib/systemd/system/*.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil || strings.Contains(string(text), "/usr/bin/stackscope") || !strings.Contains(string(text), `ExecStart="/opt/stack scope/bin/stackscope`) {
			t.Errorf("%s: %v\n%s", unit, err, text)
		}
	}

	// A second installation changes no configuration, and removes what an earlier version had.
	write("etc/stackscope/server.yaml", "port: 8080\n")
	write("opt/stack scope/share/man/man1/stackscope-old.1", "")
	list := "opt/stack scope/share/stackscope/installed"
	write(list, prefix+"/share/man/man1/stackscope-old.1\n"+read(list))
	if out := must("install", where...); !strings.Contains(out, "etc/stackscope/server.yaml stays as it is; this version's is /etc/stackscope/server.yaml.new") {
		t.Errorf("install, again: %s", out)
	}
	if read("etc/stackscope/server.yaml") != "port: 8080\n" || !strings.Contains(read("etc/stackscope/server.yaml.new"), "#port: 80\n") {
		t.Error("the configuration is another one")
	}
	if diff := cmp.Diff(append(slices.Clone(all), "etc/stackscope/server.yaml.new"), installed(t, destdir), cmp.Transformer("sort", func(l []string) []string { return slices.Sorted(slices.Values(l)) })); diff != "" {
		t.Errorf("after the second installation (-want +got)\n%s", diff)
	}

	if out := must("uninstall", where...); !strings.Contains(out, "Kept: ") {
		t.Errorf("uninstall: %s", out)
	}
	left := []string{"etc/stackscope/server.yaml", "etc/stackscope/worker.yaml", "opt/stack scope/share/man/man1/other.1"}
	if diff := cmp.Diff(left, installed(t, destdir)); diff != "" {
		t.Errorf("after uninstall (-want +got)\n%s", diff)
	}
	for _, c := range []struct {
		target, setting, want string
	}{
		{"uninstall", "PREFIX=" + prefix, "installed is missing: nothing is installed below PREFIX=/opt/stack scope"},
		{"install", "PREFIX=relative", "relative is no absolute path"},
		{"install", "BIN=/no/such", "/no/such/stackscope is missing: run make first"},
	} {
		if out, err := run(c.target, c.setting); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("make %s %s: %v\n%s", c.target, c.setting, err, out)
		}
	}
}
