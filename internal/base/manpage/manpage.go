// Package manpage writes a program's manual pages from its command line, as man(7) describes the format. The same command line gives the same
// pages.
package manpage

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/configfile"
)

// Page is a manual page.
type Page struct {
	File string // its name, such as stackscope-server.1
	Text []byte
}

// Release is what the pages are about.
type Release struct {
	Version string
	Date    string // YYYY-MM-DD
}

// Pages returns the page of a program and one for each of its commands that has flags or commands of its own; commands below these are
// sections there. The commands of one that runs without naming any, as "stackscope worker" does, have pages of their own: a program may have
// that command's name. also are pages that others refer to, such as stackscope.yaml(5).
func Pages(app *kong.Application, r Release, also ...string) []Page {
	commands := commandsWithPages(app.Node)
	var refs []string
	for _, node := range commands {
		refs = append(refs, name(node)+"(1)")
	}
	pages := []Page{program(app.Node, r, slices.Concat(refs, also))}
	for _, node := range commands {
		pages = append(pages, command(node, r, slices.Concat([]string{app.Name + "(1)"}, also)))
	}
	return pages
}

func commandsWithPages(app *kong.Node) (list []*kong.Node) {
	for _, n := range app.Children {
		if n.DefaultCmd != nil {
			list = append(list, leaves(n)...)
		} else if !n.Hidden && (len(n.Children) > 0 || len(n.Flags) > 1) { // every program has a command version with one flag
			list = append(list, n)
		}
	}
	return list
}

// name is a command's name in the manual: its words with hyphens.
func name(n *kong.Node) string { return strings.ReplaceAll(spoken(n), " ", "-") }

// spoken is a command as it is typed.
func spoken(n *kong.Node) string {
	if n.Parent == nil {
		return n.Name
	}
	return spoken(n.Parent) + " " + n.Name
}

// open begins a page of a section of the manual.
func open(name, section string, r Release) *page {
	p := &page{}
	p.WriteString(".\\\" Generated from the command line.\n")
	p.macro("TH", escaped.Replace(strings.ToUpper(name)), section, r.Date, escaped.Replace("stackscope "+r.Version), "stackscope")
	p.WriteString(".nh\n.ad l\n")
	p.section("Name")
	return p
}

func begin(n *kong.Node, r Release, summary string) *page {
	p := open(name(n), "1", r)
	p.text(name(n) + " - " + short(summary))
	return p
}

// short is the first part of a sentence, as lists of pages show it.
func short(text string) string {
	text, _, _ = strings.Cut(text, ". ")
	text, _, _ = strings.Cut(text, ": ")
	text, _, _ = strings.Cut(strings.TrimSuffix(text, "."), ", ")
	return strings.ToLower(text[:1]) + text[1:]
}

func program(app *kong.Node, r Release, also []string) Page {
	first, _, _ := strings.Cut(strings.ReplaceAll(app.Help, "\n", " "), ". ")
	_, summary, _ := strings.Cut(first, " ") // "stackscope monitors ..."
	p := begin(app, r, summary)
	p.section("Synopsis")
	p.synopsis(app)
	p.section("Description")
	p.prose(app.Help)
	if len(app.Children) > 0 {
		p.section("Commands")
		for _, n := range leaves(app) {
			p.entry(bold(strings.TrimPrefix(spoken(n), app.Name+" ")), n.Help)
		}
	}
	p.options(app, app.Flags, "Options")
	p.end(app, also)
	return Page{name(app) + ".1", p.Bytes()}
}

// leaves returns the commands below a node that are no groups of others.
func leaves(n *kong.Node) (list []*kong.Node) {
	for _, child := range n.Children {
		switch {
		case child.Hidden:
		case len(child.Children) == 0:
			list = append(list, child)
		default:
			list = append(list, leaves(child)...)
		}
	}
	return list
}

func command(n *kong.Node, r Release, also []string) Page {
	p := begin(n, r, n.Help)
	p.section("Synopsis")
	below := leaves(n)
	if len(below) == 0 {
		p.synopsis(n)
	}
	for i, child := range below {
		if i > 0 {
			p.WriteString(".br\n")
		}
		p.synopsis(child)
	}
	p.section("Description")
	p.text(n.Help)
	if n.Detail != "" {
		p.macro("PP")
		p.prose(n.Detail)
	}
	if len(below) == 0 {
		p.options(n, n.Flags, "Options")
	}
	for _, child := range below {
		p.section(strings.TrimPrefix(spoken(child), spoken(n)+" "))
		p.text(child.Help)
		if child.Detail != "" && child.Detail != n.Detail {
			p.macro("PP")
			p.prose(child.Detail)
		}
		for _, arg := range child.Positional {
			p.entry(italic(strings.ToUpper(arg.Name)), arg.Help)
		}
		p.options(child, child.Flags, "")
	}
	p.end(n, also)
	return Page{name(n) + ".1", p.Bytes()}
}

