package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/terminal"
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
	return r.connect(e, true)
}

// patient returns a client for requests that may take longer than those for lists. It keeps no answers.
func (r *remote) patient(e *command.Env) (*client.Client, error) { return r.connect(e, false) }

func (r *remote) connect(e *command.Env, revalidate bool) (*client.Client, error) {
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
	return client.New(client.Options{BaseURL: r.ServerURL, Token: token, TokenFrom: r.Token.Source(r.TokenFile), CAFile: r.CAFile, Revalidate: revalidate})
}

type mappingCmd struct {
	Check     mappingCheck     `cmd:"" help:"Check a document, without a server."`
	Diff      mappingDiff      `cmd:"" help:"Print the differences between two documents, or generations of a server."`
	Schema    mappingSchema    `cmd:"" help:"Print the JSON Schema of mapping documents."`
	Default   mappingDefault   `cmd:"" help:"Print the built-in document."`
	Get       mappingGet       `cmd:"" help:"Print the active document of a server."`
	Set       mappingSet       `cmd:"" help:"Activate a document on a server and all its workers."`
	DryRun    mappingDryRun    `cmd:"" help:"Print what a document would change on a server's workers. Nothing is changed."`
	Reset     mappingReset     `cmd:"" help:"Activate the built-in document again."`
	History   mappingHistory   `cmd:"" help:"Print which documents a server had: when, by whom and why."`
	Show      mappingShow      `cmd:"" help:"Print the document of a generation."`
	Restore   mappingRestore   `cmd:"" help:"Activate the document of an earlier generation again."`
	Unmapped  mappingUnmapped  `cmd:"" help:"Print the metrics of engines that the mapping does not name."`
	Translate mappingTranslate `cmd:"" help:"Print the unified metrics of a saved metrics page, or of an instance."`
}

// Help is printed by kong below the usage.
func (*mappingCmd) Help() string {
	return `The mapping says which native metric of an engine becomes which unified metric. To change it:

  stackscope mapping unmapped --yaml > my.yaml       begin with what is not mapped yet. Its line "extends: default" adds to
                                                     the built-in document; a document without it replaces all of that one
  stackscope mapping check my.yaml                   find all faults, without a server
  stackscope mapping translate INSTANCE --mapping my.yaml --explain
                                                     see what becomes of each metric of an engine
  stackscope mapping dry-run my.yaml                 see what would change on all workers
  stackscope mapping set my.yaml                     activate it; it asks if series would vanish
  stackscope mapping history                         see who changed what and why
  stackscope mapping restore 3                       return to an earlier document
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

// readDocument reads a document. With merge it is taken as one that extends the built-in one. The error of a faulty one is a faultsError.
func readDocument(e *command.Env, path string, merge bool) (*mapping.Document, []byte, error) {
	if merge {
		return decodeFile(e, path, mapping.DecodeOverlay)
	}
	return decodeFile(e, path, mapping.Decode)
}

func decodeFile(e *command.Env, path string, decode func([]byte) (*mapping.Document, error)) (*mapping.Document, []byte, error) {
	data, err := readFile(e, path, mapping.MaxDocumentBytes)
	if err != nil {
		return nil, nil, err
	}
	doc, err := decode(data)
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		list := make([]wire.Fault, len(faults))
		for i, f := range faults {
			list[i] = wire.Fault{Pointer: f.Pointer, Detail: f.Detail, Line: f.Line}
		}
		return nil, data, &faultsError{path, list}
	}
	return doc, data, err
}

// faultsError is the error of a faulty document.
type faultsError struct {
	path   string
	faults []wire.Fault
}

func (f *faultsError) Error() string {
	return fmt.Sprintf("%s has %s", f.name(), count(len(f.faults), "fault"))
}

func (f *faultsError) name() string {
	if f.path == "-" {
		return "standard input"
	}
	return f.path
}

// printFaults prints the faults of a faultsError in the order of their lines, as compilers do: FILE:LINE: POINTER: DETAIL.
func printFaults(e *command.Env, err error) error {
	f, ok := errors.AsType[*faultsError](err)
	if !ok {
		return err
	}
	slices.SortStableFunc(f.faults, func(a, b wire.Fault) int { return cmp.Compare(a.Line, b.Line) })
	for _, fault := range f.faults {
		at := f.name()
		if fault.Line > 0 {
			at += ":" + strconv.Itoa(fault.Line)
		}
		if fault.Pointer != "" {
			at += ": " + fault.Pointer
		}
		fmt.Fprintf(e.Stderr, "%s: %s\n", terminal.Printable(at), terminal.Printable(fault.Detail))
	}
	return err
}

// count writes a number and what is counted.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if what != "series" {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
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
	Effective bool `help:"Of a document that extends the built-in one, print the whole document that workers get."`
	JSON      bool `help:"Print JSON."`
}

func (c *mappingGet) Run(e *command.Env) error {
	cl, err := c.patient(e)
	if err != nil {
		return err
	}
	get := cl.GetConfig
	if c.Effective {
		get = cl.GetEffectiveConfig
	}
	config, err := get(e.Context)
	if err != nil {
		return err
	}
	return printReceived(e.Stdout, config.Document, c.JSON)
}

// printReceived prints a document of a server, whose version may be another one: nothing of it is judged.
func printReceived(w io.Writer, data []byte, asJSON bool) error {
	if asJSON {
		var out bytes.Buffer
		if err := json.Indent(&out, data, "", "  "); err != nil {
			return fmt.Errorf("the server's document: %w", err)
		}
		out.WriteByte('\n')
		_, err := w.Write(out.Bytes())
		return err
	}
	doc, err := mapping.Decode(data)
	if err != nil {
		return fmt.Errorf("the server's document cannot be printed as YAML, because this program does not understand it; --json prints it: %w", err)
	}
	return printDocument(w, doc, false)
}
