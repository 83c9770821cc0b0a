package cambricon

import "strings"

const (
	// maxDepth and maxLines bound the outline of one card.
	maxDepth = 8
	maxLines = 16384
)

// entry is a line "name : value" of an outline, with the names of the lines that it stands under.
type entry struct {
	path, value string
}

// outline reads lines whose indent says what they belong to. Lines beyond the bounds are left out.
func outline(lines []string) []entry {
	type level struct {
		indent int
		path   string
	}
	var (
		entries []entry
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
		if len(above) > 0 {
			path = above[len(above)-1].path + "/" + path
		}
		if len(above) < maxDepth {
			above = append(above, level{indent, path})
			entries = append(entries, entry{path, strings.TrimSpace(value)})
		}
	}
	return entries
}

// wholeLines splits an output into lines, without a last one that has no end: it may be cut within a number.
func wholeLines(out []byte) []string {
	text := string(out)
	return strings.Split(strings.ReplaceAll(text[:strings.LastIndexByte(text, '\n')+1], "\r", ""), "\n")
}
