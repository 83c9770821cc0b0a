package bundle

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write words.txt from the texts of the sources")

// TestWords: words.txt has words alone. With -update it is written anew from the texts of the programs; a word that it lacks becomes a hash.
func TestWords(t *testing.T) {
	if *update {
		if err := os.WriteFile("words.txt", []byte(strings.Join(sourceWords(t), "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("words.txt")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(text))
	if !slices.IsSorted(words) || len(words) < 1000 || len(slices.Compact(slices.Clone(words))) != len(words) {
		t.Errorf("%d words, not sorted or not unique", len(words))
	}
	for _, w := range words {
		if !wordForm.MatchString(w) {
			t.Errorf("%q is no word", w)
		}
	}
	for _, w := range []string{"connection", "refused", "deadline", "worker", "prometheus", "empty_page"} {
		if !slices.Contains(words, w) {
			t.Errorf("%s is missing", w)
		}
	}
}

// wordForm is the form of words: lower-case letters, perhaps of several parts. Words with digits are not taken: secrets look like them.
var wordForm = regexp.MustCompile(`^[a-z]{1,24}([_-][a-z]{1,24}){0,5}$`)

// namesOfPeople are in the texts of the programs as examples.
var namesOfPeople = []string{"alice", "bob", "carol", "dave", "eve", "mallory", "hunter"}

// sourceWords returns the words of all texts in the sources of the programs, and of the mapping and the flags.
func sourceWords(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	take := func(text string) {
		for _, chunk := range strings.FieldsFunc(text, func(r rune) bool {
			return !strings.ContainsRune("_-./", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			word := strings.ToLower(strings.Trim(chunk, "-_./"))
			if wordForm.MatchString(word) && !slices.Contains(namesOfPeople, word) {
				found[word] = true
				for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return r == '_' || r == '-' }) {
					if !slices.Contains(namesOfPeople, part) {
						found[part] = true
					}
				}
			}
		}
	}
	root := filepath.Join("..", "..")
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (strings.HasPrefix(d.Name(), "sim") || slices.Contains([]string{"demo", "enginepages", "testdata"}, d.Name())) {
				return fs.SkipDir
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			imports := map[*ast.BasicLit]bool{}
			for _, i := range file.Imports {
				imports[i.Path] = true
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && !imports[lit] {
					if text, err := strconv.Unquote(lit.Value); err == nil {
						take(text)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{filepath.Join(root, "docs", "flags.md"), filepath.Join(root, "docs", "discovery.md")} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		take(string(text))
	}
	// Of the standard library's errors, and what engines say of the ends of requests and of devices.
	take(`tcp udp dial read write connect connection reset peer broken pipe timeout awaiting headers exceeded while context canceled EOF
		unexpected lookup server misbehaving such host temporary failure name resolution certificate signed unknown authority expired valid
		handshake protocol version oversized record received malformed unsupported scheme transport closed response requests listen accept bind
		address already in use assign requested route network unreachable permission denied operation permitted too many open files device full
		left no space file directory exists does not exist invalid argument bad gateway service unavailable internal not found forbidden unauthorized
		stop length abort error tool_calls content_filter prefill decode router hit miss local remote cpu gpu npu fp8 bf16 auto eager
		replaying replay on-disk memory mappable chunks chunk completed segment maxSegment checkpoint compaction compacting compacted block blocks head
		series wal wbl mmap tsdb snapshot load starting started stopping stopped rule manager scrape discovery shutting down truncation garbage
		collection deletable deleting overlapping corruption corrupted repair found creating created loaded lock file write read retention
		ext xfs btrfs zfs overlay tmpfs nfs vfat iowait softirq irq steal idle user nice system`)
	words := make([]string, 0, len(found))
	for w := range found {
		words = append(words, w)
	}
	slices.Sort(words)
	return words
}
