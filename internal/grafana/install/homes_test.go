package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// furnish makes a complete home.
func furnish(t *testing.T, home string) {
	t.Helper()
	for name, mode := range map[string]os.FileMode{"bin/grafana": 0o700, "conf/defaults.ini": 0o600, "public/x": 0o600} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHomes(t *testing.T) {
	dir := t.TempDir()
	if got := Homes(filepath.Join(dir, "none")); len(got) > 0 {
		t.Errorf("homes in no directory: %v", got)
	}
	for _, name := range []string{"grafana-9.5.2", "grafana-10.0.0", "grafana-12.4.3", "grafana-12.4.3+security-02", "grafana-12.4.3-beta1", "grafana-11.10.0", "grafana-11.9.0", ".unpack-1", "grafana-latest", "grafana-12.9.9"} {
		furnish(t, filepath.Join(dir, name))
	}
	if err := os.Remove(filepath.Join(dir, "grafana-12.9.9", "bin", "grafana")); err != nil { // not complete
		t.Fatal(err)
	}
	base := func(paths []string) (names []string) {
		for _, p := range paths {
			name, ok := strings.CutPrefix(p, dir+"/grafana-")
			if !ok {
				t.Errorf("%s is not in %s", p, dir)
			}
			names = append(names, name)
		}
		return names
	}
	want := []string{"12.4.3+security-02", "12.4.3", "12.4.3-beta1", "11.10.0", "11.9.0", "10.0.0", "9.5.2"}
	if diff := cmp.Diff(want, base(Homes(dir))); diff != "" {
		t.Errorf("homes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append([]string{Version}, want...), base(Candidates(dir))); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	furnish(t, filepath.Join(dir, "grafana-"+Version))
	if diff := cmp.Diff(Homes(dir), Candidates(dir)); diff != "" {
		t.Errorf("candidates with the release (-homes +candidates):\n%s", diff)
	}
}

func TestDefaultDir(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		root bool
		want string
	}{
		{nil, true, "/var/lib/stackscope/grafana-home"},
		{map[string]string{"HOME": "/root", "XDG_DATA_HOME": "/x"}, true, "/var/lib/stackscope/grafana-home"},
		{map[string]string{"GPUSTACK_DATA_DIR": "/data", "HOME": "/home/a"}, false, "/data/grafana-home"},
		{map[string]string{"HOME": "/home/a"}, false, "/home/a/.local/share/stackscope/grafana"},
		{map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "/x"}, false, "/x/stackscope/grafana"},
		{map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "x"}, false, "/home/a/.local/share/stackscope/grafana"},
		{nil, false, "/var/lib/stackscope/grafana-home"},
	} {
		if got := DefaultDir(func(name string) string { return tc.env[name] }, tc.root); got != tc.want {
			t.Errorf("%v, root %v: got %s, want %s", tc.env, tc.root, got, tc.want)
		}
	}
}

func TestBuiltinPins(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range builtinPins() {
		seen[p.platform] = true
		if p.version != Version || p.size <= 0 || p.size > maxArchiveBytes || p.sum.algorithm != sha512Name || len(p.sum.digest) != 128 {
			t.Errorf("%+v cannot be right", p)
		}
		if _, err := archiveName(p.version, p.platform); err != nil {
			t.Error(err)
		}
	}
	if !seen["linux/amd64"] || !seen["linux/arm64"] || len(seen) != len(builtinPins()) {
		t.Errorf("platforms: %v", seen)
	}
}
