package command

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manual writes the pages of this package's test program.
func manual(t *testing.T) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "man")
	if _, stderr, code := runs(t, "stackscope", new(tree), manCommand, dir, "1.2.3-dev", "2026-11-30"); code != 0 {
		t.Fatal(stderr)
	}
	pages := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		pages[entry.Name()] = string(text)
	}
	return pages
}

func TestManual(t *testing.T) {
	pages := manual(t)
	for file, parts := range map[string][]string{
		"stackscope.1":             {`.TH "STACKSCOPE" "1" "2026-11-30" "stackscope 1.2.3\-dev" "stackscope"`, ".TP\n\\fBworker list\\fR\n", `\fBstackscope\-worker\-list\fR(1)`, `\fBstackscope.yaml\fR(5)`},
		"stackscope-start.1":       {".SH \"SYNOPSIS\"\n\\fBstackscope start\\fR [\\fIFLAG\\fR...]\n", `\fB\-\-data\-dir\fR=\fI`, `\fB\-\-debug\fR` + "\n"},
		"stackscope-worker-list.1": {`\fBstackscope\fR(1)`},
	} {
		for _, part := range parts {
			if !strings.Contains(pages[file], part) {
				t.Errorf("%s lacks %q:\n%s", file, part, pages[file])
			}
		}
	}
	if _, ok := pages["stackscope-worker.1"]; ok {
		t.Error("stackscope-worker.1 is the page of the program stackscope-worker")
	}
	if diff := cmp.Diff(pages, manual(t)); diff != "" {
		t.Errorf("the pages of a second run: %s", diff)
	}
	if _, stderr, code := runs(t, "stackscope", new(tree), manCommand, "x"); code != 1 || !strings.Contains(stderr, "give a directory, a version and a date") {
		t.Errorf("%d %s", code, stderr)
	}
}

// TestManualIsGoodRoff asks the tools that the distributions' checks use, where they are.
func TestManualIsGoodRoff(t *testing.T) {
	for _, tool := range [][]string{
		{"mandoc", "-Tlint", "-Wstyle"},
		{"groff", "-man", "-ww", "-Tutf8"},
	} {
		t.Run(tool[0], func(t *testing.T) {
			program, err := exec.LookPath(tool[0])
			if err != nil {
				t.Skipf("%s is not on this machine", tool[0])
			}
			for file, text := range manual(t) {
				cmd := exec.CommandContext(t.Context(), program, tool[1:]...)
				cmd.Stdin = strings.NewReader(text)
				var said bytes.Buffer
				cmd.Stdout, cmd.Stderr = io.Discard, &said
				if slices.Contains(tool, "-Tlint") {
					cmd.Stdout = &said
				}
				if err := cmd.Run(); err != nil || said.Len() > 0 {
					t.Errorf("%s: %v\n%s", file, err, said.String())
				}
			}
		})
	}
}
