package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

type mappingDryRun struct {
	remote
	File    string            `arg:"" optional:"" help:"Document, JSON or YAML; - is standard input. @N is a generation of the server, @active the active one, @default its built-in document."`
	Merge   bool              `help:"Add to the built-in document and override its entries, as with 'extends: default' in the document."`
	Default bool              `help:"Try the built-in document."`
	Restore *generationNumber `help:"Try the document of an earlier generation." placeholder:"N"`
	Timeout time.Duration     `help:"How long to wait for workers, 1s to 1m." default:"10s" placeholder:"DURATION"`
	Verbose bool              `short:"v" help:"Print all metrics that vanish by the documents alone."`
	JSON    bool              `help:"Print JSON."`
}

// Help says what the exit code means.
func (*mappingDryRun) Help() string {
	return "Each worker translates its engines' metrics with the active mapping and with this one, and reports the difference. Nothing is changed.\n\n" +
		"Exit codes:\n\n" +
		"  0  no series would vanish\n" +
		"  1  the document is invalid or the server cannot be reached\n" +
		"  3  series would vanish"
}

func (c *mappingDryRun) Run(e *command.Env) error {
	try, err := c.choose(e)
	if err != nil {
		return err
	}
	cl, err := c.patient(e)
	if err != nil {
		return err
	}
	end := showProgress(e, cl)
	run, err := again(e.Context, func() (wire.MappingDryRun, error) { return try(cl) })
	end()
	if err != nil {
		return explainFaults(e, c.File, err)
	}
	lost := vanishingOf(&run)
	if c.JSON {
		err = json.NewEncoder(e.Stdout).Encode(run)
	} else if err = printDryRun(e.Stdout, &run); err == nil && len(lost.Documents) > 0 {
		fmt.Fprintln(e.Stdout)
		err = (&vanishing{Documents: lost.Documents, told: lost.Series > 0}).print(e.Stdout, c.Verbose)
	}
	if err == nil && run.Removed > 0 {
		fmt.Fprintf(e.Stderr, "%s\n", lost.would())
		err = &command.CodeError{Code: command.CodeRefused, Err: command.ErrSaid}
	}
	return err
}

// choose returns the request for what is to be tried.
func (c *mappingDryRun) choose(e *command.Env) (func(*client.Client) (wire.MappingDryRun, error), error) {
	given := 0
	for _, is := range []bool{c.File != "", c.Default, c.Restore != nil} {
		if is {
			given++
		}
	}
	n, isGeneration, err := generation(c.File)
	switch {
	case given != 1:
		return nil, errors.New("give one of a document, --default and --restore N")
	case err != nil:
		return nil, err
	case badTimeout(c.Timeout) != nil:
		return nil, badTimeout(c.Timeout)
	case c.Merge && (isGeneration || c.File == ""):
		return nil, errors.New("--merge is for a document in a file")
	}
	o := client.Change{IfGeneration: client.AnyGeneration, Merge: c.Merge}
	if c.Restore != nil {
		n, isGeneration = int64(*c.Restore), true
	}
	switch {
	case isGeneration && n == active:
		return func(cl *client.Client) (wire.MappingDryRun, error) {
			config, err := cl.GetConfig(e.Context)
			if err != nil {
				return wire.MappingDryRun{}, err
			}
			return cl.TryConfig(e.Context, config.Document, o, c.Timeout)
		}, nil
	case c.Default || isGeneration && n == 0:
		return func(cl *client.Client) (wire.MappingDryRun, error) { return cl.TryConfig(e.Context, nil, o, c.Timeout) }, nil
	case isGeneration:
		return func(cl *client.Client) (wire.MappingDryRun, error) {
			run, err := cl.TryRestore(e.Context, n, o, c.Timeout)
			return run, noHistory(e.Context, cl, err)
		}, nil
	}
	_, data, err := readPosted(e, c.File, c.Merge)
	return func(cl *client.Client) (wire.MappingDryRun, error) {
		return cl.TryConfig(e.Context, data, o, c.Timeout)
	}, err
}

func printDryRun(out io.Writer, run *wire.MappingDryRun) error {
	fmt.Fprintf(out, "compared with the active generation %d: %d series added, %d removed, %d changed\n", run.Generation, run.Added, run.Removed, run.Changed)
	if run.Unchanged {
		fmt.Fprintln(out, "the document is the active one")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nINSTANCE\tWORKER\tRUNTIME\tVERSION\tCOVERAGE\tSERIES\tADDED\tREMOVED\tCHANGED\tWHY")
	for _, worker := range run.Workers {
		if worker.State != wire.DryRunAnswered {
			fmt.Fprintf(w, "-\t%s\t-\t-\t-\t-\t-\t-\t-\t%s\n", worker.WorkerName, worker.Detail)
		}
		for i := range worker.Instances {
			in := &worker.Instances[i]
			if in.Before == nil || in.After == nil {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t-\t-\t-\t-\t-\t%s\n", in.Name, worker.WorkerName, orDash(in.Runtime), orDash(in.RuntimeVersion), in.Error)
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t\n", in.Name, worker.WorkerName, orDash(in.Runtime), orDash(in.RuntimeVersion),
				move(share(in.Before.Coverage), share(in.After.Coverage)), move(fmt.Sprint(in.Before.Series), fmt.Sprint(in.After.Series)),
				in.Added, in.Removed, in.Changed)
		}
	}
	if len(run.Workers) == 0 {
		fmt.Fprintln(w, "none: no worker has joined this server")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, worker := range run.Workers {
		for i := range worker.Instances {
			if err := printInstanceDryRun(out, &worker.Instances[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// printInstanceDryRun prints what would change, in the manner of diff.
func printInstanceDryRun(out io.Writer, in *wire.InstanceDryRun) error {
	if len(in.Families)+len(in.Series)+in.SeriesLeftOut+in.FamiliesLeftOut == 0 {
		return nil
	}
	fmt.Fprintf(out, "\n%s\n", in.Name)
	for _, f := range in.Families {
		if f.Type != nil {
			fmt.Fprintf(out, "! %s: type %s -> %s\n", f.Name, f.Type.Before, f.Type.After)
		}
		if f.Help != nil {
			fmt.Fprintf(out, "! %s: help %q -> %q\n", f.Name, f.Help.Before, f.Help.After)
		}
	}
	for _, s := range in.Series {
		switch {
		case s.Before == nil && s.After != nil:
			fmt.Fprintf(out, "+ %s %s\n", s.Series, *s.After)
		case s.Before != nil && s.After == nil:
			fmt.Fprintf(out, "- %s %s\n", s.Series, *s.Before)
		case s.Before != nil:
			fmt.Fprintf(out, "~ %s %s -> %s\n", s.Series, *s.Before, *s.After)
		}
	}
	if in.SeriesLeftOut > 0 {
		fmt.Fprintf(out, "and %d series more; by metric, those added, removed and changed:\n", in.SeriesLeftOut)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, f := range in.Families {
			fmt.Fprintf(w, "  %s\t+%d\t-%d\t~%d\n", f.Name, f.Added, f.Removed, f.Changed)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if in.FamiliesLeftOut > 0 {
		fmt.Fprintf(out, "and %d metrics more\n", in.FamiliesLeftOut)
	}
	return nil
}

func share(c wire.Coverage) string { return fmt.Sprintf("%d/%d", c.Families, c.Of) }

// move shows what something was and becomes, or what it stays.
func move(before, after string) string {
	if before == after {
		return after
	}
	return before + " -> " + after
}
