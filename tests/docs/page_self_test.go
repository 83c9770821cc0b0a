package docs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePage(t *testing.T) {
	const page = "text\n\n<!-- test: on=demo expect=\"a b\" expect=c retry -->\n```console\ncurl x\n```\n\n```text\nout\n```\n" +
		"- item\n  ```yaml\n  a:\n    b\n  ```\n\n```text\nalone\n```\n"
	got, err := parsePage(page)
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{line: 5, language: "console", text: "curl x\n", output: "out\n", directive: directive{given: true, on: "demo", expect: []string{"a b", "c"}, retry: true}},
		{line: 13, language: "yaml", text: "a:\n  b\n"},
		{line: 18, language: "text", text: "alone\n"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(block{}, directive{})); diff != "" {
		t.Error(diff)
	}
	for page, want := range map[string]string{
		"<!-- test: on=demo -->\ntext\n":             "2: the test comment above belongs to no block",
		"<!-- test: on=demo\n```console\n```\n":      "1: the comment does not end",
		"<!-- test: nonsense -->\n```console\n```\n": `1: unknown key "nonsense"`,
		"```console\nx\n":                            "2: the block does not end",
	} {
		if _, err := parsePage(page); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", page, err, want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		shown, printed string
		want           bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\nb\n", "a\nb\nc\n", false},
		{"a\n...\nd\n", "a\nb\nc\nd\n", true},
		{"a\n...\nd\n", "a\nd\n", false},
		{"a ... c", "a b c", true},
		{"a ... c", "a b d", false},
		{"(x)", "(x)", true},
		{"...\nz", "q\nz", true},
	} {
		if err := matches(tt.shown, tt.printed); (err == nil) != tt.want {
			t.Errorf("%q and %q: %v, want %v", tt.shown, tt.printed, err, tt.want)
		}
	}
}
