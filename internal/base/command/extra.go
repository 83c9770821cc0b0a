package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/buildinfo"
)

// Extra are the commands that every program has. A program with commands embeds them, last; one without gets them by itself.
type Extra struct {
	Healthcheck healthcheckCmd `cmd:"" help:"Check that the program that runs here works: exit code 0, or 1 with a line that says why not."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
	Config      configCmd      `cmd:"" help:"Print configuration files, or check one."`
	Completion  completionCmd  `cmd:"" help:"Print a script that completes commands, flags and values in a shell: bash, zsh or fish."`
	Help        helpCmd        `cmd:"" help:"Show the help of the program, or of a command: help server."`
}

func extraOf(word string) bool {
	return slices.Contains([]string{"healthcheck", "version", "config", "completion", "help"}, word)
}

func versionLine(name string) string {
	build := buildinfo.Get()
	return fmt.Sprintf("%s %s (revision %s, %s)", name, build.Version, build.Revision, build.GoVersion)
}

type versionCmd struct {
	JSON bool `help:"Print JSON." key:"-"`
}

// Run is called by kong.
func (c *versionCmd) Run(e *Env, program *kong.Kong) error {
	if c.JSON {
		b := buildinfo.Get()
		return json.NewEncoder(e.Stdout).Encode(map[string]string{"version": b.Version, "revision": b.Revision, "go": b.GoVersion})
	}
	_, err := fmt.Fprintln(e.Stdout, versionLine(program.Model.Name))
	return err
}

type helpCmd struct {
	Command []string `arg:"" optional:"" help:"Words of the command."`
}

// Run is called by kong.
func (c *helpCmd) Run(program *kong.Kong) error {
	node := program.Model.Node
	for _, word := range c.Command {
		next := child(node, word)
		if next == nil {
			return fmt.Errorf("there is no command %q; run `%s` for the commands", strings.Join(c.Command, " "), strings.TrimSpace(program.Model.Name+" help "+commandPath(node)))
		}
		node = next
	}
	_, err := program.Parse(append(slices.Clone(c.Command), "--help")) // ends the process
	return err
}

// child returns the command below node that has a name, or nil.
func child(node *kong.Node, name string) *kong.Node {
	for _, n := range node.Children {
		if n.Type == kong.CommandNode && (n.Name == name || slices.Contains(n.Aliases, name)) {
			return n
		}
	}
	return nil
}

// commandPath is the words of a command, without the program's name.
func commandPath(node *kong.Node) string {
	var words []string
	for ; node != nil && node.Type == kong.CommandNode; node = node.Parent {
		words = append([]string{node.Name}, words...)
	}
	return strings.Join(words, " ")
}
