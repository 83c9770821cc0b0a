package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

type mappingTranslate struct {
	Page    string `arg:"" help:"Saved metrics page, for example from curl; - reads standard input. If there is no such file, the name or id of an instance that the server knows; ./NAME is always a file."`
	Runtime string `help:"Runtime, as the mapping names it: vLLM, SGLang, MindIE. Default: the instance's; for a file, the one that maps most of its metrics."`
	Version string `help:"The engine's version, for example 0.11.0. Default: the instance's. Without it only the entries for every version apply."`
	Mapping string `help:"Document to use, or @N, @active or @default of a server. Default: the built-in document for a file, the active one for an instance." placeholder:"FILE"`
	Explain bool   `help:"Print the outcome of each native metric with the reason, instead of the metrics."`
	JSON    bool   `help:"Print metrics and explanation as JSON, like the server's /v2/metrics/preview."`
	remote
}

// Help is printed by kong below the usage.
func (*mappingTranslate) Help() string {
	return `Examples:

  stackscope mapping translate qwen3-8b-0 --explain  what becomes of each metric of an instance, under the active mapping
  stackscope mapping translate qwen3-8b-0 --mapping my.yaml
                                                     under a document of yours
  curl -s http://ENGINE/metrics > page.prom
  stackscope mapping translate page.prom --runtime vLLM --version 0.11.0
                                                     without a server`
}

// nativePage is what is translated.
type nativePage struct {
	name             string
	text             []byte
	format           translate.Format
	instance         bool // it is an instance's, and no file
	runtime, version string
}

func (c *mappingTranslate) Run(e *command.Env) error {
	page, err := c.read(e)
	if err != nil {
		return err
	}
	names := []string{c.Mapping}
	if page.instance {
		names = append(names, "@active") // an overlay gets the server's built-in entries
	}
	s, err := newSides(e, &c.remote, names...)
	if err != nil {
		return err
	}
	used := s.defaultSide()
	if name := cmp.Or(c.Mapping, names[len(names)-1]); name != "" {
		if used, err = s.read(name); err != nil {
			return err
		}
	}
	compiled, err := mapping.Compile(used.doc)
	if err != nil {
		return err
	}
	page.version = cmp.Or(c.Version, page.version)
	if err := c.chooseRuntime(e, page, used, compiled); err != nil {
		return err
	}
	if page.instance {
		fmt.Fprintf(e.Stderr, "%s: %s, mapping: %s\n", page.name, engineName(page.runtime, page.version), used.name)
	}
	plan := compiled.Plan(page.runtime, page.version)
	if plan.Empty() {
		return fmt.Errorf("the mapping has nothing to translate with: %s; see --runtime and --version", compiled.Missing(page.runtime, page.version))
	}
	return c.print(e, page, compiled, plan)
}

// read reads a file, or the page of an instance.
func (c *mappingTranslate) read(e *command.Env) (*nativePage, error) {
	isPath := c.Page == "-" || filepath.IsAbs(c.Page) || strings.HasPrefix(c.Page, "./") || strings.HasPrefix(c.Page, "../")
	_, err := os.Stat(c.Page)
	if isPath || !errors.Is(err, fs.ErrNotExist) {
		text, err := readFile(e, c.Page, maxPageBytes)
		return &nativePage{name: c.Page, text: text, format: translate.DetectFormat("", text)}, err
	}
	noFile := func(err error) error { return fmt.Errorf("there is no file %s, and no such instance: %w", c.Page, err) }
	cl, err := c.patient(e)
	if err != nil {
		return nil, noFile(err)
	}
	list, err := readInstances(e.Context, cl)
	if err != nil {
		return nil, noFile(err)
	}
	in, err := findInstance(list, c.Page)
	if err != nil {
		return nil, noFile(err)
	}
	page, err := in.readPage(e.Context, cl)
	if err != nil {
		return nil, err
	}
	if page.Truncated {
		fmt.Fprintf(e.Stderr, "warning: the server has the first %d of %d bytes of the page; save the whole page with curl from %s\n", len(page.Native), page.Bytes, page.URL)
	}
	text := []byte(page.Native)
	return &nativePage{name: in.String(), text: text, format: translate.DetectFormat(page.ContentType, text), instance: true, runtime: page.Runtime, version: page.RuntimeVersion}, nil
}

