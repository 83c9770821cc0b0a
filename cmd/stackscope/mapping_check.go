package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/mapping"
)

type mappingCheck struct {
	File  string `arg:"" help:"Document, JSON or YAML; - reads standard input."`
	Merge bool   `help:"Check it as one that extends the built-in document, as with 'extends: default' in it."`
}

// Help says what the exit code means.
func (*mappingCheck) Help() string {
	return "Prints each fault as FILE:LINE: POINTER: DETAIL. The exit code is 0 for a good document, and 1 otherwise."
}

func (c *mappingCheck) Run(e *command.Env) error {
	doc, _, err := readDocument(e, c.File, c.Merge)
	if err != nil {
		return printFaults(e, err)
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		return err
	}
	builtin, err := mapping.Compile(mapping.Default())
	if err != nil {
		return err
	}
	have := metricNames(compiled)
	common := 0
	for name := range metricNames(builtin) {
		if have[name] {
			common++
		}
	}
	all := len(builtin.Families())
	if doc.Extends() == "" {
		fmt.Fprintf(e.Stdout, "%s is good: %s\n", c.File, count(len(have), "unified metric"))
		if left := all - common; left > 0 {
			_, err = fmt.Fprintf(e.Stdout, "It leaves out %d of the %d built-in ones. With `extends: default` in it they stay, and it adds to them.\n", left, all)
		}
		return err
	}
	own, err := parseShape(doc)
	if err != nil {
		return err
	}
	builtinShape, err := parseShape(mapping.Default())
	if err != nil {
		return err
	}
	adds, overrides := own.metricsOver(metricNames(builtin))
	_, err = fmt.Fprintf(e.Stdout, "%s is good: an overlay of the built-in document\nIt adds %s, overrides %d, and %d built-in ones stay.\n%s\n",
		c.File, count(adds, "metric"), overrides, all-overrides, own.nativesOver(builtinShape))
	return err
}

// metricNames returns the names of unified metrics, of counters without _total.
func metricNames(c *mapping.Compiled) map[string]bool {
	names := map[string]bool{}
	for _, f := range c.Families() {
		names[shortName(f.Name)] = true
	}
	return names
}

// shortName is a name as both spellings of a counter have it.
func shortName(name string) string {
	if short := strings.TrimSuffix(name, "_total"); short != "" {
		return short
	}
	return name
}

// shape is what a document names.
type shape struct {
	Metrics  map[string]json.RawMessage                       `json:"gpustack_metrics"`
	Runtimes map[string]map[string]map[string]json.RawMessage `json:"runtime_mapping"`
}

func parseShape(doc *mapping.Document) (s shape, err error) {
	data, err := doc.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

// metricsOver counts the unified metrics that an overlay adds to others and those that it overrides.
func (s *shape) metricsOver(others map[string]bool) (adds, overrides int) {
	for name := range s.Metrics {
		if others[shortName(name)] {
			overrides++
		} else {
			adds++
		}
	}
	return adds, overrides
}

// entries returns the native metrics by runtime, range and name, in one spelling.
func (s *shape) entries() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for runtime, ranges := range s.Runtimes {
		for text, natives := range ranges {
			for name, target := range natives {
				all[strings.Join([]string{strings.ToLower(runtime), strings.Join(strings.Fields(text), ""), shortName(name)}, "\n")] = target
			}
		}
	}
	return all
}

// nativesOver says what an overlay does to the native metrics of the built-in document.
func (s *shape) nativesOver(builtin shape) string {
	others := builtin.entries()
	adds, overrides, removes := 0, 0, 0
	for key, target := range s.entries() {
		_, there := others[key]
		switch {
		case string(target) == "null":
			removes++
		case there:
			overrides++
		default:
			adds++
		}
	}
	return fmt.Sprintf("Of native metrics it adds %d, overrides %d and removes %d.", adds, overrides, removes)
}
