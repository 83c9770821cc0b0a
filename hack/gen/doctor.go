package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/stackscope/stackscope/internal/doctor"
)

// replaced is a word of a finding that evidence replaces.
var replaced = regexp.MustCompile(`\{([a-z]+)\}`)

// findingTables lists what GET /v2/doctor may find.
func findingTables() []byte {
	var b bytes.Buffer
	for _, group := range doctor.Catalogue() {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| finding | what is wrong | what to do | more |\n|---|---|---|---|\n", group.Title, group.Text)
		for _, f := range group.Findings {
			page, section, _ := strings.Cut(f.Docs, "#")
			name := strings.TrimSuffix(page, ".md")
			link := f.Docs
			if page == "troubleshooting.md" {
				link, name = "#"+section, "below"
			}
			fmt.Fprintf(&b, "| `%s` (%s) | %s | %s | [%s](%s) |\n", f.ID, f.Severity, findingCell(f.What), findingCell(f.Do), name, link)
		}
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// findingCell returns a text of a finding for a table. What looks like a flag, a file, a metric or a URL is set as code.
func findingCell(text string) string {
	text = replaced.ReplaceAllStringFunc(text, func(word string) string { return strings.ToUpper(strings.Trim(word, "{}")) })
	words := strings.Split(text, " ")
	for i, w := range words {
		bare := strings.Trim(w, ".,;:()?")
		if at := strings.Index(w, bare); bare != "" && code.MatchString(bare) {
			words[i] = w[:at] + "`" + bare + "`" + w[at+len(bare):]
		}
	}
	return strings.ReplaceAll(strings.Join(words, " "), "|", `\|`)
}

var code = regexp.MustCompile(`^(?:--.*|https?://.*|gpustack:.*|stackscope[_-].*|/[a-z]+.*|[a-z]+(?:_[a-z]+)+.*|[A-Z]+(?:_[A-Z]+)+|.*=.*|.*[*]|.*\.json|LimitNOFILE=)$`)
