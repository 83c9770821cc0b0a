package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/configfile"
)

type configCmd struct {
	Check   configCheck   `cmd:"" help:"Check configuration files without starting anything: all faults, with their lines."`
	Example configExample `cmd:"" help:"Print a configuration file with every setting commented out, its help and its default."`
}

type configExample struct {
	Command []string `arg:"" optional:"" help:"The command that reads the file, such as server or 'worker run'. A program with one such command needs none."`
}

// Run is called by kong.
func (c *configExample) Run(e *Env, program *kong.Kong) error {
	node, err := configured(program.Model.Node, strings.Join(c.Command, " "))
	if err != nil {
		return err
	}
	text, err := configfile.Example(node, exampleHead(program.Model.Name, node))
	if err != nil {
		return err
	}
	_, err = e.Stdout.Write(text)
	return err
}

// exampleHead says what the file is, where more is said of it, and what to do after a change. Only commands that run as services on their own
// have a unit.
func exampleHead(program string, node *kong.Node) []string {
	name, path, restart := strings.TrimSpace(program+" "+commandPath(node)), "FILE", "restart "+program
	switch name {
	case "stackscope server":
		path, restart = "/etc/stackscope/server.yaml", "systemctl restart stackscope"
	case "stackscope-worker":
		path, restart = "/etc/stackscope/worker.yaml", "systemctl restart stackscope-worker"
	}
	return []string{
		"Settings of `" + name + "`, which reads them with --config-file. As it is, this file changes nothing.",
		"Every setting is commented out and shows its default. Remove the # in front of a setting to change it.",
		"A flag wins over an environment variable, and that over this file. More help: man stackscope.yaml",
		"Check the file:           " + program + " config check " + path,
		"Use it after a change:    " + restart,
	}
}

// configured returns the command of this name, which reads configuration files; an empty name is for a program with only one.
func configured(program *kong.Node, name string) (*kong.Node, error) {
	var names []string
	for node := range readers(program) {
		path := commandPath(node)
		if path == name || node.Parent != nil && node.Parent.DefaultCmd == node && commandPath(node.Parent) == name {
			return node, nil
		}
		names = append(names, path)
	}
	if name == "" {
		return nil, fmt.Errorf("several commands read configuration files: name one of %s", strings.Join(names, ", "))
	}
	if len(names) == 1 && names[0] == "" {
		return nil, fmt.Errorf("there is no command %q: leave it out", name)
	}
	return nil, fmt.Errorf("%q reads no configuration file: name one of %s", name, strings.Join(names, ", "))
}

// readers yields the commands that have a flag for a configuration file.
func readers(node *kong.Node) func(yield func(*kong.Node) bool) {
	return func(yield func(*kong.Node) bool) {
		var walk func(n *kong.Node) bool
		walk = func(n *kong.Node) bool {
			if slices.ContainsFunc(n.Flags, configfile.Names) && !yield(n) {
				return false
			}
			return !slices.ContainsFunc(n.Children, func(child *kong.Node) bool { return !walk(child) })
		}
		walk(node)
	}
}
