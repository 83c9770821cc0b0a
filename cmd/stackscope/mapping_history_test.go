package main

import (
	"bytes"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

func TestHistory(t *testing.T) {
	f := newFleet(t)
	f.join("node-1", losing())
	doc := writeFile(t, "nine.yaml", nineLines)
	f.must(0, []string{"mapping", "history"})
	f.must(0, []string{"mapping", "set", doc, "--merge", "--comment", "our names", "--author", "alice"})
	f.must(0, []string{"mapping", "set", doc, "--yes", "--comment", "only ours"})
	f.must(3, []string{"mapping", "set", writeFile(t, "other.yaml", strings.ReplaceAll(nineLines, "Running", "Else")), "--comment", "never"})
	f.must(0, []string{"mapping", "restore", "@1", "--comment=", "--author", "bob"}, "generation 3 is active", "`stackscope mapping restore 2` goes back")
	f.must(0, []string{"mapping", "reset", "--comment", "all of it"}, "generation 4 is active")
	history := decodeAnswer[wire.List[wire.Generation]](t, f.must(0, []string{"mapping", "history", "--json"}))
	me := ""
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	type row struct {
		n                             int64
		active                        bool
		author, comment, kind, extend string
	}
	var got []row
	for _, g := range history.Items {
		if g.Number > 0 && (g.At == nil || time.Since(*g.At) > time.Hour) {
			t.Errorf("generation %d is of %v", g.Number, g.At)
		}
		got = append(got, row{g.Number, g.Active, g.Author, g.Comment, kindOf(&g), g.Extends})
	}
	want := []row{
		{4, true, me, "all of it", "default", ""},
		{3, false, "bob", "", "overlay, restored from 1", "default"},
		{2, false, me, "only ours", "document", ""},
		{1, false, "alice", "our names", "overlay", "default"},
		{0, false, "", "", "default", ""}, // the built-in document
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Error(diff)
	}
	table := f.must(0, []string{"mapping", "history", "--limit", "2"}, "GENERATION  ACTIVE  TIME", "all of it", "overlay, restored from 1", "\nand 3 older; --limit 0 prints all\n")
	if lines := strings.Split(table, "\n"); !strings.HasPrefix(lines[1], "4           *       ") || strings.Contains(table, "only ours") {
		t.Error(table)
	}

	shown := f.must(0, []string{"mapping", "show", "1"}, "# generation 1: overlay, ", ", by alice\n# our names\nextends: default\n")
	if doc, err := mapping.Decode([]byte(shown)); err != nil || doc.Extends() == "" {
		t.Errorf("%v: %s", err, shown)
	}
	if doc, err := mapping.Decode([]byte(f.must(0, []string{"mapping", "show", "1", "--effective", "--json"}))); err != nil || doc.Extends() != "" || len(mapping.Diff(doc, mapping.Default())) != 1 {
		t.Errorf("effective: %v", err)
	}
	f.must(1, []string{"mapping", "show", "9"}, "generation 9")
	f.must(1, []string{"mapping", "restore", "9"}, "generation 9")
	f.must(0, []string{"mapping", "dry-run", "--restore", "1"}, "0 removed")
	f.must(3, []string{"mapping", "dry-run", "@2"}, "30 removed")
	f.must(3, []string{"mapping", "restore", "2"}, "30 series of 2 metrics would vanish", "--yes activates it all the same")

	// Both sides of a difference are whole documents, whatever they extend.
	f.must(1, []string{"mapping", "diff", "@1", "@active"}, "--- generation 1\n+++ generation 4, which is active\n",
		`changed /gpustack_metrics/gpustack:num_requests_running/description: "Running." -> "Requests that the engine is computing."`, "the documents differ in 1 place")
	f.must(0, []string{"mapping", "diff", "@1", "@3"})
	f.must(0, []string{"mapping", "diff", "@2", doc})
	f.must(0, []string{"mapping", "diff", "@default"})
	f.must(1, []string{"mapping", "diff", doc, "@default"}, "--- "+doc+"\n+++ the server's built-in document\nchanged")

	f.must(0, []string{"mapping", "set", doc, "--merge"})
	if got := f.must(0, []string{"mapping", "get"}); !strings.HasPrefix(got, "extends: default\n") {
		t.Errorf("get: %.80s", got)
	}
	if got := f.must(0, []string{"mapping", "get", "--effective"}); strings.Contains(got, "extends") || len(got) < 10_000 {
		t.Errorf("get --effective: %.80s", got)
	}
	printed := f.must(0, []string{"mapping", "get", "--json"})
	if doc, err := mapping.Decode([]byte(printed)); err != nil || doc.Extends() == "" || !bytes.HasPrefix([]byte(printed), []byte("{\n  \"extends\"")) {
		t.Errorf("get --json: %v, %.80s", err, printed)
	}
}
