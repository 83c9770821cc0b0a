package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

// watched runs watch for three requests and a bit, of which the second fails, and returns what it printed.
func watched(t *testing.T, screen terminal.Screen, asJSON bool) (stdout, stderr string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var out, errs strings.Builder
		screen.Writer = &out
		requests := 0
		w := watch{env: &command.Env{Context: ctx, Stdout: screen, Stderr: &errs}, interval: 2 * time.Second, json: asJSON, read: func(context.Context) (serverStatus, error) {
			if requests++; requests == 2 {
				return serverStatus{}, errors.New("connection refused")
			}
			return serverStatus{Version: "1.2.3", url: "http://s", Inventory: client.Inventory{Workers: []wire.Worker{{ID: 1, Name: "n1", State: "ready"}}}}, nil
		}}
		if err := w.run(); err != nil {
			t.Errorf("its end is an error: %v", err)
		}
		if requests != 3 {
			t.Errorf("%d requests in five seconds", requests)
		}
		stdout, stderr = out.String(), errs.String()
	})
	return stdout, stderr
}

func TestWatch(t *testing.T) {
	out, _ := watched(t, terminal.Screen{}, false)
	if strings.Count(out, "n1") != 3 || strings.Contains(out, "\x1b") || strings.Count(out, "the server does not answer: connection refused") != 1 {
		t.Errorf("into a file:\n%s", out)
	}
	out, stderr := watched(t, terminal.Screen{Redraw: true}, true)
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], `{"version":"1.2.3"`) || stderr != "warning: connection refused\n" {
		t.Errorf("JSON:\n%s%s", out, stderr)
	}
	out, _ = watched(t, terminal.Screen{Redraw: true, Colour: true, Width: 80, Height: 24}, false)
	if !strings.HasPrefix(out, hideCursor+clearScreen) || !strings.HasSuffix(out, showCursor) || strings.Count(out, cursorHome) != 3 || !strings.Contains(out, "\x1b[32mready\x1b[0m") {
		t.Errorf("on a terminal:\n%q", out)
	}
}

// A server that does not answer at all is an error, as without --watch.
func TestWatchOfNoServer(t *testing.T) {
	want := errors.New("connection refused")
	w := watch{
		env: &command.Env{Context: t.Context(), Stdout: &strings.Builder{}}, interval: time.Second,
		read: func(context.Context) (serverStatus, error) { return serverStatus{}, want },
	}
	if err := w.run(); !errors.Is(err, want) {
		t.Error(err)
	}
	if err := (&statusCmd{Watch: true, Interval: time.Millisecond}).Run(&command.Env{Context: t.Context()}); err == nil || !strings.Contains(err.Error(), "--interval 1ms: give at least 1s") {
		t.Error(err)
	}
}

func TestFrame(t *testing.T) {
	const text = "1\n2\n3\n4\n5\n"
	for height, want := range map[int]string{
		0: "1|2|3|4|5|", 6: "1|2|3|4|5|", 5: "1|2|3|… and 2 lines more: enlarge the terminal, or use stackscope status | less|",
	} {
		got := strings.ReplaceAll(strings.ReplaceAll(frame(text, height), clearLine, ""), "\n", "|")
		if diff := cmp.Diff(cursorHome+want+clearBelow, got); diff != "" {
			t.Errorf("height %d: %s", height, diff)
		}
	}
}
