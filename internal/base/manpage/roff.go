package manpage

import (
	"bytes"
	"fmt"
	"strings"
)

// width is where text lines are broken: mandoc's lint wants at most 80 bytes.
const width = 76

// escaped is text as roff shows it unchanged. A hyphen is a minus, so that what readers copy is what they type. A line may end between the
// optional parts of a long word.
var escaped = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`, "[,", `\:[,`)

// page writes a manual page.
type page struct{ bytes.Buffer }

func (p *page) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, arg := range args {
		p.WriteString(` "` + arg + `"`)
	}
	p.WriteByte('\n')
}

func (p *page) section(title string)    { p.macro("SH", escaped.Replace(strings.ToUpper(title))) }
func (p *page) subsection(title string) { p.macro("SS", escaped.Replace(title)) }

// line writes a line of text that may hold requests' first characters.
func (p *page) line(text string) {
	if strings.HasPrefix(text, ".") {
		p.WriteString(`\&`)
	}
	p.WriteString(text + "\n")
}

// text writes a paragraph's text, broken into lines.
func (p *page) text(text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		word = escaped.Replace(word)
		if line != "" && len(line)+1+len(word) > width {
			p.line(line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		p.line(line)
	}
}

// prose writes a help text: paragraphs, and, where lines are indented, examples as they are.
func (p *page) prose(text string) {
	first := true
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		lines := strings.Split(block, "\n")
		for len(lines) > 0 {
			n := 0
			indented := strings.HasPrefix(lines[0], "  ")
			for n < len(lines) && strings.HasPrefix(lines[n], "  ") == indented {
				n++
			}
			if !first {
				p.macro("PP")
			}
			first = false
			if indented {
				p.example(lines[:n])
			} else {
				p.text(strings.Join(lines[:n], " "))
			}
			lines = lines[n:]
		}
	}
}

// example writes lines as they are. Their common indent is replaced by the page's.
func (p *page) example(lines []string) {
	indent := len(lines[0])
	for _, line := range lines {
		if text := strings.TrimLeft(line, " "); text != "" {
			indent = min(indent, len(line)-len(text))
		}
	}
	p.macro("RS", "4")
	p.WriteString(".EX\n")
	for _, line := range lines {
		p.line(escaped.Replace(strings.TrimRight(line[min(indent, len(line)):], " ")))
	}
	p.WriteString(".EE\n.RE\n")
}

// entry writes an item of a list: its term, in roff, and texts, of which each is a paragraph.
func (p *page) entry(term string, texts ...string) {
	p.WriteString(".TP\n")
	p.line(term)
	for i, text := range texts {
		if i > 0 {
			p.WriteString(".br\n")
		}
		p.text(text)
	}
}

func bold(text string) string   { return fmt.Sprintf(`\fB%s\fR`, escaped.Replace(text)) }
func italic(text string) string { return fmt.Sprintf(`\fI%s\fR`, escaped.Replace(text)) }
