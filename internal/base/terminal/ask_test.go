package terminal

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestYes(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, " YES \r\n": true, "\n": false, "n\n": false, "yeah\n": false, "\x1b[Ay\n": true} {
		var out strings.Builder
		got, err := NewAsker(strings.NewReader(answer), &out).Yes(t.Context(), "Sure?")
		if got != want || err != nil || out.String() != "Sure? [y/N] " {
			t.Errorf("%q: %v, %v; it asked %q", answer, got, err, out.String())
		}
	}
}

// The line of a second question may have been typed before that is asked.
func TestQuestionsShareTheInput(t *testing.T) {
	var out strings.Builder
	a := NewAsker(strings.NewReader("y\n a\tcomment,\x1b[D \x07überlegt\n"), &out)
	if yes, err := a.Yes(t.Context(), "Sure?"); !yes || err != nil {
		t.Fatal(yes, err)
	}
	if line, err := a.Line(t.Context(), "Why? "); line != "a comment, überlegt" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if line, err := a.Line(t.Context(), "Else? "); line != "" || !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%q, %v", line, err)
	}
	if out.String() != "Sure? [y/N] Why? Else? \n" {
		t.Errorf("%q", out.String())
	}
}

// "y" without the end of a line is no answer: the terminal was closed.
func TestUnfinishedAnswerIsNone(t *testing.T) {
	if yes, err := NewAsker(strings.NewReader("y"), io.Discard).Yes(t.Context(), "Sure?"); yes || !errors.Is(err, ErrNoAnswer) {
		t.Error(yes, err)
	}
}

func TestAnswerIsBoundedByItsLine(t *testing.T) {
	if _, err := NewAsker(strings.NewReader(strings.Repeat("y", 1<<20)), io.Discard).Line(t.Context(), "?"); err == nil || errors.Is(err, ErrNoAnswer) {
		t.Error(err)
	}
}

func TestInterruptedQuestion(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, keep := io.Pipe()
	defer func() { _ = keep.Close() }()
	if _, err := NewAsker(in, io.Discard).Line(ctx, "?"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if CanAsk(in, io.Discard) {
		t.Error("a pipe is no terminal")
	}
}
