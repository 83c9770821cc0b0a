package main

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/tests/programs/pty"
)

func TestSetAsksAtTerminal(t *testing.T) {
	f := newFleet(t)
	f.join("node-1", losing())
	doc := writeFile(t, "nine.yaml", nineLines)
	for _, tt := range []struct {
		keys string
		code int
		says string
	}{
		{"n\n", 1, "nothing was changed"},
		{"\n", 1, "nothing was changed"},
		{pty.CtrlD, 1, "nothing was changed"},
		{pty.CtrlC, 130, "interrupted: nothing was changed"},
	} {
		s := pty.Start(t, f.command("mapping", "set", doc), 120, 40)
		s.Await("asking 1 worker ...")
		s.Await("`extends: default` in the document, would keep them.")
		s.Await("30 series of 2 metrics vanish. Activate it? [y/N] ")
		s.Type(tt.keys)
		if code := s.ExitCode(); code != tt.code || !strings.HasSuffix(s.Screen(), tt.says+"\n") {
			t.Fatalf("%q: exit code %d:\n%s", tt.keys, code, s.Screen())
		}
		if n := f.active(); n != 0 {
			t.Fatalf("%q: generation %d is active", tt.keys, n)
		}
	}
	s := pty.Start(t, f.command("mapping", "set", doc), 120, 40)
	s.Await("[y/N] ")
	s.Type("y\n")
	s.Await("Comment for the history (may be empty): ")
	s.Type(pty.CtrlC)
	if code := s.ExitCode(); code != 130 || f.active() != 0 {
		t.Fatalf("Ctrl-C at the comment: exit code %d, generation %d:\n%s", code, f.active(), s.Screen())
	}
	s = pty.Start(t, f.command("mapping", "set", doc), 120, 40)
	s.Await("[y/N] ")
	s.Type("yes\nonly what we look at\n") // the second line is typed before it is asked for
	if code := s.ExitCode(); code != 0 || f.active() != 1 || !strings.Contains(s.Screen(), "generation 1 is active, sent to 1 worker\n") {
		t.Fatalf("exit code %d, generation %d:\n%s", code, f.active(), s.Screen())
	}
	// Nothing vanishes: only the comment is asked for, and not where it is given or the document is active already.
	s = pty.Start(t, f.command("mapping", "reset"), 120, 40)
	s.Await("Comment for the history (may be empty): ")
	s.Type("\n")
	if code := s.ExitCode(); code != 0 || f.active() != 2 || strings.Contains(s.Screen(), "vanish") {
		t.Fatalf("reset: exit code %d, generation %d:\n%s", code, f.active(), s.Screen())
	}
	for _, args := range [][]string{{"set", doc, "--comment", "why", "--merge"}, {"set", doc, "--merge"}, {"set", doc, "--yes"}, {"reset", "--comment="}} {
		s = pty.Start(t, f.command(append([]string{"mapping"}, args...)...), 120, 40)
		if code := s.ExitCode(); code != 0 || strings.Contains(s.Screen(), "?") || strings.Contains(s.Screen(), "Comment for") {
			t.Fatalf("%v: exit code %d:\n%s", args, code, s.Screen())
		}
	}
}

// A document of standard input leaves no terminal to ask.
func TestDocumentOfStandardInputIsNoAnswer(t *testing.T) {
	f := newFleet(t)
	f.join("node-1", losing())
	cmd := f.command("mapping", "set", "-")
	cmd.Args = append([]string{"sh", "-c", `printf '%s' "$DOC" | "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.Env = "/bin/sh", append(cmd.Env, "DOC="+nineLines)
	s := pty.Start(t, cmd, 120, 40)
	if code := s.ExitCode(); code != 3 || f.active() != 0 {
		t.Fatalf("exit code %d, generation %d:\n%s", code, f.active(), s.Screen())
	}
}

func TestDiffIsInColourAtTerminal(t *testing.T) {
	f := newFleet(t)
	cmd := f.command("mapping", "diff", writeFile(t, "nine.yaml", nineLines))
	cmd.Env = append(cmd.Env, "NO_COLOR=")
	s := pty.Start(t, cmd, 120, 40)
	if code := s.ExitCode(); code != 1 || !strings.Contains(s.Screen(), "\x1b[32madded /gpustack_metrics/") || !strings.Contains(s.Screen(), "\x1b[32m+++ the built-in document\x1b[0m\n") {
		t.Fatalf("exit code %d:\n%s", code, s.Screen())
	}
}

// What becomes active between the dry run and the change is not overwritten.
func TestOvertaken(t *testing.T) {
	f := newFleet(t)
	w := losing()
	w.asked = func() {
		if _, err := f.admin().SetConfig(t.Context(), []byte(nineLines), client.Change{IfGeneration: client.AnyGeneration, Author: "bob", Comment: "first"}); err != nil {
			t.Error(err)
		}
	}
	f.join("node-1", w)
	doc := writeFile(t, "other.yaml", strings.ReplaceAll(nineLines, "Running", "Working"))
	f.must(1, []string{"mapping", "set", doc, "--yes"}, "generation 1 became active meanwhile by bob", `("first")`, "nothing was changed", "`stackscope mapping diff @0 @1`")
	if n := f.active(); n != 1 {
		t.Errorf("generation %d is active", n)
	}
}
