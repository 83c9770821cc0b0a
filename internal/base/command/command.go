// Package command turns a process' arguments into a run of one of its commands and an exit code.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/configfile"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/base/sdnotify"
)

// Env is what a command gets of the outside world: all that it may touch.
type Env struct {
	Context        context.Context // ends with the first SIGINT or SIGTERM
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Manager is what is told how a long-running command is; nil: nothing is.
	Manager *sdnotify.Manager
	// Settings are the flags of the command that runs.
	Settings []Setting
}

// Common are the flags of every long-running command.
type Common struct {
	ConfigFile configfile.Flag `help:"YAML file with the same settings, in snake case: log_level for --log-level." placeholder:"FILE" env:"GPUSTACK_CONFIG_FILE" group:"Configuration"`
	logging.Flags
}

// ErrSaid ends a command with exit code 1 when it has said itself why.
var ErrSaid = errors.New("it was said why")

// Exit codes of commands that have more than 0 and 1.
const (
	// CodeRefused: what was asked for would take something away, and nothing was changed.
	CodeRefused = 3
	// CodeInterrupted: Ctrl-C ended the command, as shells say it: 128 and the number of SIGINT.
	CodeInterrupted = 130
)

// CodeError ends a command with an exit code of its own. The line on stderr is that of Err: none if that is ErrSaid.
type CodeError struct {
	Code int // 1 to 255
	Err  error
}

func (e *CodeError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *CodeError) Unwrap() error { return e.Err }

// Main parses the process' arguments into grammar, a kong struct whose commands have a method Run(*Env) error, runs the
// command that they name and ends the process: 0 when it succeeded or was asked to end, otherwise 1, or the code of a CodeError, with one
// line on stderr.
func Main(name, description string, grammar any) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	afterFirst(ctx, stop)
	manager, err := sdnotify.FromEnvironment()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: warning: systemd is not told how this program is: %v\n", name, err)
	}
	os.Exit(run(name, description, grammar, os.Args[1:], &Env{Context: ctx, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Manager: manager}))
}

// oneStop is within which signals count as one. Who stops a program may send it to the process and again to the process' group, as GNU
// timeout does, and a terminal and a parent process both may.
const oneStop = 200 * time.Millisecond

// afterFirst gives signals back their own meaning some time after the first: a second one ends the process at once.
func afterFirst(ctx context.Context, stop func()) {
	context.AfterFunc(ctx, func() { time.AfterFunc(oneStop, stop) })
}

// ended is how kong's --help and --version end a parse.
type ended struct{ code int }

func run(name, description string, grammar any, args []string, env *Env) (code int) {
	defer func() {
		switch early := recover().(type) {
		case nil:
		case ended:
			code = early.code
		default:
			panic(early)
		}
	}()
	err := parseAndRun(name, description, grammar, args, env)
	coded, ok := errors.AsType[*CodeError](err)
	if err == nil || !ok && errors.Is(err, context.Canceled) {
		return 0
	}
	if !errors.Is(err, ErrSaid) {
		fmt.Fprintf(env.Stderr, "%s: error: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if ok {
		return coded.Code
	}
	return 1
}

func parseAndRun(name, description string, grammar any, args []string, env *Env) error {
	program, err := newParser(name, description, grammar, env)
	if err != nil {
		return err
	}
	parser := program
	if len(args) > 0 {
		if args[0] == candidatesCommand {
			return printCandidates(env.Stdout, program.Model.Node, args[1:])
		}
		if args[0] == manCommand {
			return writeManual(program.Model, args[1:])
		}
		// No flag of every command: `grafana install` has one of this name.
		if args[0] == "--version" && flagOf(program.Model.Node, args[0]) == nil {
			args = append([]string{"version"}, args[1:]...)
		}
		// A program whose own command has no name, as the worker's, has these beside it.
		if extra := extraOf(args[0]); extra && child(program.Model.Node, args[0]) == nil {
			if parser, err = newParser(name, description, new(Extra), env); err != nil {
				return err
			}
		}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		if flag, ends := strings.CutSuffix(err.Error(), ` value but got "EOL" (<EOL>)`); ends {
			flag, _, _ = strings.Cut(flag, ": expected ")
			return fmt.Errorf("%s: its value is missing; run `%s --help` for help", flag, chosen(name, err))
		}
		return fmt.Errorf("%w; run `%s --help` for help", err, chosen(name, err))
	}
	locate(parsed)
	env.Settings = settings(parsed)
	parsed.Bind(program)
	return parsed.Run()
}

func newParser(name, description string, grammar any, env *Env) (*kong.Kong, error) {
	return kong.New(grammar,
		kong.Name(name), kong.Description(description), kong.Writers(env.Stdout, env.Stderr),
		kong.ValueFormatter(explain),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}),
		kong.Vars{"version": versionLine(name)},
		kong.Exit(func(code int) { panic(ended{code}) }),
		kong.Bind(env),
		configfile.Booleans(),
	)
}

// explain is a flag's help. A default that a placeholder hides stands in it.
func explain(v *kong.Value) string {
	shown := *v
	if v.Flag != nil && v.HasDefault && v.Flag.PlaceHolder != "" && !strings.Contains(v.Help, "Default:") {
		shown.Help += " Default: " + v.Default + "."
	}
	return kong.DefaultHelpValueFormatter(&shown)
}

// chosen is the command that could not be parsed, as far as it was named. Flags are those of a default command, and a word that
// nothing takes may have been meant for one of the commands beside it.
func chosen(name string, err error) string {
	pe, ok := errors.AsType[*kong.ParseError](err)
	if !ok || pe.Context.Selected() == nil {
		return name
	}
	node := pe.Context.Selected()
	switch word := strings.HasPrefix(err.Error(), "unexpected argument"); {
	case word && node.Parent != nil && node.Parent.DefaultCmd == node:
		node = node.Parent
	case !word && node.DefaultCmd != nil:
		node = node.DefaultCmd
	}
	return name + " " + node.Path()
}
