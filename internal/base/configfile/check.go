package configfile

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// Fault is what is wrong in a configuration file.
type Fault struct {
	Line int // 0: the whole file
	Text string
}

// Keys returns the keys of the file in its order.
func (f *File) Keys() (keys []string) {
	for _, e := range f.entries {
		keys = append(keys, e.key)
	}
	return keys
}

// Line returns the line of a key; 0: the file lacks it.
func (f *File) Line(key string) int {
	for _, e := range f.entries {
		if e.key == key {
			return e.line
		}
	}
	return 0
}

// Misused returns the keys that no flag of a command has, although one of another command has. The command ignores them.
func (f *File) Misused(node *kong.Node) (keys []string) {
	settings := Settings(node)
	for _, e := range f.entries {
		if !slices.ContainsFunc(settings, func(flag *kong.Flag) bool { return Key(flag) == e.key }) {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// Locate makes faults of an error that names flags: the line is that of the first one that stands in the file. Errors that were joined
// are faults of their own.
func (f *File) Locate(err error, node *kong.Node) []Fault {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []Fault
		for _, err := range joined.Unwrap() {
			faults = append(faults, f.Locate(err, node)...)
		}
		slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
		return faults
	}
	fault := Fault{Text: strings.ReplaceAll(err.Error(), "\n", "; ")}
	for _, name := range namedFlag.FindAllString(fault.Text, -1) {
		for _, flag := range Settings(node) {
			if line := f.Line(Key(flag)); "--"+flag.Name == name && line > 0 && fault.Line == 0 {
				fault.Line = line
			}
		}
	}
	return []Fault{fault}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// SyntaxFault makes a fault of an error of Resolver for the file at path.
func SyntaxFault(path string, err error) Fault {
	text := strings.TrimPrefix(err.Error(), "config file "+path)
	if line, rest, ok := strings.Cut(strings.TrimPrefix(text, ":"), ": "); ok {
		if n, err := strconv.Atoi(line); err == nil {
			return Fault{n, rest}
		}
	}
	text = strings.TrimPrefix(text, ": ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits; one too large is 0
		return Fault{n, strings.TrimPrefix(text, m[0])}
	}
	return Fault{Text: text}
}
