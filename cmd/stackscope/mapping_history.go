package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/wire"
)

type mappingHistory struct {
	remote
	Limit int  `short:"n" help:"How many generations, the newest first; 0: all." default:"20" placeholder:"N"`
	JSON  bool `help:"Print JSON."`
}

// Help says how to go on.
func (*mappingHistory) Help() string {
	return `Examples:

  stackscope mapping show 3                          print the document of generation 3
  stackscope mapping diff @3 @active                 see what has changed since
  stackscope mapping restore 3                       activate it again

The server names authors only to admins.`
}

// generationsPage is how many generations are read at once.
const generationsPage = 100

func (c *mappingHistory) Run(e *command.Env) error {
	if c.Limit < 0 {
		return errors.New("--limit: give a number from 0")
	}
	cl, err := c.patient(e)
	if err != nil {
		return err
	}
	list, total, err := readHistory(e, cl, c.Limit)
	if err != nil {
		return noHistory(e.Context, cl, err)
	}
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(wire.List[wire.Generation]{Items: list})
	}
	return printHistory(e.Stdout, list, total)
}

// readHistory reads the newest generations, at most limit or with 0 all, and returns how many there are.
func readHistory(e *command.Env, cl *client.Client, limit int) (list []wire.Generation, total int, err error) {
	per := generationsPage
	if limit > 0 {
		per = min(per, limit)
	}
	list = []wire.Generation{}
	for page := 1; ; page++ {
		answer, err := cl.Generations(e.Context, page, per)
		if err != nil {
			return nil, 0, err
		}
		list = append(list, answer.Items...)
		total = len(list)
		if p := answer.Pagination; p != nil {
			total = max(total, p.Total)
		}
		enough := limit > 0 && len(list) >= limit
		if enough || len(list) >= total || len(answer.Items) == 0 {
			if enough {
				list = list[:limit]
			}
			return list, total, nil
		}
	}
}

func printHistory(out io.Writer, list []wire.Generation, total int) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "the built-in document is active: no other was ever set")
		return err
	}
	w := terminal.NewTable(terminal.Of(out, os.Getenv))
	fmt.Fprintln(w, "GENERATION\tACTIVE\tTIME\tAUTHOR\tWHAT\tCOMMENT")
	for i := range list {
		g := &list[i]
		mark := ""
		if g.Active {
			mark = "*"
		}
		at := "-"
		if g.At != nil {
			at = g.At.Local().Format("2006-01-02 15:04:05")
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", g.Number, mark, at, orDash(oneCell(g.Author)), kindOf(g), oneCell(g.Comment))
	}
	for i := range list {
		if g := &list[i]; g.Problem != "" {
			fmt.Fprintf(w, "\ngeneration %d cannot be used: %s\n", g.Number, oneCell(g.Problem))
		}
	}
	if more := total - len(list); more > 0 {
		fmt.Fprintf(w, "\nand %d older; --limit 0 prints all\n", more)
	}
	return w.Flush()
}

// oneCell makes text fit for a cell of a table.
func oneCell(text string) string { return strings.Join(strings.Fields(text), " ") }

// kindOf says what a generation is.
func kindOf(g *wire.Generation) string {
	kind := "document"
	switch {
	case g.Default:
		kind = "default"
	case g.Extends != "":
		kind = "overlay"
	}
	if g.RestoredFrom != nil {
		kind += fmt.Sprintf(", restored from %d", *g.RestoredFrom)
	}
	return kind
}

type mappingShow struct {
	remote
	Generation generationNumber `arg:"" help:"Number of the generation, as in the history; 0 is the built-in document."`
	Effective  bool             `help:"Of a document that extends the built-in one, print the whole document that workers would get."`
	JSON       bool             `help:"Print the document as JSON."`
}

func (c *mappingShow) Run(e *command.Env) error {
	cl, err := c.patient(e)
	if err != nil {
		return err
	}
	read := cl.Generation
	if c.Effective {
		read = cl.EffectiveGeneration
	}
	g, err := read(e.Context, int64(c.Generation))
	if err != nil {
		return noHistory(e.Context, cl, err)
	}
	if !c.JSON {
		if err := printComment(e.Stdout, &g.Generation); err != nil {
			return err
		}
	}
	return printReceived(e.Stdout, g.Document, c.JSON)
}

// printComment writes what is known of a generation as a comment of YAML.
func printComment(out io.Writer, g *wire.Generation) error {
	line := fmt.Sprintf("# generation %d: %s", g.Number, kindOf(g))
	if g.At != nil {
		line += ", " + g.At.Local().Format("2006-01-02 15:04:05")
	}
	if g.Author != "" {
		line += ", by " + oneCell(g.Author)
	}
	if g.Comment != "" {
		line += "\n# " + oneCell(g.Comment)
	}
	for l := range strings.SplitSeq(line, "\n") {
		if _, err := fmt.Fprintln(out, terminal.Printable(l)); err != nil {
			return err
		}
	}
	return nil
}
