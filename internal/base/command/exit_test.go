package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

type failing struct{ err error }

func (f *failing) Run(*Env) error { return f.err }

func TestExit(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		said string
	}{
		{nil, 0, ""},
		{fmt.Errorf("x: %w", context.Canceled), 0, ""},
		{errors.New("one\ntwo"), 1, "prog: error: one; two\n"},
		{ErrSaid, 1, ""},
		{&CodeError{CodeRefused, ErrSaid}, 3, ""},
		{fmt.Errorf("x: %w", &CodeError{CodeRefused, errors.New("no")}), 3, "prog: error: x: no\n"},
		{&CodeError{CodeInterrupted, context.Canceled}, 130, "prog: error: context canceled\n"},
	} {
		var stderr strings.Builder
		var grammar struct {
			Do failing `cmd:""`
		}
		grammar.Do.err = tt.err
		if code := run("prog", "", &grammar, []string{"do"}, &Env{Context: t.Context(), Stdout: &stderr, Stderr: &stderr}); code != tt.code || stderr.String() != tt.said {
			t.Errorf("%v: exit code %d, said %q", tt.err, code, stderr.String())
		}
	}
}

// A flag without its value is told so, and not what the parser calls the end of the line.
func TestMissingValue(t *testing.T) {
	for flag, value := range map[string]any{"--name": &struct{ Name string }{}, "--port": &struct{ Port int }{}} {
		err := parseAndRun("prog", "", value, []string{flag}, &Env{Context: t.Context()})
		if want := flag + ": its value is missing; run `prog --help` for help"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
