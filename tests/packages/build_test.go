// Package packages_test installs, upgrades and removes the packages of stackscope on a Debian system with systemd. It is a module of its
// own, so that the program that makes packages stays out of the dependencies of ours.
//
// `make package-test` runs it, as root. If STACKSCOPE_RELEASE names a folder that `make release-dry-run` filled, its packages are installed,
// and upgraded to a later version that the test builds; else the test builds both. STACKSCOPE_PACKAGE_DIR is a folder for what it builds:
// packages that are there are used again.
package packages_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const repository = "../.."

// oldVersion and newVersion are as hack/version prints them for two commits of which the second comes later.
const (
	oldVersion = "0.1.0-dev.9+gaaaaaaaaaa"
	newVersion = "0.1.0-dev.10+gbbbbbbbbbb"
	// laterVersion is later than each that a release has.
	laterVersion = "99.0.0"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("PACKAGE_TEST_ENGINE"); address != "" {
		playEngine(address)
		return
	}
	os.Exit(m.Run())
}

// needs skips a test that cannot run here.
func needs(t *testing.T) {
	t.Helper()
	if os.Getenv("STACKSCOPE_PACKAGE_TEST") == "" {
		t.Skip("installs packages on a Debian system that it boots: make package-test")
	}
	if os.Geteuid() != 0 {
		t.Fatal("make package-test boots a system in namespaces and needs root: sudo make package-test")
	}
	for _, program := range []string{"debootstrap", "unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is missing: apt-get install debootstrap util-linux", program)
		}
	}
}

// built is a folder with the packages of one version.
type built struct{ dir, version string }

// file returns the package with a name, like stackscope_*_amd64.deb.
func (b built) file(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s matches %q (%v), want one file", pattern, found, err)
	}
	return found[0]
}

// older returns the packages of the first version, and newer those of the one that follows.
func older(t *testing.T, format string) built {
	t.Helper()
	dir := os.Getenv("STACKSCOPE_RELEASE")
	if dir == "" {
		return build(t, oldVersion, format, nil)
	}
	text, err := os.ReadFile(filepath.Join(dir, "metadata.json"))
	var metadata struct{ Version string }
	if err == nil {
		err = json.Unmarshal(text, &metadata)
	}
	if err != nil {
		t.Fatalf("the version of the packages in %s: %v", dir, err)
	}
	return built{dir, metadata.Version}
}

func newer(t *testing.T, format string) built {
	t.Helper()
	version := newVersion
	if os.Getenv("STACKSCOPE_RELEASE") != "" {
		version = laterVersion
	}
	return build(t, version, format, withChangedConfig(t))
}

// build links the programs with a version and packs them as .goreleaser.yaml says. change may change what is packed.
func build(t *testing.T, version, format string, change func(config map[string]any)) built {
	t.Helper()
	out := built{t.TempDir(), version}
	if keep := os.Getenv("STACKSCOPE_PACKAGE_DIR"); keep != "" {
		out.dir = filepath.Join(keep, version)
		if found, _ := filepath.Glob(filepath.Join(out.dir, "*."+format)); len(found) == len(units) {
			return out
		}
		if err := os.MkdirAll(out.dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Kept, so that go build links nothing again that has not changed.
	programs, err := filepath.Abs(filepath.Join(repository, "dist", "package-test", version))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	ldflags := "-s -w -X github.com/stackscope/stackscope/internal/base/buildinfo.version=" + version
	command(t, repository, "go", "build", "-trimpath", "-tags", "netgo,osusergo,oldglibc", "-ldflags", ldflags, "-o", programs+"/", "./cmd/...")
	for _, config := range configs(t) {
		name, _ := config["package_name"].(string)
		config["name"], config["version"], config["arch"], config["platform"] = name, version, "amd64", "linux"
		config["contents"] = append(config["contents"].([]any), map[string]any{
			"src": filepath.Join(programs, name), "dst": filepath.Join("/usr/bin", name), "file_info": map[string]any{"mode": 0o755},
		})
		for _, key := range []string{"package_name", "id", "ids", "formats", "file_name_template", "bindir"} {
			delete(config, key)
		}
		if change != nil {
			change(config)
		}
		file := filepath.Join(out.dir, name+".yaml")
		text, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		command(t, ".", "go", "tool", "nfpm", "package", "--config", file, "--packager", format, "--target", out.dir+"/")
	}
	return out
}

// configs returns the packages of .goreleaser.yaml in the form that nfpm itself reads. Paths there are those of the repository.
func configs(t *testing.T) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Packages []map[string]any `yaml:"nfpms"`
	}
	// What goreleaser's templates would say.
	const date = "2026-01-02T03:04:05Z"
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "{{ .CommitDate }}", date)), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Packages) != 2 {
		t.Fatalf(".goreleaser.yaml has %d packages, want 2", len(file.Packages))
	}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range file.Packages {
		for _, content := range config["contents"].([]any) {
			absolute(content.(map[string]any), "src", root)
		}
		for key := range config["scripts"].(map[string]any) {
			absolute(config["scripts"].(map[string]any), key, root)
		}
		absolute(config, "changelog", root)
		for _, override := range config["overrides"].(map[string]any) {
			// goreleaser and nfpm have different names for one thing.
			fields := override.(map[string]any)
			fields["depends"] = fields["dependencies"]
			delete(fields, "dependencies")
		}
	}
	return file.Packages
}

func absolute(fields map[string]any, key, root string) {
	if path, ok := fields[key].(string); ok {
		fields[key] = filepath.Join(root, path)
	}
}

// command runs a command of this machine, which must succeed.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", fmt.Sprint(append([]string{name}, args...)), err, last(string(out), 4000))
	}
	return string(out)
}
