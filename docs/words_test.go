package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed are uses of a banned word that stay, each with its reason.
var allowed = []struct{ file, text, reason string }{
	{"docs/glossary.md", "Prometheus' source calls it a metric family", "explains the word to readers of Prometheus' source"},
	{"docs/metrics.md", "family (a worker sent a metric of the server)", "a value of the label reason"},
	{"internal/catalog", "family (a worker sent a metric of the server)", "a value of the label reason"},
}

// bannedWords returns the words in code style in the last column of the glossary's tables.
func bannedWords(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("`([^`]+)`")
	var words []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) < 2 || !strings.HasPrefix(line, "|") {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			words = append(words, m[1])
		}
	}
	if len(words) < 20 {
		t.Fatalf("the glossary bans only %q: is its last column still read?", words)
	}
	return words
}

// wordFinder finds banned words in texts, outside of inline code.
type wordFinder struct {
	t      *testing.T
	banned *regexp.Regexp
}

func newWordFinder(t *testing.T) *wordFinder {
	t.Helper()
	var words []string
	for _, w := range bannedWords(t) {
		words = append(words, strings.ReplaceAll(regexp.QuoteMeta(w), " ", `\s+`))
	}
	return &wordFinder{t: t, banned: regexp.MustCompile(`(?i)\b(` + strings.Join(words, "|") + `)\b`)}
}

var inlineCode = regexp.MustCompile("`[^`\n]+`")

// find reports the banned words of a text that stands in a file at a place.
func (f *wordFinder) find(file, place, text string) {
	f.t.Helper()
	text = strings.Join(strings.Fields(text), " ")
	for _, a := range allowed {
		if a.file == file {
			text = strings.ReplaceAll(text, a.text, "")
		}
	}
	text = inlineCode.ReplaceAllString(text, "`x`")
	for _, m := range f.banned.FindAllStringIndex(text, -1) {
		f.t.Errorf("%s: %s: %q is not a word of docs/glossary.md: ...%s...", file, place, text[m[0]:m[1]], text[max(0, m[0]-40):min(len(text), m[1]+40)])
	}
}

// TestGlossary holds the glossary itself: in order, without a word twice.
func TestGlossary(t *testing.T) {
	text, err := os.ReadFile("glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^\| \*\*([^*]+)\*\*`).FindAllStringSubmatch(string(text), -1) {
		words = append(words, strings.ToLower(m[1]))
	}
	if len(words) < 30 || !slices.IsSorted(words) {
		t.Errorf("%d words, want them in alphabetical order: %q", len(words), words)
	}
	if c := slices.Compact(slices.Clone(words)); len(c) != len(words) {
		t.Errorf("a word has two rows: %q", words)
	}
	f := newWordFinder(t)
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			f.find("docs/glossary.md", cells[1], cells[2])
		}
	}
	banned := bannedWords(t)
	slices.Sort(banned)
	if c := slices.Compact(slices.Clone(banned)); len(c) != len(banned) {
		t.Errorf("a word is banned twice: %q", banned)
	}
}

// TestWordsOfDocuments holds the banned words of the glossary out of the pages that users read.
func TestWordsOfDocuments(t *testing.T) {
	f := newWordFinder(t)
	var files []string
	for _, pattern := range []string{"*.md", "install/*.md", "../*.md", "../bench/*.md", "../packaging/*.md", "../docker-compose/*.yaml", "../.github/*", "../.github/*/*"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	if len(files) < 15 {
		t.Fatalf("only %q: where are the pages?", files)
	}
	for _, path := range files {
		name := repositoryPath(t, path)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() || name == "docs/glossary.md" { // the glossary lists the words; TestGlossary checks its other columns
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		line := 1
		for paragraph := range strings.SplitSeq(string(text), "\n\n") { // a phrase may be broken over lines
			f.find(name, "paragraph at line "+strconv.Itoa(line), paragraph)
			line += strings.Count(paragraph, "\n") + 2
		}
	}
}

// repositoryPath returns a path as seen from the repository's root.
func repositoryPath(t *testing.T, path string) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(rel)
}

// TestWordsOfHelp holds them out of the help of flags and commands.
func TestWordsOfHelp(t *testing.T) {
	f := newWordFinder(t)
	found := 0
	eachSource(t, func(name string, set *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			tag, err := strconv.Unquote(field.Tag.Value)
			if err != nil {
				t.Fatal(err)
			}
			if help, ok := reflect.StructTag(tag).Lookup("help"); ok {
				found++
				f.find(name, set.Position(field.Pos()).String(), help)
			}
			return true
		})
	})
	if found < 50 {
		t.Errorf("only %d help texts were seen", found)
	}
}

// eachSource calls do for every Go file that is no test and no test's data.
func eachSource(t *testing.T, do func(name string, set *token.FileSet, file *ast.File)) {
	t.Helper()
	for _, dir := range []string{"../cmd", "../internal", "../dashboards", "../hack"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			do(repositoryPath(t, path), set, file)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
