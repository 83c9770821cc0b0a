// Package configfile reads the YAML configuration file of the programs: its keys are the flags' names in snake case, and
// what it says counts less than a flag or an environment variable and more than a default.
package configfile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/nearest"
)

// MaxBytes bounds the size of a configuration file.
const MaxBytes = 1 << 20

// maxKeys bounds the keys of a configuration file: each one is compared with the others and with all flags.
const maxKeys = 1000

// maxEdits is how far an unknown key may be from a known one that an error suggests.
const maxEdits = 2

// maxFaults bounds how many faults of a file one error lists.
const maxFaults = 5

// Flag is the type of a --config-file flag. It loads the file that the flag or its environment variable names, checks all
// of it against the flags of the whole program, so that commands can share a file, and lets it stand in for flags that
// are not given. A field tag key:"x" gives a flag another key than its name in snake case, key:"-" keeps it out of files.
type Flag string

// BeforeResolve is called by kong.
func (f Flag) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path, _ := ctx.FlagValue(trace.Flag).(Flag)
	if path == "" || !selected(ctx, trace.Flag) {
		return nil
	}
	resolver, err := Resolver(string(path), nil)
	if err != nil {
		return err
	}
	if err := resolver.check(ctx.Model); err != nil {
		return err
	}
	ctx.AddResolver(resolver)
	return nil
}

// selected reports whether flag belongs to the command that was chosen.
func selected(ctx *kong.Context, flag *kong.Flag) bool {
	return slices.ContainsFunc(ctx.Path, func(p *kong.Path) bool {
		return p.Flag == flag || slices.Contains(p.Flags, flag)
	})
}

// File is a configuration file.
type File struct {
	path    string
	entries []entry
	known   func(key string) bool
}

var _ kong.Resolver = (*File)(nil)

type entry struct {
	key   string
	line  int
	value *yaml.Node
	first int // the line on which the key stands already; 0: it does not
}

// Resolver reads the file at path. known accepts keys that are nobody's flag; it may be nil.
func Resolver(path string, known func(key string) bool) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	entries, err := parse(path, data)
	if err != nil {
		return nil, err
	}
	if known == nil {
		known = func(string) bool { return false }
	}
	return &File{path: path, entries: entries, known: known}, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config file %s: %w; give the path of a YAML file with --config-file", path, durable.Cause(err))
	}
	data, err := httpjson.ReadAll(f, MaxBytes)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	return data, nil
}

func parse(path string, data []byte) ([]entry, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if len(strings.TrimSpace(string(data))) == 0 || err.Error() == "EOF" {
			return nil, nil
		}
		return nil, fmt.Errorf("config file %s: %s", path, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if dec.Decode(new(yaml.Node)) == nil {
		return nil, fmt.Errorf("config file %s: holds more than one YAML document: keep one", path)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("config file %s:%d: got %s at the top, want keys with values, as in \"data_dir: /var/lib/stackscope\"", path, root.Line, kindOf(root))
	}
	if n := len(root.Content) / 2; n > maxKeys {
		return nil, fmt.Errorf("config file %s: has %d keys; at most %d are possible, and there are far fewer settings", path, n, maxKeys)
	}
	entries := make([]entry, 0, len(root.Content)/2)
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		first := 0
		if j := slices.IndexFunc(entries, func(e entry) bool { return e.key == k.Value }); j >= 0 {
			first = entries[j].line
		}
		entries = append(entries, entry{k.Value, k.Line, follow(v), first})
	}
	return entries, nil
}

// Names reports whether a flag names a configuration file.
func Names(flag *kong.Flag) bool {
	return flag.Target.IsValid() && flag.Target.Type() == reflect.TypeFor[Flag]()
}

// Key returns the key of a flag in configuration files, or "" if it has none.
func Key(flag *kong.Flag) string {
	switch key := flag.Tag.Get("key"); {
	case key == "-", flag.Name == "help", Names(flag):
		return ""
	case key != "":
		return key
	}
	return strings.ReplaceAll(flag.Name, "-", "_")
}

// Validate is called by kong. It names the first keys that no flag of app has and the first values of a wrong type.
func (f *File) Validate(app *kong.Application) error { return f.check(app) }

func (f *File) check(app *kong.Application) error {
	var faults []string
	for _, fault := range f.Faults(app) {
		faults = append(faults, fmt.Sprintf("config file %s:%d: %s", f.path, fault.Line, fault.Text))
	}
	if len(faults) > maxFaults {
		faults = append(faults[:maxFaults], fmt.Sprintf("and %d more", len(faults)-maxFaults))
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// Faults returns what is wrong in the file for a program's flags, whichever commands have them, in the order of its lines.
func (f *File) Faults(app *kong.Application) (faults []Fault) {
	flags := map[string]*kong.Flag{}
	collect(app.Node, flags)
	useful := map[string]*kong.Flag{}
	collectUseful(app.Node, useful)
	names := slices.Sorted(maps.Keys(useful))
	listed := false // all keys are named once, however many are unknown
	for _, e := range f.entries {
		if e.first > 0 {
			faults = append(faults, Fault{e.line, fmt.Sprintf("key %q stands on line %d already", e.key, e.first)})
			continue
		}
		flag, ok := flags[e.key]
		if !ok {
			if !f.known(e.key) {
				fault := fmt.Sprintf("unknown key %q", e.key)
				if near := nearest.Name(e.key, names, maxEdits); near != "" {
					fault += fmt.Sprintf(": did you mean %q?", near)
				} else if !listed {
					listed = true
					fault += ": known keys are " + strings.Join(names, ", ")
				}
				faults = append(faults, Fault{e.line, fault})
			}
			continue
		}
		if err := try(flag, e.value); err != nil {
			faults = append(faults, Fault{e.value.Line, fmt.Sprintf("%s: %v", e.key, err)})
		}
	}
	return faults
}

func collect(n *kong.Node, flags map[string]*kong.Flag) {
	for _, flag := range n.Flags {
		if key := Key(flag); key != "" {
			flags[key] = flag
		}
	}
	for _, child := range n.Children {
		collect(child, flags)
	}
}

// collectUseful is collect for the commands that read a file: errors name their keys, not those of all others.
func collectUseful(n *kong.Node, flags map[string]*kong.Flag) {
	if slices.ContainsFunc(slices.Concat(n.AllFlags(false)...), Names) {
		for _, flag := range Settings(n) {
			flags[Key(flag)] = flag
		}
	}
	for _, child := range n.Children {
		collectUseful(child, flags)
	}
}

// Resolve is called by kong for each flag that the command line doesn't give.
func (f *File) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	key := Key(flag)
	if key == "" {
		return nil, nil
	}
	i := slices.IndexFunc(f.entries, func(e entry) bool { return e.key == key })
	if i < 0 || fromEnv(flag.Value) {
		return nil, nil
	}
	return convert(flag, f.entries[i].value)
}

func fromEnv(v *kong.Value) bool {
	return slices.ContainsFunc(v.Tag.Envs, func(name string) bool {
		_, ok := os.LookupEnv(name)
		return ok
	})
}
