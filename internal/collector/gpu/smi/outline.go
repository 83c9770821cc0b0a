package smi

import "strings"

const (
	// maxDepth, maxLines and maxName bound an outline: a line's path has the names of all that it stands under.
	maxDepth = 8
	maxLines = 16384
	maxName  = 128
)

// Entry is a line "name : value" of an outline. Path has the names of the lines that it stands under, then its own, with a
// slash between them.
type Entry struct {
	Path, Value string
}

// Outline reads lines whose indent says what they belong to. Lines beyond the bounds are left out.
func Outline(lines []string) []Entry {
	type level struct {
		indent int
		path   string
	}
	var (
		entries []Entry
		above   []level
	)
	for _, line := range lines[:min(len(lines), maxLines)] {
		text := strings.TrimSpace(line)
		if text == "" {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		for len(above) > 0 && above[len(above)-1].indent >= indent {
			above = above[:len(above)-1]
		}
		name, value, _ := strings.Cut(text, " :")
		path := strings.ReplaceAll(strings.TrimSpace(name), "/", " ") // a name must not look like a path
		if len(path) > maxName || len(above) == maxDepth {
			continue
		}
		if len(above) > 0 {
			path = above[len(above)-1].path + "/" + path
		}
		above = append(above, level{indent, path})
		entries = append(entries, Entry{path, strings.TrimSpace(value)})
	}
	return entries
}

// Texts are the values of an outline by path, without those that the GPU doesn't offer. Of a path that comes twice the first
// counts.
func Texts(entries []Entry) map[string]string {
	texts := make(map[string]string, len(entries))
	for _, e := range entries {
		if _, twice := texts[e.Path]; !twice && e.Value != "N/A" {
			texts[e.Path] = e.Value
		}
	}
	return texts
}

// WholeLines splits an output into lines, without a last one that has no end: it may be cut within a number.
func WholeLines(out []byte) []string {
	text := string(out)
	return strings.Split(strings.ReplaceAll(text[:strings.LastIndexByte(text, '\n')+1], "\r", ""), "\n")
}