func (p *page) synopsis(n *kong.Node) {
	words := []string{bold(spoken(n))}
	if len(n.Children) > 0 {
		words = append(words, italic("COMMAND"))
	}
	if len(n.Children) > 0 || len(n.Flags) > 0 {
		words = append(words, "["+italic("FLAG")+"...]")
	}
	for _, arg := range n.Positional {
		word := italic(strings.ToUpper(arg.Name))
		if arg.IsSlice() {
			word += "..."
		}
		if !arg.Required {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	p.line(strings.Join(words, " "))
}

// options writes flags in the groups of the help; with a title in a section of their own.
func (p *page) options(n *kong.Node, flags []*kong.Flag, title string) {
	flags = slices.DeleteFunc(slices.Clone(flags), func(f *kong.Flag) bool { return f.Hidden || f.Name == "help" })
	if len(flags) == 0 {
		return
	}
	if title != "" {
		p.section(title)
	}
	if len(n.Positional) > 0 && title != "" {
		for _, arg := range n.Positional {
			p.entry(italic(strings.ToUpper(arg.Name)), arg.Help)
		}
	}
	var groups []string
	for _, f := range flags {
		if g := group(f); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		if g != "" {
			p.subsection(g)
		}
		for _, f := range flags {
			if group(f) == g {
				p.entry(flagTerm(f), flagTexts(f, f.Help)...)
			}
		}
	}
}

func group(f *kong.Flag) string {
	if f.Group == nil {
		return ""
	}
	return f.Group.Title
}

func flagTerm(f *kong.Flag) string {
	term := bold("--" + f.Name)
	if f.Short != 0 {
		term = bold("-"+string(f.Short)) + ", " + term
	}
	if f.IsBool() {
		return term
	}
	return term + "=" + italic(placeHolder(f))
}

// placeHolder stands for a flag's value.
func placeHolder(f *kong.Flag) string {
	if f.PlaceHolder != "" {
		return f.PlaceHolder
	}
	return strings.ToUpper(f.Name[strings.LastIndex(f.Name, "-")+1:])
}

// flagTexts are a flag's help, with its default, and its environment variables.
func flagTexts(f *kong.Flag, help string) []string {
	texts := []string{help}
	if f.HasDefault && f.Default != "" && !strings.Contains(help, "Default:") {
		texts[0] += " Default: " + f.Default + "."
	}
	if len(f.Envs) > 0 {
		texts = append(texts, "Environment: "+strings.Join(f.Envs, ", "))
	}
	return texts
}

func (p *page) end(n *kong.Node, also []string) {
	p.section("Exit status")
	p.text("0: it succeeded, or was asked to end. 1: it failed, and a line on standard error says why. Other values are named where a command has them.")
	if len(leaves(n)) == 0 && slices.ContainsFunc(n.Flags, configfile.Names) {
		p.section("Files")
		p.entry(italic("/etc/stackscope"), "The configuration files of packages, for --config-file. See stackscope.yaml(5).")
	}
	p.section("See also")
	for i, ref := range also {
		page, section, _ := strings.Cut(ref, "(")
		line := bold(page) + "(" + section
		if i < len(also)-1 {
			line += ","
		}
		p.line(line)
	}
}

// Settings is a command whose settings a page about configuration files lists.
type Settings struct {
	Title string
	Node  *kong.Node
}

// ConfigFile returns the page about configuration files, stackscope.yaml(5), with the settings of commands.
func ConfigFile(r Release, commands []Settings) Page {
	p := open("stackscope.yaml", "5", r)
	p.line(`stackscope.yaml \- configuration files of stackscope and stackscope\-worker`)
	p.section("Synopsis")
	p.line(italic("/etc/stackscope/server.yaml"))
	p.WriteString(".br\n")
	p.line(italic("/etc/stackscope/worker.yaml"))
	p.section("Description")
	p.prose(fileFormat)
	for _, c := range commands {
		p.section(c.Title)
		settings := configfile.Settings(c.Node)
		for _, f := range settings {
			p.entry(bold(configfile.Key(f))+": "+italic(kind(f)), flagTexts(f, configfile.FileHelp(f, settings))...)
		}
	}
	p.section("See also")
	p.line(bold("stackscope-server") + "(1),")
	p.line(bold("stackscope-worker") + "(1)")
	return Page{"stackscope.yaml.5", p.Bytes()}
}

// kind says what a setting's value is.
func kind(f *kong.Flag) string {
	switch {
	case f.IsSlice():
		return "list"
	case f.IsMap():
		return "keys with values"
	case f.IsBool():
		return "true or false"
	case f.Enum != "":
		return strings.Join(f.EnumSlice(), "|")
	}
	return placeHolder(f)
}

const fileFormat = `A configuration file has the settings of a long-running command: stackscope server, stackscope start, stackscope worker or stackscope-worker. The command reads the file that --config-file or the variable GPUSTACK_CONFIG_FILE names. It does not look for one by itself; the units of the packages name those in /etc/stackscope.

A file is a YAML document whose keys are the names of flags in snake case:

  log_level: debug
  gpu_interval: 5s
  discover: [process, docker]
  worker_labels:
    rack: a12
  engines:
    - url: http://127.0.0.1:8000
      model: qwen3-32b

A flag wins over an environment variable, the variable over the file, and the file over the default. Commands may share a file: a key of another command has no effect. An unknown key, a value of a wrong type and a key that stands twice are errors, which name the line. A time has its unit, as in 30s, 5m or 12h.

A secret belongs into a file of its own: use token_file, and not token.

The command config check finds the faults of a file without starting anything, and config example prints a file with every setting commented out:

  stackscope config check /etc/stackscope/server.yaml
  stackscope-worker config check /etc/stackscope/worker.yaml
  stackscope config example server

A change is used after a restart of the program.`
