package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
)

// Sequences that move the cursor, as ECMA-48 has them.
const (
	cursorHome  = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
	clearScreen = "\x1b[2J"
)

// watch prints a server's status until its context ends. A terminal shows the last one in one place; anything else gets one below the
// other. The first request must succeed. After that the last status stays while requests fail, with the reason.
type watch struct {
	env      *command.Env
	interval time.Duration
	json     bool
	read     func(context.Context) (serverStatus, error)

	last serverStatus
	at   time.Time // when last was read
}

func (w *watch) run() error {
	ctx, e := w.env.Context, w.env
	if terminal.Of(e.Stdout, os.Getenv).Redraw && !w.json {
		_, _ = io.WriteString(e.Stdout, hideCursor+clearScreen) // an error shows with the first status
		// The terminal has shown ^C.
		defer func() { _, _ = io.WriteString(e.Stdout, "\r"+clearLine+showCursor) }()
	}
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		status, err := w.read(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			w.last, w.at = status, time.Now()
		case w.at.IsZero():
			return err
		}
		if err := w.show(err); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// show prints the last status, and why there is no newer one.
func (w *watch) show(failure error) error {
	e := w.env
	if w.json {
		if failure != nil {
			_, err := fmt.Fprintln(e.Stderr, "warning:", failure)
			return err
		}
		return json.NewEncoder(e.Stdout).Encode(w.last)
	}
	screen := terminal.Of(e.Stdout, os.Getenv)
	var text bytes.Buffer
	if failure != nil {
		line := fmt.Sprintf("as of %s; the server does not answer: %v", w.at.Format(time.TimeOnly), failure)
		fmt.Fprintln(&text, screen.Paint(terminal.Bad, terminal.Clip(line, screen.Width)))
	} else {
		fmt.Fprintln(&text, screen.Paint(terminal.Faint, terminal.Clip(fmt.Sprintf("%s, every %s; Ctrl-C ends", w.at.Format(time.TimeOnly), w.interval), screen.Width)))
	}
	buffered := screen
	buffered.Writer = &text
	if err := w.last.print(&command.Env{Context: e.Context, Stdout: buffered, Stderr: e.Stderr}); err != nil {
		return err
	}
	shown := text.String() + "\n"
	if screen.Redraw {
		shown = frame(text.String(), screen.Height)
	}
	_, err := fmt.Fprint(e.Stdout, shown)
	return err
}

// frame returns what replaces the lines on a terminal of a height. Lines that do not fit are counted.
func frame(text string, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if height > 1 && len(lines) > height-1 {
		left := len(lines) - (height - 2)
		lines = append(lines[:height-2:height-2], fmt.Sprintf("… and %d lines more: enlarge the terminal, or use stackscope status | less", left))
	}
	return cursorHome + strings.Join(lines, clearLine+"\n") + clearLine + "\n" + clearBelow
}
