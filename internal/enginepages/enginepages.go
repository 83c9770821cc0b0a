// Package enginepages gives tests the metrics pages of engines: the repository's own, which every test has, and recorded ones,
// where the machine has some. The recorded ones are other people's and not in the repository. Only tests use this package.
package enginepages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// EnvRecorded names the variable that holds the folder of recorded pages, *.prom. Without it they are looked for beside the
// checkout, in shared/captures.
const EnvRecorded = "STACKSCOPE_RECORDED_PAGES"

// ownFolder is where the repository's own pages are, from its root.
const ownFolder = "internal/translate/testdata"

// A Page is what an engine answered to a scrape, or could have.
type Page struct {
	Name     string // of the page's file, without its ending
	Runtime  string // as the built-in mapping names the engine; empty for a page of something else
	Version  string // the engine's; empty where it is not known
	Recorded bool
	Partial  bool // it has some of the engine's metrics only
	Text     []byte
}

// Own returns the pages of engines in the repository, sorted by name within their folder.
func Own(tb testing.TB) []Page {
	tb.Helper()
	var pages []Page
	for _, pattern := range []string{"*.txtar", "engines/*.txtar"} {
		for _, path := range glob(tb, filepath.Join(root(tb), filepath.FromSlash(ownFolder), pattern)) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				tb.Fatal(err)
			}
			p := Page{Name: name(path)}
			for line := range strings.Lines(string(archive.Comment)) {
				switch key, value, _ := strings.Cut(strings.TrimSpace(line), ": "); key {
				case "runtime":
					p.Runtime = value
				case "version":
					p.Version = value
				case "partial":
					p.Partial = true
				}
			}
			if p.Runtime == "" || p.Runtime == "Test" { // a page that no engine writes
				continue
			}
			for _, f := range archive.Files {
				if f.Name == "page" {
					p.Text = f.Data
				}
			}
			pages = append(pages, p)
		}
	}
	if len(pages) == 0 {
		tb.Fatalf("the repository has no pages of engines in %s", ownFolder)
	}
	return pages
}

// Recorded returns the recorded pages, sorted by name. It skips the test, and says so, where there are none.
func Recorded(tb testing.TB) []Page {
	tb.Helper()
	dir := os.Getenv(EnvRecorded)
	if dir == "" {
		dir = filepath.Join(root(tb), "..", "shared", "captures")
	}
	paths := glob(tb, filepath.Join(dir, "*.prom"))
	if len(paths) == 0 {
		if os.Getenv(EnvRecorded) != "" {
			tb.Fatalf("%s=%s: found no *.prom files there: name a folder that has some, or unset it", EnvRecorded, dir)
		}
		tb.Skipf("no recorded pages of engines: set %s to a folder of them", EnvRecorded)
	}
	pages := make([]Page, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // whoever runs the tests names the folder
		if err != nil {
			tb.Fatal(err)
		}
		pages[i] = Page{Name: name(path), Recorded: true, Text: text}
		pages[i].Runtime, pages[i].Version = recordedAs(pages[i].Name)
	}
	return pages
}

// Each runs a subtest for each page of the repository, and for each recorded one.
func Each(t *testing.T, test func(t *testing.T, p Page)) {
	t.Helper()
	for _, p := range Own(t) {
		t.Run(p.Name, func(t *testing.T) { test(t, p) })
	}
	t.Run("recorded", func(t *testing.T) {
		for _, p := range Recorded(t) {
			t.Run(p.Name, func(t *testing.T) { test(t, p) })
		}
	})
}

// runtimes are the engines of recorded pages by the beginning of the page's name, the longer before the shorter.
var runtimes = []struct{ prefix, runtime string }{
	{"triton-vllm-", "vLLM"}, // Triton with vLLM in it has vLLM's names
	{"vllm-", "vLLM"},
	{"sglang-", "SGLang"},
	{"mindie-", "MindIE"},
	{"tgi-", "TGI"},
	{"triton-", "Triton"},
	{"trtllm-", "trtllm-serve"},
	{"lmdeploy-", "LMDeploy"},
	{"nim-", "NIM"},
}

// recordedAs returns the engine and version that a recorded page's name tells, such as vllm-0.9.2-generated.
func recordedAs(name string) (runtime, version string) {
	for _, r := range runtimes {
		rest, ok := strings.CutPrefix(name, r.prefix)
		if !ok {
			continue
		}
		version, _, _ = strings.Cut(rest, "-")
		if version == "" || version[0] < '0' || version[0] > '9' {
			version = ""
		}
		return r.runtime, strings.Replace(version, ".x", ".0", 1)
	}
	return "", ""
}

func name(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

func glob(tb testing.TB, pattern string) []string {
	tb.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		tb.Fatal(err)
	}
	return paths
}

// root is the checkout's folder, which a test's own folder lies in.
func root(tb testing.TB) string {
	tb.Helper()
	start, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(ownFolder))); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatalf("%s lies in no checkout: there is no %s in it or above", start, ownFolder)
		}
	}
}
