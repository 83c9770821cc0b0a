package helptest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/stackscope/stackscope/internal/base/configfile"
)

// uncommented matches the lines of settings in an example file: they have no space behind the #.
var uncommented = regexp.MustCompile(`(?m)^#([^ \n].*|  .*)$`)

// Example checks the example file of the command that words name, the program's own without any: a file as generated changes nothing, every
// setting stands in it, with all of them in force the program takes it, and then only the settings that have no default have other values.
// grammar returns what command.Main takes, a new one each time.
func Example(t *testing.T, grammar func() any, words ...string) {
	t.Helper()
	none := parse(t, grammar(), words)
	node := none.Selected()
	if node == nil {
		node = none.Model.Node
	}
	text, err := configfile.Example(node, []string{"A file."})
	if err != nil {
		t.Fatal(err)
	}
	for flag, value := range valuesOf(parse(t, grammar(), words, "--config-file", write(t, text))) {
		if want := valuesOf(none)[flag]; value != want {
			t.Errorf("--%s: the file as generated sets it to %s; without it it is %s", flag, value, want)
		}
	}
	inForce := uncommented.ReplaceAll(text, []byte("$1"))
	with := valuesOf(parse(t, grammar(), words, "--config-file", write(t, inForce)))
	settings := configfile.Settings(node)
	for _, flag := range settings {
		key := []byte("\n" + configfile.Key(flag) + ":")
		if n := bytes.Count(inForce, key); n != 1 {
			t.Errorf("key %s stands in the file %d times", key, n)
		}
		if want := valuesOf(none)[flag.Name]; with[flag.Name] != want && flag.Tag.Get("example") == "" {
			t.Errorf("--%s: the file shows %s as its default, which is %s", flag.Name, with[flag.Name], want)
		}
		if strings.Contains(configfile.FileHelp(flag, settings), "Repeat the flag") {
			t.Errorf("--%s: the file speaks of repeating a flag", flag.Name)
		}
	}
	if len(settings) < 10 {
		t.Errorf("%d settings: too few to be all", len(settings))
	}
	// A letter is missing in one key, which stands in a line of its own.
	misspelt := bytes.Replace(inForce, []byte("\nlog_level:"), []byte("\nlog_levl:"), 1)
	line := bytes.Count(misspelt[:bytes.Index(misspelt, []byte("\nlog_levl:"))], []byte("\n")) + 2
	path := write(t, misspelt)
	_, err = newParser(t, grammar()).Parse(append(slices.Clone(words), "--config-file", path))
	if want := regexp.MustCompile(`:(\d+): unknown key "log_levl": did you mean "log_level"`); err == nil || !want.MatchString(err.Error()) {
		t.Errorf("a misspelt key: got %v", err)
	} else if got := want.FindStringSubmatch(err.Error())[1]; got != strconv.Itoa(line) {
		t.Errorf("a misspelt key: line %s, want %d", got, line)
	}
}

func newParser(t *testing.T, grammar any) *kong.Kong {
	t.Helper()
	parser, err := kong.New(grammar, kong.Writers(io.Discard, io.Discard), kong.Vars{"version": ""}, configfile.Booleans())
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

func parse(t *testing.T, grammar any, words []string, args ...string) *kong.Context {
	t.Helper()
	ctx, err := newParser(t, grammar).Parse(append(slices.Clone(words), args...))
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(append(words, args...), " "), err)
	}
	return ctx
}

// valuesOf returns the flags of the command that was chosen, as text.
func valuesOf(ctx *kong.Context) map[string]string {
	values := map[string]string{}
	for _, flag := range ctx.Flags() {
		if configfile.Key(flag) == "" {
			continue
		}
		v := flag.Target
		if v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		values[flag.Name] = fmt.Sprint(v.Interface())
	}
	return values
}

func write(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stackscope.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
