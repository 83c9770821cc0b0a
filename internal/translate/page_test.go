package translate_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// A pageFile is a file of testdata: a page, how it comes, and what becomes of it. Its comment is free text followed by
// settings: runtime, version, labels (of the instance), format, content-type, crlf, cut (bytes to leave out at the end,
// the last newline included) and partial (the page has some of the engine's metrics only).
type pageFile struct {
	name     string
	path     string
	archive  *txtar.Archive
	settings map[string]string
	page     []byte
	format   translate.Format
	plan     *mapping.Plan
	labels   []translate.Label
}

// Sections of a page file.
const (
	sectionPage    = "page"
	sectionUnified = "unified"
	sectionRaw     = "raw"
	sectionStats   = "stats"
)

func (p *pageFile) section(name string) []byte {
	for _, f := range p.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func pageFiles(tb testing.TB) []*pageFile {
	tb.Helper()
	return pageFilesIn(tb, "testdata")
}

func pageFilesIn(tb testing.TB, folder string) []*pageFile {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no pages in %s: %v", folder, err)
	}
	files := make([]*pageFile, len(paths))
	for i, path := range paths {
		files[i] = readPageFile(tb, path)
	}
	return files
}

func readPageFile(tb testing.TB, path string) *pageFile {
	tb.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	p := &pageFile{name: strings.TrimSuffix(filepath.Base(path), ".txtar"), path: path, archive: archive, settings: map[string]string{}}
	for line := range strings.SplitSeq(string(archive.Comment), "\n") {
		if key, value, ok := strings.Cut(line, ": "); ok && !strings.Contains(key, " ") {
			p.settings[key] = value
		}
	}
	p.page = p.section(sectionPage)
	if p.settings["crlf"] != "" {
		p.page = []byte(strings.ReplaceAll(string(p.page), "\n", "\r\n"))
	}
	if cut, _ := strconv.Atoi(p.settings["cut"]); cut > 0 {
		p.page = p.page[:len(p.page)-cut]
	}
	contentType := p.settings["content-type"]
	if p.settings["format"] == "openmetrics" {
		contentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	p.format = translate.DetectFormat(contentType, p.page)
	runtime := p.settings["runtime"]
	if runtime == "" || runtime == "Test" {
		p.plan = testMapping(tb).Plan("Test", p.settings["version"])
	} else {
		p.plan = defaultMapping(tb).Plan(runtime, p.settings["version"])
	}
	p.labels = instanceLabels("1")
	if own := p.settings["labels"]; own != "" {
		p.labels = nil
		for pair := range strings.FieldsSeq(own) {
			name, value, _ := strings.Cut(pair, "=")
			p.labels = append(p.labels, translate.Label{Name: name, Value: value})
		}
	}
	return p
}

func instanceLabels(id string) []translate.Label {
	return []translate.Label{
		{Name: "worker_id", Value: "7"},
		{Name: "model_name", Value: "llama"},
		{Name: "model_instance_id", Value: id},
		{Name: "runtime", Value: "R"},
	}
}

var compileDefault = sync.OnceValues(func() (*mapping.Compiled, error) { return mapping.Compile(mapping.Default()) })

func defaultMapping(tb testing.TB) *mapping.Compiled {
	tb.Helper()
	c, err := compileDefault()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

var compileTest = sync.OnceValues(func() (*mapping.Compiled, error) {
	data, err := os.ReadFile("testdata/mapping.yaml")
	if err != nil {
		return nil, err
	}
	document, err := mapping.Decode(data)
	if err != nil {
		return nil, err
	}
	return mapping.Compile(document)
})

func testMapping(tb testing.TB) *mapping.Compiled {
	tb.Helper()
	c, err := compileTest()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
