package compose_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var optional = regexp.MustCompile(`(?m)^( +)# (- (?:GPUSTACK_[A-Z_]+=|\./)[^ #\n]*)`)

// Lines that users may take in are right: the settings are there, and name files of a folder that is mounted to be read alone.
func TestOptionalLines(t *testing.T) {
	flags, err := os.ReadFile(filepath.Join("..", "..", "docs", "flags.md"))
	if err != nil {
		t.Fatal(err)
	}
	for file, wanted := range map[string][]string{
		serverFile:       {"GPUSTACK_WEB_CONFIG_FILE", "GPUSTACK_BUILTIN_PROMETHEUS_HTTP_CONFIG_FILE"},
		externalFile:     {"GPUSTACK_WEB_CONFIG_FILE"},
		workerFile:       {"GPUSTACK_CA_FILE", "GPUSTACK_WEB_CONFIG_FILE"},
		unprivilegedFile: {"GPUSTACK_CA_FILE", "GPUSTACK_WEB_CONFIG_FILE"},
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(path, optional.ReplaceAll(text, []byte("$1$2")), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, err := compose(t, required[file], "--project-directory", ".", "-f", path, "config", "--format", "json")
		if err != nil {
			t.Errorf("%s with its optional lines: %v\n%s", file, err, stderr)
			continue
		}
		var p project
		if err := json.Unmarshal([]byte(stdout), &p); err != nil {
			t.Fatal(err)
		}
		s := p.Services["gpustack-server"]
		if file != serverFile && file != externalFile {
			s = p.Services["stackscope-worker"]
		}
		mounts := map[string]bool{} // and whether they are to be read alone
		for _, m := range s.Volumes {
			mounts[m.Target] = m.ReadOnly
		}
		for _, name := range wanted {
			if !strings.Contains(string(flags), "$"+name+")") {
				t.Errorf("%s: no flag is set by %s", file, name)
			}
			if dir := filepath.Dir(s.Environment[name]); !mounts[dir] {
				t.Errorf("%s: %s=%q: no mount to be read alone at %s", file, name, s.Environment[name], dir)
			}
		}
	}
}
