package docs_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/simgrafana"
	"github.com/stackscope/stackscope/tests/programs"
)

// TestRollbackSteps: an upgrade of an old database leaves a copy, and the page's commands put it back: the next start finds the old schema
// again, with everything in it.
func TestRollbackSteps(t *testing.T) {
	needPrograms(t)
	blocks, err := readPage(page("operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var steps *block
	for i := range blocks {
		if blocks[i].before == "rollback" {
			steps = &blocks[i]
		}
	}
	if steps == nil {
		t.Fatal("operations.md has no steps of a rollback")
	}
	g := newPlainGuide(t, page("operations.md"), simgrafana.Home(t))
	s := g.newServer()
	unpack(t, filepath.Join("..", "e2e", "testdata", "8d30d44", "server", "stackscope.db.gz"), filepath.Join(s.dir, "stackscope.db"))

	upgrade := func() {
		t.Helper()
		p := start(t, g.dir, append(append([]string{}, g.env...), append(s.env(), "GPUSTACK_DISABLE_BUILTIN_OBSERVABILITY=true")...), filepath.Join(g.bin, "stackscope"), "server")
		programs.Eventually(t, 60*time.Second, "the server is ready", func() error { _, err := programs.Get(s.url() + "/readyz"); return err })
		if out := p.Output(); strings.Count(out, "copied the database before its schema changes") != 1 {
			t.Errorf("the old schema was not copied: %s", out)
		}
		if workers, err := programs.Get(s.url() + "/v2/workers"); err != nil || strings.Count(workers, `"name":`) != 5 {
			t.Errorf("workers: %s, %v", workers, err)
		}
		p.Stop(syscall.SIGTERM)
	}
	upgrade()
	if err := g.once(t.Context(), steps, s.replacer().Replace(steps.text), g.env, time.Minute); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "stackscope.db*")); err != nil || len(left) != 2 { // with .expected
		t.Errorf("%q, %v", left, err)
	}
	upgrade()
}

func unpack(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	plain, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
