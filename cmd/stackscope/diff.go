package main

import (
	"fmt"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/mapping"
)

type mappingDiff struct {
	A string `arg:"" name:"file" help:"Document, JSON or YAML; - reads standard input."`
	B string `arg:"" optional:"" name:"other-file" help:"Document to compare with. Default: the built-in one."`
}

// Help says what the exit code means.
func (*mappingDiff) Help() string {
	return "Prints one line for each change that turns the first document into the other.\n" +
		"The exit code is 0 when the documents are equal, and 1 when they differ or one of them cannot be read."
}

func (c *mappingDiff) Run(e *command.Env) error {
	a, _, err := readDocument(e, c.A)
	if err != nil {
		return err
	}
	b, other := mapping.Default(), "the built-in document"
	if c.B != "" {
		other = c.B
		if b, _, err = readDocument(e, c.B); err != nil {
			return err
		}
	}
	differences := mapping.Diff(a, b)
	for _, d := range differences {
		switch d.Kind {
		case "added":
			_, err = fmt.Fprintf(e.Stdout, "added %s: %s\n", d.Pointer, d.After)
		case "removed":
			_, err = fmt.Fprintf(e.Stdout, "removed %s: %s\n", d.Pointer, d.Before)
		default:
			_, err = fmt.Fprintf(e.Stdout, "%s %s: %s -> %s\n", d.Kind, d.Pointer, d.Before, d.After)
		}
		if err != nil {
			return err
		}
	}
	switch n := len(differences); n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s and %s differ in 1 place", c.A, other)
	default:
		return fmt.Errorf("%s and %s differ in %d places", c.A, other, n)
	}
}

type mappingSchema struct{}

func (*mappingSchema) Run(e *command.Env) error {
	_, err := e.Stdout.Write(mapping.Schema())
	return err
}
