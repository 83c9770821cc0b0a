package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// remote are the flags of commands that ask a server.
type remote struct {
	ServerURL string        `help:"Address of the server. Default: http://127.0.0.1, or http://127.0.0.1:8080 if nothing listens on port 80 and no token is given." placeholder:"URL" env:"GPUSTACK_SERVER_URL"`
	TokenFile string        `help:"File with the admin token: a copy of the server's DATA_DIR/admin-token. The server's own user on its own machine needs none." placeholder:"FILE" env:"GPUSTACK_TOKEN_FILE"`
	CAFile    string        `name:"ca-file" help:"Certificate authorities (PEM) to verify the server with, instead of this machine's." placeholder:"FILE" env:"GPUSTACK_CA_FILE"`
	Token     command.Token `help:"The admin token itself. Other users of this machine see it on the command line: prefer --token-file." placeholder:"TOKEN" env:"GPUSTACK_TOKEN"`
}

func (r *remote) client(e *command.Env) (*client.Client, error) {
	if r.Token.Shown {
		fmt.Fprintln(e.Stderr, "warning: others on this machine see --token in the list of processes: put it into a file and give --token-file FILE")
	}
	token, err := r.Token.Value(r.TokenFile, command.AdminTokenFile)
	if err != nil {
		return nil, err
	}
	if r.ServerURL == "" {
		if r.ServerURL, err = defaultServer(e.Context, token != ""); err != nil {
			return nil, err
		}
	}
	return client.New(client.Options{BaseURL: r.ServerURL, Token: token, TokenFrom: r.Token.Source(r.TokenFile), CAFile: r.CAFile, Revalidate: true})
}

type mappingCmd struct {
	Check     mappingCheck     `cmd:"" help:"Check a document, without a server."`
	Diff      mappingDiff      `cmd:"" help:"Print the differences between two documents."`
	Schema    mappingSchema    `cmd:"" help:"Print the JSON Schema of mapping documents."`
	Default   mappingDefault   `cmd:"" help:"Print the built-in document."`
	Get       mappingGet       `cmd:"" help:"Print the active document of a server."`
	Set       mappingSet       `cmd:"" help:"Activate a document on a server and all its workers."`
	DryRun    mappingDryRun    `cmd:"" help:"Print what a document would change on a server's workers. Nothing is changed."`
	Reset     mappingReset     `cmd:"" help:"Activate the built-in document again."`
	Translate mappingTranslate `cmd:"" help:"Print the unified metrics of a saved metrics page."`
}

// Help is printed by kong below the usage.
func (*mappingCmd) Help() string {
	return `The mapping says which native metric of an engine becomes which unified metric. To change it:

  stackscope mapping default > mapping.yaml          begin with the built-in document, and edit it
  stackscope mapping check mapping.yaml              find all faults, without a server
  curl -s http://ENGINE/metrics > page.prom
  stackscope mapping translate page.prom --runtime vLLM --mapping mapping.yaml --explain
                                                     see what becomes of each metric of an engine
  stackscope mapping dry-run mapping.yaml            see what would change on all workers
  stackscope mapping set mapping.yaml                activate it
  stackscope mapping reset                           return to the built-in document`
}

// maxPageBytes bounds a page read from a file; a worker has the same bound for an engine's page.
const maxPageBytes = 16 << 20

func readFile(e *command.Env, path string, limit int64) ([]byte, error) {
	if path == "-" {
		data, err := httpjson.ReadAll(e.Stdin, limit)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return data, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := httpjson.ReadAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// readDocument decodes a document and prints its faults, a line each.
func readDocument(e *command.Env, path string) (*mapping.Document, []byte, error) {
	data, err := readFile(e, path, mapping.MaxDocumentBytes)
	if err != nil {
		return nil, nil, err
	}
	doc, err := mapping.Decode(data)
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		for _, f := range faults {
			fmt.Fprintf(e.Stderr, "%s:%d: %s: %s\n", path, max(f.Line, 1), f.Pointer, f.Detail)
		}
		return nil, nil, fmt.Errorf("%s has %d faults", path, len(faults))
	}
	return doc, data, err
}

type mappingCheck struct {
	File string `arg:"" help:"Document, JSON or YAML; - reads standard input."`
}

func (c *mappingCheck) Run(e *command.Env) error {
	doc, _, err := readDocument(e, c.File)
	if err != nil {
		return err
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.Stdout, "%s is good: %d unified metrics\n", c.File, len(compiled.Families()))
	return err
}

type mappingDefault struct {
	JSON bool `help:"Print JSON."`
}

func (c *mappingDefault) Run(e *command.Env) error {
	return printDocument(e.Stdout, mapping.Default(), c.JSON)
}

func printDocument(w io.Writer, doc *mapping.Document, asJSON bool) error {
	if !asJSON {
		data, err := doc.EncodeYAML()
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

type mappingGet struct {
	remote
	JSON bool `help:"Print JSON."`
}

func (c *mappingGet) Run(e *command.Env) error {
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	config, err := cl.GetConfig(e.Context)
	if err != nil {
		return err
	}
	doc, err := mapping.Decode(config.Document)
	if err != nil {
		return fmt.Errorf("the server's document: %w", err)
	}
	return printDocument(e.Stdout, doc, c.JSON)
}

type mappingSet struct {
	remote
	File string `arg:"" help:"Document, JSON or YAML; - is standard input."`
}

func (c *mappingSet) Run(e *command.Env) error {
	_, data, err := readDocument(e, c.File)
	if err != nil {
		return err
	}
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	status, err := cl.SetConfig(e.Context, data, client.Change{IfGeneration: client.AnyGeneration})
	if err != nil {
		return err
	}
	return printStatus(e, status)
}

type mappingReset struct{ remote }

func (c *mappingReset) Run(e *command.Env) error {
	cl, err := c.client(e)
	if err != nil {
		return err
	}
	status, err := cl.ResetConfig(e.Context, client.Change{IfGeneration: client.AnyGeneration})
	if err != nil {
		return err
	}
	return printStatus(e, status)
}

func printStatus(e *command.Env, s wire.MappingStatus) error {
	if s.Unchanged {
		_, err := fmt.Fprintf(e.Stdout, "generation %d is active already: nothing changed\n", s.Generation)
		return err
	}
	_, err := fmt.Fprintf(e.Stdout, "generation %d is active, sent to %d workers\n", s.Generation, s.Workers)
	return err
}
