// Package sysfstest makes trees of attributes for tests. A tree stands in one file, because the names in /sys are not all
// legal in a Go module, and because a reader sees it as a whole:
//
//	# a comment
//	[sys/class/drm/card0/device]   the directory of what follows
//	vendor = 0x1002                an attribute, a line; \n begins another, \t is a tab
//	product_name =                 an empty attribute
//	gpu_metrics : 7800 0103        bytes in hexadecimal
//	+ ffff ffff                    more of them
//	hwmon -> ../hwmon              a link
package sysfstest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"
)

// Unpack makes the tree that stands in file, in a directory of the test's, and returns the directory.
func Unpack(tb testing.TB, file string) string {
	tb.Helper()
	text, err := os.ReadFile(file)
	must(tb, err)
	root := tb.TempDir()
	Add(tb, root, string(text))
	return root
}

// Add adds what text says to the tree at root; what is there is written over.
func Add(tb testing.TB, root, text string) {
	tb.Helper()
	tree, err := os.OpenRoot(root)
	must(tb, err)
	defer func() { must(tb, tree.Close()) }()
	dir, last := "", ""
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			dir = strings.TrimSuffix(name, "]")
			must(tb, tree.MkdirAll(dir, 0o750))
			continue
		}
		if more, ok := strings.CutPrefix(line, "+ "); ok {
			line = last + more
		}
		last = line
		if err := entry(tree, dir, line); err != nil {
			tb.Fatalf("line %d, %q: %v", n+1, line, err)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func entry(tree *os.Root, dir, line string) error {
	name, rest, ok := strings.Cut(line, " ")
	if !ok || dir == "" {
		return errors.New("is no entry of a directory")
	}
	name = path.Join(dir, name)
	if err := tree.MkdirAll(path.Dir(name), 0o750); err != nil {
		return err
	}
	kind, content, _ := strings.Cut(rest, " ")
	content = strings.TrimSpace(content)
	switch kind {
	case "->":
		if _, err := tree.Lstat(name); err == nil {
			if err := tree.Remove(name); err != nil {
				return err
			}
		}
		return tree.Symlink(content, name)
	case ":":
		b, err := hex.DecodeString(strings.ReplaceAll(content, " ", ""))
		if err != nil {
			return err
		}
		return tree.WriteFile(name, b, 0o600)
	case "=":
		if content != "" {
			content = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(content) + "\n"
		}
		return tree.WriteFile(name, []byte(content), 0o600)
	}
	return fmt.Errorf("%q is no kind of entry", kind)
}

// Golden compares a page with the file beside the tree, or writes it if update is true.
func Golden(tb testing.TB, file string, page []byte, update bool) {
	tb.Helper()
	if update {
		must(tb, os.WriteFile(file, page, 0o600))
		return
	}
	want, err := os.ReadFile(file)
	must(tb, err)
	if !bytes.Equal(page, want) {
		tb.Errorf("%s is not what was read; with -update it becomes:\n%s", file, page)
	}
}
