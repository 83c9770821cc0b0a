package command

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/configfile"
)

// CodeFaulty ends a command that was asked to check a file with faults.
const CodeFaulty = 2

// Checker is a command that can say, after its flags are set, whether it would start with them. It opens no port and changes nothing.
type Checker interface{ Check() error }

type configCheck struct {
	File []string `arg:"" help:"Configuration files."`
	For  string   `help:"Command that reads the files, such as server or 'worker run'. Default: the first one that has all their settings." placeholder:"COMMAND"`
}

// Help says what is checked.
func (*configCheck) Help() string {
	return `It finds unknown and repeated keys, values that cannot be read, settings that contradict each other or are out of their range, and files that are
named and cannot be used. Flags and environment variables are not taken into account, and nothing is started. Each fault is a line
FILE:LINE: FAULT. The exit code is 0 for good files and 2 otherwise. Run it as the user who runs the program, or as root, because others may
not read tokens and keys.`
}

// Run is called by kong.
func (c *configCheck) Run(e *Env, program *kong.Kong) error {
	faulty := false
	files, wanted := c.File, c.For // a check sets the flags of the whole program, and these with them
	for _, path := range files {
		result, faults, err := checkFile(program, path, wanted)
		if err != nil {
			return err
		}
		for _, fault := range faults {
			faulty = true
			at := path
			if fault.Line > 0 {
				at = fmt.Sprintf("%s:%d", path, fault.Line)
			}
			fmt.Fprintf(e.Stderr, "%s: %s\n", at, fault.Text)
		}
		if len(faults) == 0 {
			if _, err := io.WriteString(e.Stdout, result); err != nil {
				return err
			}
		}
	}
	if faulty {
		return &CodeError{Code: CodeFaulty, Err: ErrSaid}
	}
	return nil
}

// checkFile returns what is to be said of a good file, or its faults. The error is one of the command line.
func checkFile(program *kong.Kong, path, wanted string) (result string, faults []configfile.Fault, err error) {
	file, err := configfile.Resolver(path, nil)
	if err != nil {
		return "", []configfile.Fault{configfile.SyntaxFault(path, err)}, nil
	}
	if faults = file.Faults(program.Model); len(faults) > 0 {
		return "", faults, nil
	}
	if len(file.Keys()) == 0 {
		return path + " is good: it sets nothing\n", nil, nil
	}
	node, err := readerOf(program, file, wanted)
	if err != nil {
		return "", nil, err
	}
	if node == nil {
		return fmt.Sprintf("%s: no fault found. Its settings belong to several commands: --for COMMAND checks more\n", path), nil, nil
	}
	if checker, ok := reflect.TypeAssert[Checker](node.Target.Addr()); ok {
		if err := parseAlone(program, node, path); err != nil {
			return "", file.Locate(err, node), nil
		}
		if err := checker.Check(); err != nil {
			return "", file.Locate(err, node), nil
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is good for `%s`: settings: %d\n", path, strings.TrimSpace(program.Model.Name+" "+commandPath(node)), len(file.Keys()))
	for _, key := range file.Misused(node) {
		fmt.Fprintf(&b, "%s:%d: note: %s is a setting of another command and has no effect\n", path, file.Line(key), key)
	}
	return b.String(), nil, nil
}

// readerOf returns the command that is wanted, or the smallest one that has all settings of the file; nil: none has.
func readerOf(program *kong.Kong, file *configfile.File, wanted string) (*kong.Node, error) {
	if wanted != "" {
		return configured(program.Model.Node, wanted)
	}
	var found []*kong.Node
	for node := range readers(program.Model.Node) {
		if _, ok := reflect.TypeAssert[Checker](node.Target.Addr()); ok && len(file.Misused(node)) == 0 {
			found = append(found, node)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	return slices.MinFunc(found, func(a, b *kong.Node) int { return cmp.Compare(len(a.Flags), len(b.Flags)) }), nil
}

// parseAlone sets a command's flags from a file, without the environment.
func parseAlone(program *kong.Kong, node *kong.Node, path string) error {
	for _, flag := range configfile.Settings(node) {
		flag.Envs, flag.Tag.Envs = nil, nil
	}
	words := strings.Fields(commandPath(node))
	_, err := program.Parse(append(words, "--config-file="+path))
	return err
}
