package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/health"
)

// Serving is a command that runs until it is stopped.
type Serving interface {
	// Places returns where a process with these flags answers /healthz.
	Places() []health.Place
}

type healthcheckCmd struct {
	URL     string        `name:"url" help:"Address to ask instead of the program's process here, for example http://192.0.2.10:10151. Without a path, /healthz is asked for." placeholder:"URL" xor:"place" key:"-"`
	PID     int           `name:"pid" help:"Check only this process of the program." placeholder:"PID" xor:"place" key:"-"`
	Timeout time.Duration `help:"How long an answer may take." default:"4s" placeholder:"DURATION" key:"-"`
	Quiet   bool          `help:"Print nothing when it is healthy." key:"-"`
}

// Help is printed by kong below the usage.
func (*healthcheckCmd) Help() string {
	return `It finds the processes of this program under the same root directory, reads their flags, environment and configuration file, and
asks their ports for /healthz. So it needs no settings of its own, and it works whatever protects the other pages: tokens, passwords,
client certificates. TLS certificates of this machine itself are not verified. Exit code 0: healthy, 1: not; one line says why.

Examples:

  docker exec NAME PROGRAM healthcheck               in a container; the images do this by themselves
  PROGRAM healthcheck                                on a machine, as the program's user or as root
  PROGRAM healthcheck --url http://192.0.2.10:10151  a worker elsewhere`
}

// Run is called by kong.
func (c *healthcheckCmd) Run(e *Env, program *kong.Kong) error {
	if c.Timeout < 100*time.Millisecond {
		return fmt.Errorf("--timeout %s: give at least 100ms", c.Timeout)
	}
	ctx, cancel := context.WithTimeout(e.Context, c.Timeout)
	defer cancel()
	line, err := c.checkInTime(ctx, program)
	switch {
	case err != nil:
		fmt.Fprintln(e.Stdout, "unhealthy:", strings.ReplaceAll(err.Error(), "\n", "; "))
		return ErrSaid
	case !c.Quiet:
		fmt.Fprintln(e.Stdout, "healthy:", line)
	}
	return nil
}

// spare is what the check may take beyond the time for answers.
const spare = time.Second

// checkInTime gives up a check that hangs, such as at a configuration file that is a pipe or on a disk that does not answer.
func (c *healthcheckCmd) checkInTime(ctx context.Context, program *kong.Kong) (line string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		line, err = c.check(ctx, program)
	}()
	select {
	case <-done:
		return line, err
	case <-ctx.Done():
	}
	select {
	case <-done:
		return line, err
	case <-time.After(spare):
		return "", fmt.Errorf("the check did not end within %s: a file that it reads, such as the configuration file of a process, does not answer", c.Timeout+spare)
	}
}

func (c *healthcheckCmd) check(ctx context.Context, program *kong.Kong) (string, error) {
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", fmt.Errorf("--url %q: give it as http://HOST[:PORT] or https://HOST[:PORT]", c.URL)
		}
		if strings.Trim(u.Path, "/") == "" {
			u.Path = health.Path
		}
		if err := health.Ask(ctx, u.String()); err != nil {
			return "", fmt.Errorf("%s: %w", u.Redacted(), err)
		}
		return u.Redacted(), nil
	}
	processes, err := health.Find("/proc")
	if err != nil {
		return "", err
	}
	var lines []string
	for _, p := range processes {
		if c.PID != 0 && p.PID != c.PID {
			continue
		}
		places, ok := placesOf(program, &p)
		if !ok {
			continue // a command such as this one
		}
		line, healthy := fmt.Sprintf("process %d runs, and serves nothing", p.PID), true
		if len(places) > 0 {
			line, healthy = health.Say(p.Ask(ctx, places))
		}
		if !healthy && !p.SameNetwork() {
			line += " (its network is another than this process': run the check there)"
		}
		if !healthy {
			return "", fmt.Errorf("process %d: %s", p.PID, line)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 && c.PID != 0 {
		return "", fmt.Errorf("process %d is no server or worker of this program: without --pid, all are checked", c.PID)
	}
	if len(lines) == 0 {
		return "", &health.NoProcessError{Name: program.Model.Name}
	}
	return strings.Join(lines, "; "), nil
}

// unknownPlace is asked for where a process' settings cannot be read any more, as after its configuration file was damaged.
var unknownPlace = []health.Place{{Name: "the program", Scheme: health.Either}}

// placesOf reads a process' command line as the process did: with its environment, and in its directory. False: its command ends by itself.
func placesOf(program *kong.Kong, p *health.Process) (_ []health.Place, ok bool) {
	if len(p.Args) > 0 && extraOf(p.Args[0]) && child(program.Model.Node, p.Args[0]) == nil {
		return nil, false
	}
	defer setEnvironment(os.Environ())
	setEnvironment(p.Env)
	if dir, err := os.Getwd(); err == nil && os.Chdir(p.Dir) == nil {
		defer func() { _ = os.Chdir(dir) }()
	}
	defer func() {
		if early := recover(); early != nil {
			if _, is := early.(ended); !is { // --help and --version end by themselves
				panic(early)
			}
			ok = false
		}
	}()
	grammar := reflect.New(program.Model.Target.Type()).Interface()
	parser, err := newParser(program.Model.Name, "", grammar, &Env{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		return nil, false
	}
	parsed, err := parser.Parse(p.Args)
	if err != nil {
		pe, is := errors.AsType[*kong.ParseError](err)
		return unknownPlace, is && serving(parser, pe.Context) != nil
	}
	command := serving(parser, parsed)
	if command == nil {
		return nil, false
	}
	return command.Places(), true
}

func setEnvironment(variables []string) {
	os.Clearenv()
	for _, variable := range variables {
		if key, value, ok := strings.Cut(variable, "="); ok && key != "" {
			_ = os.Setenv(key, value) // it was one there
		}
	}
}

// serving returns the command that was chosen if it is one that serves.
func serving(parser *kong.Kong, parsed *kong.Context) Serving {
	node := parser.Model.Node
	if selected := parsed.Selected(); selected != nil {
		node = selected
	}
	if node.DefaultCmd != nil && !node.Target.IsValid() {
		node = node.DefaultCmd
	}
	if !node.Target.IsValid() || !node.Target.CanAddr() {
		return nil
	}
	command, _ := reflect.TypeAssert[Serving](node.Target.Addr())
	return command
}
