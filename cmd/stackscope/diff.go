package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/mapping"
)

type mappingDiff struct {
	A string `arg:"" name:"file" help:"Document, JSON or YAML; - reads standard input. @N is a generation of a server, @active the active one, @default its built-in document."`
	B string `arg:"" optional:"" name:"other-file" help:"Document or generation to compare with. Default: the built-in one."`
	remote
}

// Help says what the exit code means.
func (*mappingDiff) Help() string {
	return "Prints one line for each change that turns the first document into the other: added is what only the other has, removed what only the first has. " +
		"Of a document that extends the built-in one, the whole is compared. A server is asked only for generations.\n\n" +
		"The exit code is 0 when the documents are equal, and 1 when they differ or one of them cannot be read."
}

func (c *mappingDiff) Run(e *command.Env) error {
	if c.A == "-" && c.B == "-" {
		return errors.New("only one of the two documents can be standard input")
	}
	s, err := newSides(e, &c.remote, c.A, c.B)
	if err != nil {
		return err
	}
	a, err := s.read(c.A)
	if err != nil {
		return err
	}
	b := s.defaultSide()
	if c.B != "" {
		if b, err = s.read(c.B); err != nil {
			return err
		}
	}
	differences := mapping.Diff(a.doc, b.doc)
	if len(differences) == 0 {
		return nil
	}
	screen := terminal.Of(e.Stdout, os.Getenv)
	say := func(style terminal.Style, format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintln(screen, screen.Paint(style, terminal.Printable(fmt.Sprintf(format, args...))))
		}
	}
	say(terminal.Bad, "--- %s", a.name)
	say(terminal.Good, "+++ %s", b.name)
	for _, d := range differences {
		switch d.Kind {
		case mapping.Added:
			say(terminal.Good, "added %s: %s", d.Pointer, d.After)
		case mapping.Removed:
			say(terminal.Bad, "removed %s: %s", d.Pointer, d.Before)
		default:
			say(terminal.Warning, "%s %s: %s -> %s", d.Kind, d.Pointer, d.Before, d.After)
		}
	}
	if err != nil {
		return err
	}
	added, removed, changed := countKinds(differences)
	return fmt.Errorf("the documents differ in %s: %d only in the second (added), %d only in the first (removed), %d changed",
		count(len(differences), "place"), added, removed, changed)
}

func countKinds(differences []mapping.Difference) (added, removed, changed int) {
	for _, d := range differences {
		switch d.Kind {
		case mapping.Added:
			added++
		case mapping.Removed:
			removed++
		default:
			changed++
		}
	}
	return added, removed, changed
}

type mappingSchema struct{}

func (*mappingSchema) Run(e *command.Env) error {
	_, err := e.Stdout.Write(mapping.Schema())
	return err
}
