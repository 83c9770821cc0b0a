package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

type mappingTranslate struct {
	Page    string `arg:"" help:"Saved metrics page, for example from curl; - reads standard input."`
	Runtime string `help:"Runtime, as the mapping names it: vLLM, SGLang, MindIE." required:""`
	Version string `help:"The engine's version, for example 0.11.0. Without it only the entries for every version apply."`
	Mapping string `help:"Document to use instead of the built-in one." placeholder:"FILE"`
	Explain bool   `help:"Print the outcome of each native metric with the reason, instead of the metrics."`
	JSON    bool   `help:"Print metrics and explanation as JSON, like the server's /v2/metrics/preview."`
}

func (c *mappingTranslate) Run(e *command.Env) error {
	doc := mapping.Default()
	if c.Mapping != "" {
		var err error
		if doc, _, err = readDocument(e, c.Mapping); err != nil {
			return err
		}
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		return err
	}
	plan := compiled.Plan(c.Runtime, c.Version)
	if plan.Empty() {
		return fmt.Errorf("the mapping has nothing to translate with: %s; see --runtime and --version", compiled.Missing(c.Runtime, c.Version))
	}
	page, err := readFile(e, c.Page, maxPageBytes)
	if err != nil {
		return err
	}
	var result translate.Result
	format := translate.DetectFormat("", page)
	stats := result.Translate(page, format, plan, translate.NewSource([]translate.Label{{Name: "runtime", Value: c.Runtime}}))
	var coverage wire.Coverage
	coverage.Families, coverage.Of = result.Coverage(plan)
	switch {
	case c.JSON:
		err = json.NewEncoder(e.Stdout).Encode(struct {
			Unified  string                   `json:"unified"`
			Coverage wire.Coverage            `json:"coverage"`
			Native   []translate.NativeReport `json:"native"`
		}{string(unified(&result, compiled)), coverage, translate.Explain(page, format, plan)})
	case c.Explain:
		err = printExplanation(e, translate.Explain(page, format, plan), coverage)
	default:
		_, err = e.Stdout.Write(unified(&result, compiled))
	}
	if err != nil {
		return err
	}
	if stats.ParseErrors > 0 {
		fmt.Fprintf(e.Stderr, "%d lines could not be read and were left out; the first: %s\n", stats.ParseErrors, stats.FirstError)
	}
	return nil
}

func unified(result *translate.Result, compiled *mapping.Compiled) []byte {
	var w exposition.Writer
	translate.Merge(&w, compiled.Families(), result)
	return w.Bytes()
}

func printExplanation(e *command.Env, reports []translate.NativeReport, c wire.Coverage) error {
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NATIVE\tTYPE\tSAMPLES\tUNIFIED\tSAMPLES\tWHY")
	for _, r := range reports {
		if len(r.Outcomes) == 0 {
			fmt.Fprintf(w, "%s\t%s\t%d\t-\t-\t%s\n", r.Name, orDash(r.Type), r.Samples, r.Why)
		}
		for _, o := range r.Outcomes {
			why := cmp.Or(o.Why, r.Why)
			if why == "" && r.Unreadable > 0 {
				why = fmt.Sprintf("%d samples cannot be read", r.Unreadable)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\n", r.Name, orDash(r.Type), r.Samples, o.Family, o.Samples, orDash(why))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.Stdout, "%d of %d unified metrics\n", c.Families, c.Of)
	return err
}
