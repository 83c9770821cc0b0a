package configfile

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// exampleWidth is the column at which Example wraps its comments.
const exampleWidth = 100

// Settings returns the flags of a command that a configuration file can hold, in the order of its help.
func Settings(node *kong.Node) []*kong.Flag {
	var list []*kong.Flag
	for _, flags := range node.AllFlags(true) {
		list = append(list, flags...)
	}
	return slices.DeleteFunc(list, func(f *kong.Flag) bool { return Key(f) == "" })
}

// Group is the title of flags that belong together, as the help shows it.
func Group(flag *kong.Flag) string {
	if flag.Group == nil {
		return "Settings"
	}
	return flag.Group.Title
}

// Example returns a configuration file for a command, below the lines of head. Each setting of the command stands in it as a comment, with its
// help, its environment variables and its default. Lines of text begin with "# ", lines of settings with "#" alone, so that removing this
// character puts a setting into force.
//
// A setting without a default shows what the field tag example:"x" of its flag has, written in YAML; one that has none of both, and is a
// text, is an error. A tag file:"x" replaces the help where that speaks of the command line.
func Example(node *kong.Node, head []string) ([]byte, error) {
	var b bytes.Buffer
	for _, line := range head {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	settings := Settings(node)
	var groups []string // as the help has them, in the order of their first flags
	for _, flag := range settings {
		if g := Group(flag); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	slices.SortStableFunc(settings, func(x, y *kong.Flag) int {
		return cmp.Compare(slices.Index(groups, Group(x)), slices.Index(groups, Group(y)))
	})
	group := ""
	for _, flag := range settings {
		if g := Group(flag); g != group {
			group = g
			title := "---- " + group + " "
			fmt.Fprintf(&b, "\n# %s%s\n", title, strings.Repeat("-", exampleWidth-2-len(title)))
		}
		shown, note, err := shown(flag)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag.Name, err)
		}
		b.WriteByte('\n')
		for line := range wrapped(FileHelp(flag, settings), exampleWidth-2) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		if len(flag.Envs) > 0 {
			fmt.Fprintf(&b, "# Environment: %s\n", strings.Join(flag.Envs, ", "))
		}
		if note != "" {
			fmt.Fprintf(&b, "# %s\n", note)
		}
		for line := range strings.Lines(shown) {
			b.WriteString("#" + line)
		}
	}
	return b.Bytes(), nil
}

var (
	namedFlag = regexp.MustCompile(`--[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*`)
	keyInFile = regexp.MustCompile(` ?Key in files: [a-z_]+\.`)
)

// FileHelp is a flag's help for a reader of configuration files: the flags that it names are keys there.
func FileHelp(flag *kong.Flag, settings []*kong.Flag) string {
	help := flag.Help
	if text := flag.Tag.Get("file"); text != "" {
		help = text
	}
	help = keyInFile.ReplaceAllString(help, "")
	return namedFlag.ReplaceAllStringFunc(help, func(name string) string {
		for _, f := range settings {
			if "--"+f.Name == name {
				return Key(f)
			}
		}
		return name
	})
}

// shown is a flag as a line of a configuration file, or several, and what its value is where it is no default.
func shown(flag *kong.Flag) (text, note string, err error) {
	value := &yaml.Node{}
	example, has := flag.Tag.Get("example"), flag.Tag.Has("example")
	switch kind := flag.Target.Kind(); {
	case flag.HasDefault && kind == reflect.Slice:
		value.Kind, value.Style = yaml.SequenceNode, yaml.FlowStyle
		for item := range strings.SplitSeq(flag.Default, string(flag.Tag.Sep)) {
			value.Content = append(value.Content, textNode(item))
		}
	case flag.HasDefault && kind == reflect.String:
		value = textNode(flag.Default)
	case flag.HasDefault:
		value.Kind, value.Value = yaml.ScalarNode, flag.Default // numbers, times and sizes are written as they are
	case has:
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(example), &doc); err != nil || len(doc.Content) != 1 {
			return "", "", fmt.Errorf("the example %q is no YAML value: %w", example, err)
		}
		if value = doc.Content[0]; value.Value != "" || len(value.Content) > 0 {
			note = "The value is an example."
		}
		block(value)
	case flag.Target.Type() == reflect.TypeFor[time.Duration]():
		value.Kind, value.Value = yaml.ScalarNode, "0s"
	case kind == reflect.Bool:
		value.Kind, value.Value = yaml.ScalarNode, "false"
	case kind == reflect.Int:
		value.Kind, value.Value = yaml.ScalarNode, "0"
	default:
		return "", "", fmt.Errorf("a %s without a default: give its field a tag example", flag.Target.Type())
	}
	if err := try(flag, value); err != nil {
		return "", "", fmt.Errorf("%q in the example file: %w", value.Value, err)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err = enc.Encode(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{textNode(Key(flag)), value}})
	return b.String(), note, err
}

// block lets a list of mappings, and a mapping, have lines of their own, and quotes stand only where YAML needs them.
func block(n *yaml.Node) {
	for _, item := range n.Content {
		block(item)
	}
	if n.Kind != yaml.SequenceNode || slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return item.Kind == yaml.MappingNode }) {
		n.Style = 0
	}
}

// textNode is a scalar that YAML reads as this text.
func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// wrapped yields text in lines of at most width characters; a longer word has a line of its own.
func wrapped(text string, width int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		line := ""
		for word := range strings.FieldsSeq(text) {
			switch {
			case line == "":
				line = word
			case len(line)+1+len(word) > width:
				if !yield(line) {
					return
				}
				line = word
			default:
				line += " " + word
			}
		}
		if line != "" {
			yield(line)
		}
	}
}
