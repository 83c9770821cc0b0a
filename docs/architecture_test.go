// Package docs holds documentation, and the tests that keep it true.
package docs

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/stackscope/stackscope/"

type row struct {
	folder string
	floor  int
	allow  []string
}

// readTable parses the folder table of architecture.md.
func readTable(t *testing.T) []row {
	t.Helper()
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n```\nfolder")
	if !ok {
		t.Fatal("architecture.md has no folder table")
	}
	table, _, _ := strings.Cut(rest, "\n```")
	header, table, _ := strings.Cut(table, "\n")
	allowAt := len("folder") + strings.Index(header, "may import")
	var rows []row
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\n")
		fields := strings.Fields(line)
		floor, err := strconv.Atoi(fields[1])
		if err != nil || len(line) <= allowAt || line[allowAt-1] != ' ' {
			t.Fatalf("architecture.md: row %q does not fit the table's columns", line)
		}
		allow := strings.Fields(line[allowAt:])
		if slices.Equal(allow, []string{"-"}) {
			allow = nil
		}
		rows = append(rows, row{fields[0], floor, allow})
	}
	return rows
}

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// output runs a program, whose own complaint a failure shows.
func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%v: %v\n%s", cmd, err, failed.Stderr)
	}
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return out
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	out := output(t, cmd)
	var pkgs []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func findRow(rows []row, dir string) *row {
	var best *row
	for i, r := range rows {
		if (dir == r.folder || strings.HasPrefix(dir, r.folder+"/")) && (best == nil || len(r.folder) > len(best.folder)) {
			best = &rows[i]
		}
	}
	return best
}

func TestFolderTable(t *testing.T) {
	rows := readTable(t)
	used := map[string]bool{}
	for _, p := range listPackages(t) {
		dir, inside := strings.CutPrefix(p.ImportPath, module)
		if !inside || dir == "docs" {
			continue
		}
		from := findRow(rows, dir)
		if from == nil {
			t.Errorf("%s: its folder has no row in architecture.md", dir)
			continue
		}
		used[from.folder] = true
		for _, imp := range p.Imports {
			target, inside := strings.CutPrefix(imp, module)
			if !inside {
				continue
			}
			checkImport(t, rows, dir, *from, target)
		}
	}
	for _, r := range rows {
		if _, err := os.Stat(path.Join("..", r.folder)); err != nil {
			t.Errorf("architecture.md: row %s names a folder that does not exist", r.folder)
		}
	}
}

func checkImport(t *testing.T, rows []row, dir string, from row, target string) {
	t.Helper()
	to := findRow(rows, target)
	switch {
	case to == nil:
		t.Errorf("%s imports %s, which has no row in architecture.md", dir, target)
	case to.folder == from.folder:
	case to.folder == "internal/base":
		if from.floor == 0 {
			t.Errorf("%s is on floor 0 and imports %s", dir, target)
		}
	case !slices.Contains(from.allow, strings.TrimPrefix(to.folder, "internal/")):
		t.Errorf("%s imports %s, but its row allows only %v", dir, target, from.allow)
	case from.folder == "internal/translate" && to.folder == "internal/mapping": // the one pair on a floor that knows each other
	case to.floor == from.floor && strings.HasPrefix(to.folder, from.folder+"/"): // a part of its own
	case to.floor >= from.floor:
		t.Errorf("%s (floor %d) imports %s (floor %d): imports only point down", dir, from.floor, target, to.floor)
	}
}

// TestSealedDependencies holds the libraries that only one folder may use, and those that the agent must not link.
func TestSealedDependencies(t *testing.T) {
	sealed := map[string]string{ // import prefix -> the only folders that may import it
		"github.com/prometheus/prometheus/": "internal/prom",
		"modernc.org/sqlite":                "internal/store",
		"database/sql":                      "internal/store",
		"github.com/pressly/goose":          "internal/store",
		"github.com/danielgtaylor/huma":     "internal/api",
	}
	found := map[string]bool{}
	for _, p := range listPackages(t) {
		dir := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			for prefix, owner := range sealed {
				if !strings.HasPrefix(imp, prefix) {
					continue
				}
				found[prefix] = true
				if dir != owner && !strings.HasPrefix(dir, owner+"/") {
					t.Errorf("%s imports %s: only %s may", dir, imp, owner)
				}
			}
		}
	}
	for prefix := range sealed {
		if !found[prefix] {
			t.Errorf("nothing imports %s any more: the rule guards nothing", prefix)
		}
	}

	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/stackscope-worker")
	cmd.Dir = ".."
	out := output(t, cmd)
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"internal/translate") {
		t.Fatal("go list -deps ./cmd/stackscope-worker doesn't even name internal/translate")
	}
	for _, dep := range deps {
		for _, forbidden := range []string{
			"github.com/prometheus/prometheus/", "modernc.org/sqlite", module + "internal/server", module + "internal/store",
			module + "internal/prom", module + "internal/api", module + "internal/inventory", module + "internal/simengine", module + "web",
		} {
			if strings.HasPrefix(dep, forbidden) {
				t.Errorf("stackscope-worker links %s", dep)
			}
		}
	}
}

// TestTestsAlone holds what only tests may use: no package imports it, and so no program links it.
func TestTestsAlone(t *testing.T) {
	forbidden := []string{module + "internal/simgrafana", module + "internal/enginepages", "github.com/grafana/grafana-foundation-sdk/"}
	tested := map[string]bool{}
	for _, p := range listPackages(t) {
		for _, prefix := range forbidden {
			is := func(imp string) bool { return strings.HasPrefix(imp, prefix) }
			if slices.ContainsFunc(p.Imports, is) {
				t.Errorf("%s imports %s: only tests may", p.ImportPath, prefix)
			}
			if slices.ContainsFunc(p.TestImports, is) || slices.ContainsFunc(p.XTestImports, is) {
				tested[prefix] = true
			}
		}
	}
	for _, prefix := range forbidden {
		if !tested[prefix] {
			t.Errorf("no test imports %s any more: the rule guards nothing", prefix)
		}
	}
}

// TestGrafanasModules holds which modules of Grafana's makers may be required, directly or not. Grafana itself is under the AGPL
// and a program of its own: like anything else of theirs it needs a look at its licence first.
func TestGrafanasModules(t *testing.T) {
	const makers = "github.com/grafana/"
	allowed := map[string]bool{ // and whether it was found
		makers + "grafana-foundation-sdk/go": false, // Apache-2.0, tests alone
		makers + "regexp":                    false, // BSD, by way of Prometheus
	}
	files := []string{}
	for _, pattern := range []string{"../go.*", "../*/go.*", "../*/*/go.*"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	if len(files) < 8 {
		t.Fatalf("only %q: where are the modules?", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for word := range strings.FieldsSeq(string(text)) {
			if !strings.HasPrefix(word, makers) {
				continue
			}
			if _, ok := allowed[word]; !ok {
				t.Errorf("%s requires %s, which is not allowed", file, word)
			}
			allowed[word] = true
		}
	}
	for path, found := range allowed {
		if !found {
			t.Errorf("nothing requires %s any more: the rule allows too much", path)
		}
	}
}
