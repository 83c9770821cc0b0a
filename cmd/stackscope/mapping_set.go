package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

type mappingSet struct {
	File  string `arg:"" help:"Document, JSON or YAML; - is standard input."`
	Merge bool   `help:"Add to the built-in document and override its entries, as with 'extends: default' in the document."`
	changeFlags
}

// Help says when it changes nothing.
func (*mappingSet) Help() string { return changeHelp }

func (c *mappingSet) Run(e *command.Env) error {
	doc, data, err := readPosted(e, c.File, c.Merge)
	if _, isGeneration, _ := generation(c.File); isGeneration && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s; `stackscope mapping restore` activates an earlier document", c.File)
	}
	if err != nil {
		return err
	}
	change := &mappingChange{
		what: "it",
		try: func(ctx context.Context, cl *client.Client, o client.Change, timeout time.Duration) (wire.MappingDryRun, error) {
			o.Merge = c.Merge
			return cl.TryConfig(ctx, data, o, timeout)
		},
		make: func(ctx context.Context, cl *client.Client, o client.Change) (wire.MappingStatus, error) {
			o.Merge = c.Merge
			return cl.SetConfig(ctx, data, o)
		},
		explain: func(_ context.Context, _ *client.Client, err error) error { return explainFaults(e, c.File, err) },
	}
	if doc != nil && doc.Extends() == "" {
		change.keep = func(ctx context.Context, cl *client.Client, lost *vanishing) string {
			if !mergeKeeps(ctx, cl, data, lost) {
				return ""
			}
			return "--merge, or `extends: default` in the document,"
		}
	}
	return c.change(e, change)
}

// readPosted reads a document that a server gets, and prints its faults. The document is nil if only the server can tell whether it is
// good: the built-in document that it extends is the server's.
func readPosted(e *command.Env, path string, merge bool) (*mapping.Document, []byte, error) {
	doc, data, err := readDocument(e, path, merge)
	if _, faulty := errors.AsType[*faultsError](err); faulty && (merge || strings.Contains(string(data), "extends")) {
		return nil, data, nil
	}
	return doc, data, printFaults(e, err)
}

// explainFaults prints the faults that a server found in a document.
func explainFaults(e *command.Env, path string, err error) error {
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Status != http.StatusUnprocessableEntity || len(refused.Faults) == 0 {
		return err
	}
	for i := range refused.Faults {
		if refused.Faults[i].Pointer == "/extends" && strings.Contains(refused.Faults[i].Detail, "unknown key") {
			refused.Faults[i].Detail += "; the server is older and cannot extend the built-in document: update it"
		}
	}
	return printFaults(e, &faultsError{path, refused.Faults})
}

// mergeKeeps reports whether a document would take nothing away if it extended the built-in one.
func mergeKeeps(ctx context.Context, cl *client.Client, data []byte, lost *vanishing) bool {
	config, err := cl.GetEffectiveConfig(ctx)
	if err != nil {
		return false
	}
	before, err := compile(config.Document, mapping.Decode)
	if err != nil {
		return false
	}
	after, err := compile(data, mapping.DecodeOverlay)
	if err != nil {
		return false
	}
	gone := map[string]bool{}
	for _, m := range mapping.Vanishing(before, after) {
		gone[m.Metric] = true
	}
	for _, m := range lost.Metrics {
		if gone[m.Metric] {
			return false
		}
	}
	return true
}

func compile(data []byte, decode func([]byte) (*mapping.Document, error)) (*mapping.Compiled, error) {
	doc, err := decode(data)
	if err != nil {
		return nil, err
	}
	return mapping.Compile(doc)
}
