package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/wire"
)

func readDoc(t *testing.T, page string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Each row of the table names findings that there are.
func TestTableOfSymptoms(t *testing.T) {
	known := map[string]bool{}
	for _, f := range Findings() {
		known[f.ID] = true
	}
	_, section, _ := strings.Cut(readDoc(t, "running.md"), "## When something is wrong\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, ok := strings.Cut(section, "| symptom | check | findings |\n|---|---|---|\n")
	if !ok {
		t.Fatal("running.md has no table of symptoms")
	}
	rows := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), " | ")
		if len(cells) < 3 {
			continue
		}
		rows++
		ids := regexp.MustCompile("`([a-z_0-9]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(ids) == 0 {
			t.Errorf("this row names no finding: %s", row)
		}
		for _, id := range ids {
			if !known[id[1]] {
				t.Errorf("there is no finding %s: %s", id[1], row)
			}
		}
	}
	if rows < 17 {
		t.Errorf("the table has %d rows", rows)
	}
}

// The page has every finding that is to be looked at, and each finding leads to a section that there is.
func TestPageOfFindings(t *testing.T) {
	page := readDoc(t, "troubleshooting.md")
	pages := map[string]string{}
	notWord := regexp.MustCompile(`[^a-z0-9 -]`)
	for _, f := range Findings() {
		if f.Severity != wire.FindingInfo && !strings.Contains(page, "| `"+f.ID+"` (") {
			t.Errorf("docs/troubleshooting.md lacks %s: run make gen", f.ID)
		}
		name, section, _ := strings.Cut(f.Docs, "#")
		if pages[name] == "" {
			pages[name] = readDoc(t, name)
		}
		if section == "" {
			continue
		}
		found := false
		for line := range strings.Lines(pages[name]) {
			title := strings.TrimSpace(strings.TrimLeft(line, "#"))
			if strings.HasPrefix(line, "#") && strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(title), ""), " ", "-") == section {
				found = true
			}
		}
		if !found {
			t.Errorf("%s leads to docs/%s, which has no such section", f.ID, f.Docs)
		}
	}
}

// TestCommandsStandAlone: the console copies what stands between "run: " and the end of its sentence.
func TestCommandsStandAlone(t *testing.T) {
	command := regexp.MustCompile(`run: (.*?)(?:\. [A-Z]|\.?$)`)
	one := regexp.MustCompile(`^stackscope( [a-z]+)+( @[a-z]+| [A-Z]+| \{[a-z]+\})*$`)
	for _, f := range Findings() {
		for _, m := range command.FindAllStringSubmatch(f.Do, -1) {
			if !one.MatchString(m[1]) {
				t.Errorf("%s: %q is not one command", f.ID, m[1])
			}
		}
	}
}
