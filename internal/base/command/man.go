package command

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/manpage"
)

// manCommand is the word with which this program's sources ask for its manual pages: DIRECTORY VERSION DATE.
const manCommand = "__man"

// fileManual is the page about configuration files. The program that has all commands which read them writes it.
const fileManual = "stackscope.yaml"

func writeManual(program *kong.Application, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%s: give a directory, a version and a date", manCommand)
	}
	release := manpage.Release{Version: args[1], Date: args[2]}
	also := []string{fileManual + "(5)"}
	if _, err := configured(program.Node, "worker"); err == nil {
		also = append(also, "stackscope-worker(1)")
	}
	pages := manpage.Pages(program, release, also...)
	var settings []manpage.Settings
	for _, c := range [...]struct{ name, title string }{{"server", "Settings of the server"}, {"worker", "Settings of the worker"}} {
		if node, err := configured(program.Node, c.name); err == nil {
			settings = append(settings, manpage.Settings{Title: c.title, Node: node})
		}
	}
	if len(settings) == 2 {
		pages = append(pages, manpage.ConfigFile(release, settings))
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // pages for everybody
		return err
	}
	for _, page := range pages {
		if err := os.WriteFile(filepath.Join(args[0], page.File), page.Text, 0o644); err != nil { //nolint:gosec // pages for everybody
			return err
		}
	}
	return nil
}
