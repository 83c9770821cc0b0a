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
	File    string        `arg:"" optional:"" help:"Document, JSON or YAML; - is standard input."`
	Default bool          `help:"Compare with the built-in document."`
	Timeout time.Duration `help:"How long to wait for workers, 1s to 1m." default:"10s" placeholder:"DURATION"`
	JSON    bool          `help:"Print JSON."`
}

// Help says what the exit code means.
func (*mappingDryRun) Help() string {
	return "Each worker translates its engines' metrics with the active mapping and with this one, and reports the difference. Nothing is changed.\n" +
		"The exit code is 1 when the document is invalid or the server cannot be reached."
}

func (c *mappingDryRun) Run(e *command.Env) error {
	if (c.File == "") != c.Default {
		return errors.New("give a document, or --default")
	}
	var data []byte
	if !c.Default {
		var err error
		if _, data, err = readDocument(e, c.File); err != nil {
			return err
		}
	}
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	run, err := cl.TryConfig(e.Context, data, client.Change{IfGeneration: client.AnyGeneration}, c.Timeout)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(run)
	}
	return printDryRun(e.Stdout, &run)
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
