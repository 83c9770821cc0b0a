package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

type mappingUnmapped struct {
	remote
	Instance string `arg:"" optional:"" help:"Name or id of an instance. Default: all."`
	YAML     bool   `name:"yaml" help:"Print a document that maps them, as a start: its entries are commented out." xor:"form"`
	JSON     bool   `help:"Print JSON." xor:"form"`
}

// Help says what is printed.
func (*mappingUnmapped) Help() string {
	return "The worker of each instance reads the engine's page. Instances of one runtime and version with the same unmapped metrics are printed together. " +
		"The exit code is 1 if no page could be read."
}

// pagesAtATime is how many pages a server reads at a time.
const pagesAtATime = 4

// unmappedBlock is the unmapped metrics of instances that have the same.
type unmappedBlock struct {
	Runtime        string           `json:"runtime"`
	RuntimeVersion string           `json:"runtime_version"`
	Instances      []unmappedOf     `json:"instances"`
	Metrics        []unmappedMetric `json:"metrics"`
}

// unmappedOf names an instance.
type unmappedOf struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Worker string `json:"worker_name"`
}

// unmappedMetric is a native metric that the mapping does not name.
type unmappedMetric struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"` // as the page declares it
	Help string `json:"help,omitempty"`
	// Samples is the largest number of an instance, Fewest the smallest.
	Samples int `json:"samples"`
	Fewest  int `json:"fewest_samples"`
}

// unreadInstance is an instance whose page could not be read.
type unreadInstance struct {
	unmappedOf
	Error string `json:"error"`
}

// unmappedAnswer is what --json prints.
type unmappedAnswer struct {
	Blocks []unmappedBlock  `json:"blocks"`
	Errors []unreadInstance `json:"errors"`
}

func (c *mappingUnmapped) Run(e *command.Env) error {
	cl, err := c.patient(e)
	if err != nil {
		return err
	}
	list, err := readInstances(e.Context, cl)
	if err != nil {
		return err
	}
	if c.Instance != "" {
		in, err := findInstance(list, c.Instance)
		if err != nil {
			return err
		}
		list = []knownInstance{*in}
	}
	answer := readUnmapped(e.Context, cl, list)
	if err := e.Context.Err(); err != nil {
		return err
	}
	switch {
	case c.JSON:
		err = json.NewEncoder(e.Stdout).Encode(answer)
	case c.YAML:
		err = printUnmappedYAML(e, cl, answer.Blocks)
	default:
		err = printUnmapped(e.Stdout, answer.Blocks)
	}
	if err != nil {
		return err
	}
	for _, failed := range answer.Errors {
		fmt.Fprintf(e.Stderr, "%s on %s: %s\n", failed.Name, failed.Worker, failed.Error)
	}
	switch {
	case len(list) == 0:
		fmt.Fprintln(e.Stderr, "the server knows no instance")
	case len(answer.Errors) == len(list):
		return command.ErrSaid
	}
	return nil
}

// readUnmapped reads the pages of instances and folds those that have the same unmapped metrics.
func readUnmapped(ctx context.Context, cl *client.Client, list []knownInstance) unmappedAnswer {
	type got struct {
		block unmappedBlock
		err   error
	}
	pages := make([]got, len(list))
	var group errgroup.Group
	group.SetLimit(pagesAtATime)
	for i := range list {
		group.Go(func() error {
			page, err := list[i].readPage(ctx, cl)
			if err == nil && page.Error != "" {
				err = errors.New(page.Error)
			}
			if err == nil && page.MetricsLeftOut > 0 {
				err = fmt.Errorf("%s did not fit into the answer", count(page.MetricsLeftOut, "metric"))
			}
			pages[i] = got{unmappedBlock{Runtime: page.Runtime, RuntimeVersion: page.RuntimeVersion, Metrics: unmappedOn(&page)}, err}
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	answer := unmappedAnswer{Blocks: []unmappedBlock{}, Errors: []unreadInstance{}}
	for i, p := range pages {
		who := unmappedOf{list[i].ID, list[i].Name, list[i].worker}
		if p.err != nil {
			answer.Errors = append(answer.Errors, unreadInstance{who, p.err.Error()})
		}
		if p.err != nil && len(p.block.Metrics) == 0 {
			continue
		}
		k := slices.IndexFunc(answer.Blocks, func(b unmappedBlock) bool { return b.same(&p.block) })
		if k < 0 {
			k = len(answer.Blocks)
			answer.Blocks = append(answer.Blocks, p.block)
		}
		answer.Blocks[k].add(who, p.block.Metrics)
	}
	return answer
}

// unmappedOn returns the unmapped metrics of a page, in its order.
func unmappedOn(page *wire.InstancePage) []unmappedMetric {
	list := []unmappedMetric{}
	if page.Coverage == nil { // no page could be read
		return list
	}
	text := []byte(page.Native)
	help := map[string]string{}
	for lines := exposition.NewScanner(text, translate.DetectFormat(page.ContentType, text)); lines.Scan(); {
		if lines.Kind() == exposition.HelpLine && len(help) < translate.MaxNatives {
			help[string(lines.Name())] = string(exposition.Unescape(nil, lines.Text()))
		}
	}
	for _, m := range page.Metrics {
		if len(m.Outcomes) == 0 {
			list = append(list, unmappedMetric{m.Name, m.Type, help[m.Name], m.Samples, m.Samples})
		}
	}
	return list
}

// same reports whether another block is of the same engine and has the same metrics.
func (b *unmappedBlock) same(other *unmappedBlock) bool {
	return b.Runtime == other.Runtime && b.RuntimeVersion == other.RuntimeVersion &&
		slices.EqualFunc(b.Metrics, other.Metrics, func(x, y unmappedMetric) bool { return x.Name == y.Name && x.Type == y.Type })
}

// add adds an instance that has the same metrics.
func (b *unmappedBlock) add(who unmappedOf, metrics []unmappedMetric) {
	b.Instances = append(b.Instances, who)
	for i, m := range metrics {
		b.Metrics[i].Samples = max(b.Metrics[i].Samples, m.Samples)
		b.Metrics[i].Fewest = min(b.Metrics[i].Fewest, m.Samples)
	}
}

// names lists the instances.
func (b *unmappedBlock) names() string {
	var names []string
	for _, in := range b.Instances {
		names = append(names, in.Name)
	}
	return strings.Join(names, ", ")
}

func printUnmapped(out io.Writer, blocks []unmappedBlock) error {
	w := terminal.NewTable(terminal.Of(out, os.Getenv))
	for i := range blocks {
		b := &blocks[i]
		if i > 0 {
			fmt.Fprintln(w)
		}
		if len(b.Metrics) == 0 {
			fmt.Fprintf(w, "%s (%s): every metric is mapped\n", engineName(b.Runtime, b.RuntimeVersion), b.names())
			continue
		}
		fmt.Fprintf(w, "%s (%s): %s not mapped\n\nMETRIC\tTYPE\tSAMPLES\tHELP\n", engineName(b.Runtime, b.RuntimeVersion), b.names(), count(len(b.Metrics), "metric"))
		for _, m := range b.Metrics {
			samples := fmt.Sprint(m.Samples)
			if m.Fewest != m.Samples {
				samples = fmt.Sprintf("%d-%d", m.Fewest, m.Samples)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Name, orDash(m.Type), samples, oneCell(m.Help))
		}
	}
	return w.Flush()
}
