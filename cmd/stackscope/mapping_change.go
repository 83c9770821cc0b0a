package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

// changeFlags are the flags of commands that change the mapping of a server.
type changeFlags struct {
	remote
	Comment *string       `help:"Why, for the history, at most 1000 bytes. A terminal is asked for it." placeholder:"TEXT"`
	Author  string        `help:"Who, for the history, at most 128 bytes. Default: the user who runs this." placeholder:"NAME"`
	Yes     bool          `short:"y" help:"Ask nothing, and change the mapping even if series vanish."`
	Timeout time.Duration `help:"How long to wait for workers, which say what would vanish, 1s to 1m." default:"10s" placeholder:"DURATION"`
	Verbose bool          `short:"v" help:"Print all metrics that vanish, and not only those with the most series."`
	JSON    bool          `help:"Print JSON."`
}

// changeHelp is the end of the help of these commands.
const changeHelp = `First the server's workers say which series of their engines would vanish, and nothing is changed. If some would, a terminal is asked. Without a terminal ` +
	`nothing is changed unless --yes is given. If somebody else changes the mapping meanwhile, nothing is changed.

Exit codes:

  0    the document is active
  1    an error, or the answer was no; nothing was changed
  3    series would vanish, and there was no terminal to ask; nothing was changed
  130  Ctrl-C`

// Bounds of a server's history.
const (
	maxComment = 1000
	maxAuthor  = 128
)

// A mappingChange is a document that is to be activated.
type mappingChange struct {
	what string // as the question names it
	try  func(context.Context, *client.Client, client.Change, time.Duration) (wire.MappingDryRun, error)
	make func(context.Context, *client.Client, client.Change) (wire.MappingStatus, error)
	// explain turns an error of the server into one that says where; nil: as it is.
	explain func(context.Context, *client.Client, error) error
	// historical says that a server without dry runs cannot make it.
	historical bool
	// keep says how what vanishes could be kept, "" if it could not; nil: there is no way.
	keep func(context.Context, *client.Client, *vanishing) string
}

// changeAnswer is what --json prints.
type changeAnswer struct {
	Status     string     `json:"status"` // ok, refused or declined
	Generation int64      `json:"generation"`
	Workers    int        `json:"workers"`
	Unchanged  bool       `json:"unchanged,omitempty"`
	Vanishing  *vanishing `json:"vanishing,omitempty"`
}

// change makes a change as far as its flags and the answers at a terminal allow.
func (f *changeFlags) change(e *command.Env, c *mappingChange) error {
	if err := f.check(); err != nil {
		return err
	}
	cl, err := f.patient(e)
	if err != nil {
		return err
	}
	if c.explain == nil {
		c.explain = func(_ context.Context, _ *client.Client, err error) error { return err }
	}
	o := client.Change{IfGeneration: client.AnyGeneration, Author: f.Author}
	if o.Author == "" {
		o.Author = systemUser()
	}
	if f.Comment != nil {
		o.Comment = strings.TrimSpace(*f.Comment)
	}
	lost, err := f.dryRun(e, cl, c, &o)
	if err != nil {
		return f.interrupted(e, c.explain(e.Context, cl, err))
	}
	if err := f.confirm(e, cl, c, lost, &o); err != nil {
		return err
	}
	status, err := c.make(e.Context, cl, o)
	switch {
	case e.Context.Err() != nil && err != nil:
		fmt.Fprintln(e.Stderr, "interrupted: the server may have activated it; `stackscope mapping history` tells")
		return &command.CodeError{Code: command.CodeInterrupted, Err: command.ErrSaid}
	case statusOf(err) == http.StatusPreconditionFailed:
		return overtaken(e.Context, cl, o.IfGeneration, err)
	case err != nil && maybeMade(err):
		return fmt.Errorf("%w; the server may have activated it: `stackscope mapping history` tells", err)
	case err != nil:
		return c.explain(e.Context, cl, err)
	}
	if lost == nil {
		lost = vanished(status.Vanishing)
	}
	return f.printStatus(e, status, o.IfGeneration, lost)
}

// maybeMade reports whether a request without an answer may have had its effect.
func maybeMade(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && e.Status == 0 && e.Err != nil
}

func (f *changeFlags) check() error {
	switch {
	case badTimeout(f.Timeout) != nil:
		return badTimeout(f.Timeout)
	case len(f.Author) > maxAuthor || strings.ContainsFunc(f.Author, unicode.IsControl):
		return fmt.Errorf("--author: give at most %d bytes without control characters", maxAuthor)
	case f.Comment != nil && (len(*f.Comment) > maxComment || strings.ContainsFunc(*f.Comment, unicode.IsControl)):
		return fmt.Errorf("--comment: give one line of at most %d bytes without control characters", maxComment)
	}
	return nil
}

