package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/mapping"
)

// suggestion is an entry of an overlay that is only suggested.
type suggestion struct {
	native, unified, typ, help string
	guessed                    bool // the page declares no type that a unified metric can have
}

// suggestedRuntime is the suggestions for one runtime.
type suggestedRuntime struct {
	name    string
	entries []suggestion
}

// overlay is a document that maps what is unmapped, entry by entry commented out.
type overlay struct {
	runtimes []suggestedRuntime
	left     []string // what cannot be mapped by itself, and why
}

// printUnmappedYAML prints an overlay of the server's built-in document.
func printUnmappedYAML(e *command.Env, cl *client.Client, blocks []unmappedBlock) error {
	config, err := cl.GetDefaultConfig(e.Context)
	if err != nil {
		return err
	}
	builtin, err := mapping.Decode(config.Document)
	if err != nil {
		return fmt.Errorf("the server's built-in document, which may be of another version: %w", err)
	}
	current, err := cl.GetConfig(e.Context)
	if err != nil {
		return err
	}
	o, err := suggest(blocks, builtin)
	if err != nil {
		return err
	}
	var posted struct {
		Extends string `json:"extends"`
	}
	if err := json.Unmarshal(current.Document, &posted); err != nil {
		return fmt.Errorf("the server's document: %w", err)
	}
	isBuiltin, err := equalJSON(current.Document, config.Document)
	if err != nil {
		return err
	}
	note := ""
	switch {
	case posted.Extends != "":
		note = fmt.Sprintf("Generation %d is active and extends the built-in document, too: add these lines to it (stackscope mapping get).", current.Generation)
	case !isBuiltin:
		note = fmt.Sprintf("Generation %d is active and is a whole document: this one would replace it. See stackscope mapping dry-run.", current.Generation)
	}
	return o.print(e.Stdout, blocks, note)
}

func equalJSON(a, b []byte) (bool, error) {
	var x, y json.RawMessage
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		return false, err
	}
	return string(x) == string(y), nil
}

// suggest makes an overlay of the built-in document that is valid when all its entries are used.
func suggest(blocks []unmappedBlock, builtin *mapping.Document) (*overlay, error) {
	compiled, err := mapping.Compile(builtin)
	if err != nil {
		return nil, err
	}
	o := &overlay{}
	taken := map[string]string{} // types of unified metrics by short name; empty: the built-in document has it
	for name := range metricNames(compiled) {
		taken[name] = ""
	}
	seen := map[string]bool{} // runtime and short native name
	times := 0                // metrics of client libraries that say when another one began
	for i := range blocks {
		b := &blocks[i]
		if b.Runtime == "" {
			o.left = append(o.left, fmt.Sprintf("the metrics of %s: their runtime is not known", b.names()))
			continue
		}
		plan := compiled.Plan(b.Runtime, b.RuntimeVersion)
		for _, m := range b.Metrics {
			key := strings.ToLower(b.Runtime) + "\n" + shortName(m.Name)
			if seen[key] {
				continue
			}
			seen[key] = true
			if strings.HasSuffix(m.Name, "_created") {
				times++
				continue
			}
			if plan.Lookup([]byte(m.Name)) != nil {
				o.left = append(o.left, fmt.Sprintf("%s of %s: the built-in document maps it", m.Name, b.Runtime))
				continue
			}
			if len(m.Name) > maxSuggestedName {
				o.left = append(o.left, fmt.Sprintf("%s of %s: its name has %d bytes", clip.End(m.Name, 60), b.Runtime, len(m.Name)))
				continue
			}
			s := suggestion{native: m.Name, help: m.Help}
			if s.typ, s.guessed = unifiedType(m.Name, m.Type); s.typ == "" {
				o.left = append(o.left, fmt.Sprintf("%s of %s: no unified metric can be a %s", m.Name, b.Runtime, m.Type))
				continue
			}
			bare := bareName(b.Runtime, m.Name)
			for _, name := range []string{suggestedPrefix + bare, suggestedPrefix + snake(b.Runtime) + "_" + bare} {
				if typ, ok := taken[name]; bare != "" && (!ok || typ == s.typ) {
					s.unified = name
					break
				}
			}
			if s.unified == "" {
				o.left = append(o.left, fmt.Sprintf("%s of %s: no name can be suggested that is not taken", m.Name, b.Runtime))
				continue
			}
			taken[s.unified] = s.typ
			o.add(b.Runtime, s)
		}
	}
	if times > 0 {
		o.left = append(o.left, fmt.Sprintf("%s named *_created, the times at which others began", count(times, "metric")))
	}
	return o, o.validate(builtin)
}

const (
	suggestedPrefix = "gpustack:"
	// maxSuggestedName bounds native names, in bytes. The mapping allows 256, also for the unified name.
	maxSuggestedName = 180
)

// unifiedType is the type that a unified metric of a native one can have, empty if none can. guessed says that the page's is another.
func unifiedType(name, declared string) (typ string, guessed bool) {
	switch typ := strings.ToLower(declared); typ {
	case "gauge", "counter", "histogram", "summary":
		return typ, false
	case "info", "stateset":
		return "gauge", true
	case "", "untyped", "unknown":
		if strings.HasSuffix(name, "_total") {
			return "counter", true
		}
		return "gauge", true
	}
	return "", false
}

