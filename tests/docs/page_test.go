package docs_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// block is a fenced block of a page. What the test has to know about it stands in a comment right above it:
//
//	<!-- test: on=demo expect="ok" -->
//
// A block of language text behind it is what the command prints; there ... stands for anything, and a line that is nothing
// else for any lines.
type block struct {
	line     int // of the page, where its text begins
	language string
	text     string
	output   string // what the page says that it prints; empty: it says nothing
	directive
}

// directive says how a block is tried.
type directive struct {
	given   bool
	on      string   // the server that it asks: demo, or one that an earlier block started
	start   string   // it starts a server of this name and goes on running
	before  string   // it prepares what the server of this name will start with
	in      string   // folder in which it runs, from the page's own
	expect  []string // texts that it prints
	fails   bool     // it ends with an error
	retry   bool     // what it prints needs time to come
	own     bool     // it needs a Grafana of the user's own
	install bool     // Grafana's release is in place
	not     string   // why it is not tried
	vars    bool     // it sets variables for the blocks after it
	stop    string   // the server of this name is stopped before
	goes    bool     // it goes on running until the end of the page
	as      string   // a part of the page's own test tries it
}

func (d *directive) set(key, value string) error {
	switch key {
	case "on":
		d.on = value
	case "start":
		d.start = value
	case "for":
		d.before = value
	case "in":
		d.in = value
	case "expect":
		d.expect = append(d.expect, value)
	case "fails":
		d.fails = true
	case "retry":
		d.retry = true
	case "own":
		d.own = true
	case "install":
		d.install = true
	case "not":
		if value == "" {
			return errors.New("not: give the reason why it is not tried")
		}
		d.not = value
	case "vars":
		d.vars = true
	case "stop":
		d.stop = value
	case "background":
		d.goes = true
	case "as":
		d.as = value
	case "promtool", "promql", "grafana": // a reminder for readers of what it takes
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

var directivePart = regexp.MustCompile(`^\s*([a-z]+)(?:=("(?:[^"\\]|\\.)*"|[^\s"]+))?(?:\s|$)`)

func parseDirective(text string) (directive, error) {
	d := directive{given: true}
	for rest := strings.TrimSpace(text); rest != ""; {
		m := directivePart.FindStringSubmatch(rest)
		if m == nil {
			return d, fmt.Errorf("%q is no key=value", rest)
		}
		value := m[2]
		if strings.HasPrefix(value, `"`) {
			var err error
			if value, err = strconv.Unquote(value); err != nil {
				return d, err
			}
		}
		if err := d.set(m[1], value); err != nil {
			return d, err
		}
		rest = rest[len(m[0]):]
	}
	return d, nil
}

// readPage returns the fenced blocks of a page in order.
func readPage(path string) ([]block, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	blocks, err := parsePage(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return blocks, nil
}

func parsePage(text string) ([]block, error) {
	var blocks []block
	var pending directive
	var current *block
	indent, between := "", true // between: only blank lines since the last block
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case current != nil && trimmed == "```":
			if current.language == "text" && between && len(blocks) > 0 && blocks[len(blocks)-1].runs() && blocks[len(blocks)-1].output == "" {
				blocks[len(blocks)-1].output = current.text
			} else {
				blocks = append(blocks, *current)
			}
			current, between = nil, true
		case current != nil:
			current.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(trimmed, "```"):
			indent = line[:strings.Index(line, "`")]
			current = &block{line: i + 2, language: strings.TrimPrefix(trimmed, "```"), directive: pending}
			pending = directive{}
		case strings.HasPrefix(trimmed, "<!-- test:"):
			inside, ok := strings.CutSuffix(strings.TrimPrefix(trimmed, "<!-- test:"), "-->")
			if !ok {
				return nil, fmt.Errorf("%d: the comment does not end on its line", i+1)
			}
			d, err := parseDirective(inside)
			if err != nil {
				return nil, fmt.Errorf("%d: %w", i+1, err)
			}
			pending, between = d, false
		case trimmed != "":
			if pending.given {
				return nil, fmt.Errorf("%d: the test comment above belongs to no block", i+1)
			}
			between = false
		}
	}
	if current != nil {
		return nil, fmt.Errorf("%d: the block does not end", current.line)
	}
	return blocks, nil
}

// runs tells blocks of commands from configuration, queries and what is printed.
func (b *block) runs() bool { return slices.Contains([]string{"console", "bash", "sh"}, b.language) }

// matches reports whether printed is what the page shows.
func matches(shown, printed string) error {
	var pattern strings.Builder
	pattern.WriteString(`(?s)\A\s*`)
	lines := strings.Split(strings.TrimSpace(shown), "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, " ")
		if line == "..." {
			pattern.WriteString(`(?:[^\n]*\n)*?[^\n]*`)
		} else {
			parts := strings.Split(line, "...")
			for j := range parts {
				parts[j] = regexp.QuoteMeta(parts[j])
			}
			pattern.WriteString(strings.Join(parts, `[^\n]*`))
		}
		if i < len(lines)-1 {
			pattern.WriteString(`[ \r]*\n`)
		}
	}
	pattern.WriteString(`\s*\z`)
	re, err := regexp.Compile(pattern.String())
	if err != nil {
		return err
	}
	if !re.MatchString(printed) {
		return fmt.Errorf("the page shows\n%s\nbut it prints\n%s", shown, printed)
	}
	return nil
}
