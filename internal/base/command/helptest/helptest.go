// Package helptest checks the help of a program; for tests only.
package helptest

import (
	"io"
	"regexp"
	"testing"

	"github.com/alecthomas/kong"
)

// Check fails the test where the help of a flag names another one that its command lacks. grammar is what command.Main takes.
func Check(t *testing.T, grammar any) {
	t.Helper()
	parser, err := kong.New(grammar, kong.Writers(io.Discard, io.Discard), kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`--[a-z][a-z0-9-]+(?:\.[a-z][a-z0-9-]*)*`)
	err = kong.Visit(parser.Model, func(v kong.Visitable, next kong.Next) error {
		node, ok := v.(*kong.Node)
		if app, is := v.(*kong.Application); is {
			node, ok = app.Node, true
		}
		if !ok {
			return next(nil)
		}
		there := map[string]bool{}
		for _, group := range node.AllFlags(false) {
			for _, flag := range group {
				there["--"+flag.Name] = true
			}
		}
		for _, group := range node.AllFlags(false) {
			for _, flag := range group {
				for _, other := range named.FindAllString(flag.Help, -1) {
					if !there[other] {
						t.Errorf("%s: the help of --%s names %s, which isn't there", node.FullPath(), flag.Name, other)
					}
				}
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}