// badTimeout returns the error of a timeout that servers refuse.
func badTimeout(d time.Duration) error {
	if d < time.Second || d > time.Minute {
		return fmt.Errorf("--timeout %s: give 1s to 1m", d)
	}
	return nil
}

// systemUser is the name of the user who runs this; empty if it is unknown, as it may be in a container.
func systemUser() string {
	u, err := user.Current()
	if err != nil || len(u.Username) > maxAuthor || strings.ContainsFunc(u.Username, unicode.IsControl) {
		return ""
	}
	return u.Username
}

// dryRun returns what would vanish, nil if the server is too old to say that, and sets the generation with which it compared.
func (f *changeFlags) dryRun(e *command.Env, cl *client.Client, c *mappingChange, o *client.Change) (*vanishing, error) {
	end := showProgress(e, cl)
	run, err := again(e.Context, func() (wire.MappingDryRun, error) { return c.try(e.Context, cl, *o, f.Timeout) })
	end()
	if !c.historical && tooOldForDryRuns(err) {
		fmt.Fprintln(e.Stderr, "warning: the server is older and has no dry runs: what vanishes is not known")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o.IfGeneration = run.Generation
	lost := vanishingOf(&run)
	lost.unchanged = run.Unchanged
	return lost, nil
}

// tooOldForDryRuns reports whether an error says that a server knows no dry runs of the mapping. A fault of the document has a place in it.
func tooOldForDryRuns(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	switch {
	case !ok:
		return false
	case e.Status == http.StatusUnprocessableEntity:
		return strings.Contains(e.Detail, "dry_run") || len(e.Faults) > 0 && strings.Contains(e.Faults[0].Pointer, "dry_run")
	}
	return e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotFound
}

// confirm returns nil if the change may be made.
func (f *changeFlags) confirm(e *command.Env, cl *client.Client, c *mappingChange, lost *vanishing, o *client.Change) error {
	if lost == nil || lost.unchanged {
		lost = &vanishing{unchanged: lost != nil}
	}
	if !f.JSON {
		if err := lost.print(e.Stderr, f.Verbose); err != nil {
			return err
		}
	}
	keep := ""
	if c.keep != nil && lost.Series > 0 && !f.Yes {
		keep = c.keep(e.Context, cl, lost)
	}
	canAsk := terminal.CanAsk(e.Stdin, e.Stderr)
	switch {
	case f.Yes:
		return nil
	case !canAsk && lost.Series > 0:
		return f.refuse(e, lost, o.IfGeneration, keep)
	case !canAsk:
		return nil
	}
	asker := terminal.NewAsker(e.Stdin, e.Stderr)
	if lost.any() {
		if keep != "" {
			fmt.Fprintf(e.Stderr, "%s would keep them.\n", keep)
		}
		yes, err := asker.Yes(e.Context, fmt.Sprintf("%s. Activate %s?", lost, c.what))
		if err != nil || !yes {
			return f.declined(e, o.IfGeneration, lost, err)
		}
	}
	for f.Comment == nil && !lost.unchanged {
		comment, err := asker.Line(e.Context, "Comment for the history (may be empty): ")
		if err != nil {
			return f.declined(e, o.IfGeneration, lost, err)
		}
		if len(comment) <= maxComment {
			o.Comment = comment
			break
		}
		fmt.Fprintf(e.Stderr, "That has %d bytes, and %d are allowed.\n", len(comment), maxComment)
	}
	return nil
}

// refuse says that nothing was changed because series would vanish, and what to do.
func (f *changeFlags) refuse(e *command.Env, lost *vanishing, generation int64, keep string) error {
	if f.JSON {
		if err := json.NewEncoder(e.Stdout).Encode(changeAnswer{Status: "refused", Generation: generation, Vanishing: lost}); err != nil {
			return err
		}
	}
	ways := "--yes activates it all the same"
	if keep != "" {
		ways = keep + " would keep them; " + ways
	}
	return &command.CodeError{Code: command.CodeRefused, Err: fmt.Errorf("%s, and there is no terminal to ask: nothing was changed; %s", lost.would(), ways)}
}

// declined ends a change that was not wanted.
func (f *changeFlags) declined(e *command.Env, generation int64, lost *vanishing, why error) error {
	if f.JSON {
		if err := json.NewEncoder(e.Stdout).Encode(changeAnswer{Status: "declined", Generation: generation, Vanishing: lost}); err != nil {
			return err
		}
	}
	if why != nil && e.Context.Err() != nil {
		return f.interrupted(e, why)
	}
	if why != nil && !errors.Is(why, terminal.ErrNoAnswer) {
		return fmt.Errorf("nothing was changed: %w", why)
	}
	fmt.Fprintln(e.Stderr, "nothing was changed")
	return command.ErrSaid
}

// interrupted is err, or if Ctrl-C was its cause, an error with the exit code of that.
func (f *changeFlags) interrupted(e *command.Env, err error) error {
	if e.Context.Err() == nil {
		return err
	}
	fmt.Fprintln(e.Stderr, "interrupted: nothing was changed")
	return &command.CodeError{Code: command.CodeInterrupted, Err: command.ErrSaid}
}

// overtaken is the error when another generation became active after the dry run.
func overtaken(ctx context.Context, cl *client.Client, before int64, err error) error {
	list, listErr := cl.Generations(ctx, 1, 1)
	if listErr != nil || len(list.Items) == 0 {
		return fmt.Errorf("%w; nothing was changed: run this again to compare with what is active now", err)
	}
	g := list.Items[0]
	who := ""
	if g.Author != "" {
		who = " by " + g.Author
	}
	if g.At != nil {
		who += ", " + ago(*g.At)
	}
	if g.Comment != "" {
		who += fmt.Sprintf(" (%q)", g.Comment)
	}
	return fmt.Errorf("generation %d became active meanwhile%s: nothing was changed; `stackscope mapping diff @%d @%d` shows what it changed, then run this again",
		g.Number, who, before, g.Number)
}

func (f *changeFlags) printStatus(e *command.Env, s wire.MappingStatus, before int64, lost *vanishing) error {
	if f.JSON {
		return json.NewEncoder(e.Stdout).Encode(changeAnswer{Status: s.Status, Generation: s.Generation, Workers: s.Workers, Unchanged: s.Unchanged, Vanishing: lost.orNil()})
	}
	if s.Unchanged {
		_, err := fmt.Fprintf(e.Stdout, "generation %d is active already: nothing changed\n", s.Generation)
		return err
	}
	_, err := fmt.Fprintf(e.Stdout, "generation %d is active, sent to %s\n", s.Generation, count(s.Workers, "worker"))
	if err == nil && before >= 0 && before != s.Generation {
		_, err = fmt.Fprintf(e.Stdout, "`stackscope mapping restore %d` goes back\n", before)
	}
	return err
}

// showProgress says on a terminal who is asked, until end is called.
func showProgress(e *command.Env, cl *client.Client) (end func()) {
	screen := terminal.Of(e.Stderr, os.Getenv)
	if !screen.Redraw {
		return func() {}
	}
	who := "the workers"
	if list, err := cl.Workers(e.Context); err == nil { // the request that counts has an error, too
		who = count(len(list), "worker")
	}
	fmt.Fprintf(e.Stderr, "asking %s ...", who)
	return func() { fmt.Fprintf(e.Stderr, "\r%s", clearLine) }
}

const maxTries = 11

// again repeats a request that the server refuses because it works on enough of its kind.
func again[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	return client.Again(ctx, maxTries, 10*time.Second, ask)
}

type mappingReset struct{ changeFlags }

// Help says when it changes nothing.
func (*mappingReset) Help() string { return changeHelp }

func (c *mappingReset) Run(e *command.Env) error {
	return c.change(e, &mappingChange{
		what: "the built-in document",
		try: func(ctx context.Context, cl *client.Client, o client.Change, timeout time.Duration) (wire.MappingDryRun, error) {
			return cl.TryConfig(ctx, nil, o, timeout)
		},
		make: func(ctx context.Context, cl *client.Client, o client.Change) (wire.MappingStatus, error) {
			return cl.ResetConfig(ctx, o)
		},
	})
}

type mappingRestore struct {
	Generation generationNumber `arg:"" help:"Number of the generation, as in the history; 0 is the built-in document."`
	changeFlags
}

// Help says when it changes nothing.
func (*mappingRestore) Help() string {
	return "The document of the generation becomes a new generation. " + changeHelp
}

func (c *mappingRestore) Run(e *command.Env) error {
	n := int64(c.Generation)
	return c.change(e, &mappingChange{
		what: "generation " + strconv.FormatInt(n, 10),
		try: func(ctx context.Context, cl *client.Client, o client.Change, timeout time.Duration) (wire.MappingDryRun, error) {
			return cl.TryRestore(ctx, n, o, timeout)
		},
		make: func(ctx context.Context, cl *client.Client, o client.Change) (wire.MappingStatus, error) {
			return cl.RestoreConfig(ctx, n, o)
		},
		explain:    noHistory,
		historical: true,
	})
}