// chooseRuntime sets the runtime of the page: the one that is given, the instance's, or the one that maps most of its metrics.
func (c *mappingTranslate) chooseRuntime(e *command.Env, page *nativePage, used side, compiled *mapping.Compiled) error {
	if page.runtime = cmp.Or(c.Runtime, page.runtime); page.runtime != "" {
		return nil
	}
	runtimes, err := runtimesOf(used.doc)
	if err != nil {
		return err
	}
	names := nativeNames(page)
	most := 0
	var best []string
	for _, name := range runtimes {
		switch n := mapped(names, compiled.Plan(name, page.version)); {
		case n > most:
			most, best = n, []string{name}
		case n == most && n > 0:
			best = append(best, name)
		}
	}
	switch len(best) {
	case 0:
		return fmt.Errorf("%s: no runtime of the mapping names any of its metrics: give --runtime, one of %s", page.name, strings.Join(runtimes, ", "))
	case 1:
		page.runtime = best[0]
		fmt.Fprintf(e.Stderr, "%s: taken as a page of %s, which maps %s of it; --runtime names another\n", page.name, page.runtime, count(most, "metric"))
		return nil
	}
	return fmt.Errorf("%s: %s map %s of it each: give one of them with --runtime", page.name, strings.Join(best, " and "), count(most, "metric"))
}

// runtimesOf returns the runtimes of a document, in its order.
func runtimesOf(doc *mapping.Document) ([]string, error) {
	data, err := doc.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var parts struct {
		Mapping json.RawMessage `json:"runtime_mapping"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return nil, err
	}
	var names []string
	keys := json.NewDecoder(bytes.NewReader(parts.Mapping))
	for depth := 0; ; {
		token, err := keys.Token()
		if err != nil {
			return names, nil // the end
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
		case string:
			if depth == 1 { // at that depth there are keys only: each value is an object
				names = append(names, t)
			}
		}
	}
}

// nativeNames returns the names of a page's samples, and of what they may be parts of.
func nativeNames(page *nativePage) map[string]bool {
	names := map[string]bool{}
	for lines := exposition.NewScanner(page.text, page.format); lines.Scan() && len(names) < translate.MaxNatives; {
		if lines.Kind() != exposition.SampleLine {
			continue
		}
		name := string(lines.Name())
		names[name] = true
		for _, suffix := range []string{"_bucket", "_sum", "_count", "_total"} {
			if short, ok := strings.CutSuffix(name, suffix); ok && short != "" {
				names[short] = true
			}
		}
	}
	return names
}

// mapped counts the metrics of a page that a plan maps.
func mapped(names map[string]bool, plan *mapping.Plan) int {
	found := map[string]bool{}
	for name := range names {
		if plan.Lookup([]byte(name)) != nil {
			found[shortName(name)] = true
		}
	}
	return len(found)
}

func (c *mappingTranslate) print(e *command.Env, page *nativePage, compiled *mapping.Compiled, plan *mapping.Plan) (err error) {
	var result translate.Result
	stats := result.Translate(page.text, page.format, plan, translate.NewSource([]translate.Label{{Name: "runtime", Value: page.runtime}}))
	var coverage wire.Coverage
	coverage.Families, coverage.Of = result.Coverage(plan)
	switch {
	case c.JSON:
		err = json.NewEncoder(e.Stdout).Encode(struct {
			Unified  string                   `json:"unified"`
			Coverage wire.Coverage            `json:"coverage"`
			Native   []translate.NativeReport `json:"native"`
		}{string(unified(&result, compiled)), coverage, translate.Explain(page.text, page.format, plan)})
	case c.Explain:
		err = printExplanation(e, translate.Explain(page.text, page.format, plan), coverage)
	default:
		_, err = e.Stdout.Write(unified(&result, compiled))
	}
	if err == nil && stats.ParseErrors > 0 {
		fmt.Fprintf(e.Stderr, "%d lines could not be read and were left out; the first: %s\n", stats.ParseErrors, stats.FirstError)
	}
	return err
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