var notInNames = regexp.MustCompile(`[^a-z0-9_]+`)

// snake writes a name with small letters, digits and _ alone.
func snake(name string) string {
	return strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "_"), "_")
}

// bareName is a native name without the engine's prefix, which is what stands before the first colon, or the runtime's name.
func bareName(runtime, native string) string {
	name := shortName(native)
	if _, rest, ok := strings.Cut(name, ":"); ok && rest != "" {
		name = rest
	} else if rest, ok := strings.CutPrefix(strings.ToLower(name), snake(runtime)+"_"); ok && rest != "" {
		name = rest
	}
	return snake(name)
}

func (o *overlay) add(runtime string, s suggestion) {
	k := slices.IndexFunc(o.runtimes, func(r suggestedRuntime) bool { return strings.EqualFold(r.name, runtime) })
	if k < 0 {
		k = len(o.runtimes)
		o.runtimes = append(o.runtimes, suggestedRuntime{name: runtime})
	}
	o.runtimes[k].entries = append(o.runtimes[k].entries, s)
}

// validate removes entries with which the document would not be valid.
func (o *overlay) validate(builtin *mapping.Document) error {
	for {
		_, err := mapping.DecodeOver([]byte(o.text("", true)), builtin)
		faults, ok := errors.AsType[mapping.Faults](err)
		if !ok {
			return err
		}
		before := len(o.left)
		for _, f := range faults {
			o.remove(f)
		}
		if len(o.left) == before {
			return fmt.Errorf("the suggested document is not valid: %w", err)
		}
	}
}

// remove removes the entries at the place of a fault.
func (o *overlay) remove(f mapping.Fault) {
	parts := strings.Split(f.Pointer, "/")
	for i := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
	}
	for k := range o.runtimes {
		r := &o.runtimes[k]
		r.entries = slices.DeleteFunc(r.entries, func(s suggestion) bool {
			at := len(parts) > 2 && (parts[1] == "gpustack_metrics" && parts[2] == s.unified ||
				parts[1] == "runtime_mapping" && parts[2] == r.name && (len(parts) < 5 || parts[4] == s.native))
			if at {
				o.left = append(o.left, fmt.Sprintf("%s of %s: %s", s.native, r.name, f.Detail))
			}
			return at
		})
	}
	o.runtimes = slices.DeleteFunc(o.runtimes, func(r suggestedRuntime) bool { return len(r.entries) == 0 })
}

// maxSuggestedHelp bounds a description, in bytes.
const maxSuggestedHelp = 500

// text returns the document: its entries commented out with mark, or as they are.
func (o *overlay) text(mark string, used bool) string {
	var b strings.Builder
	b.WriteString("extends: default\n")
	if len(o.runtimes) == 0 {
		return b.String()
	}
	line := func(format string, args ...any) {
		if !used {
			b.WriteString(mark)
		}
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line("gpustack_metrics:")
	defined := map[string]bool{}
	for _, r := range o.runtimes {
		for _, s := range r.entries {
			if defined[s.unified] {
				continue
			}
			defined[s.unified] = true
			help := s.help
			if help == "" {
				help = s.native + " of " + r.name
			}
			note := ""
			if s.guessed {
				note = "  # the page declares no such type"
			}
			line("  %s: {type: %s, description: %s}%s", s.unified, s.typ, yamlText(clip.End(terminal.Printable(oneCell(help)), maxSuggestedHelp)), note)
		}
	}
	line("runtime_mapping:")
	for _, r := range o.runtimes {
		line("  %s:", yamlKey(r.name))
		line(`    "*":`)
		for _, s := range r.entries {
			line("      %s: %s", yamlKey(s.native), s.unified)
		}
	}
	return b.String()
}

// yamlText quotes a text: a string of JSON is one of YAML.
func yamlText(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil { // a string can always be encoded
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(:[A-Za-z0-9_]+)*$`)

// yamlKey quotes a key where YAML could read something else.
func yamlKey(key string) string {
	words := []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
	if plainKey.MatchString(key) && !slices.Contains(words, strings.ToLower(key)) {
		return key
	}
	return yamlText(key)
}

// print writes the document with its entries commented out.
func (o *overlay) print(out io.Writer, blocks []unmappedBlock, note string) error {
	var b strings.Builder
	comment := func(text string) { b.WriteString("## " + terminal.Printable(oneCell(text)) + "\n") }
	comment("Metrics that the mapping does not name, with suggested names:")
	for i := range blocks {
		comment(fmt.Sprintf("%s (%s): %s", engineName(blocks[i].Runtime, blocks[i].RuntimeVersion), blocks[i].names(), count(len(blocks[i].Metrics), "metric")))
	}
	if note != "" {
		comment(note)
	}
	comment(`Remove "# " from the lines that you want, and from those that they stand below; sed 's/^# //' does it for all.`)
	comment("Check names and types; then: stackscope mapping check FILE, dry-run FILE, set FILE.")
	b.WriteString(o.text("# ", false))
	for _, text := range o.left {
		comment("left out: " + text)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
