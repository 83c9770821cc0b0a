// Package terminal writes text for people: in colour where a terminal shows it, in columns that fit its width, plainly everywhere else.
package terminal

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Screen is where text is shown. The zero values of its fields are those of a file or a pipe.
type Screen struct {
	io.Writer
	// Colour says that escape sequences of colours are understood and wanted.
	Colour bool
	// Redraw says that the cursor can be moved.
	Redraw bool
	// Width and Height count characters. 0: not limited.
	Width, Height int
}

// Of returns what w can show. getenv reads the environment: a terminal gets no colours when NO_COLOR is not empty
// (https://no-color.org), and nothing but text when TERM is dumb.
func Of(w io.Writer, getenv func(string) string) Screen {
	if s, ok := w.(Screen); ok {
		return s
	}
	s := Screen{Writer: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.Redraw = getenv("TERM") != "dumb"
	s.Colour = s.Redraw && getenv("NO_COLOR") == ""
	if width, height, err := term.GetSize(int(f.Fd())); err == nil {
		s.Width, s.Height = width, height
	}
	return s
}

// Is reports whether file, an *os.File perhaps, is a terminal.
func Is(file any) bool {
	f, ok := file.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Style is what a text is for. A Screen without colours shows all alike.
type Style string

// The styles, as parameters of the escape sequence SGR. They are the 16 colours that a terminal's theme defines, so that they can be
// read on light and dark ones.
const (
	Plain   Style = ""
	Strong  Style = "1"
	Faint   Style = "2"
	Good    Style = "32"
	Warning Style = "33"
	Bad     Style = "31"
	Link    Style = "36"
)

// Paint returns text in a style.
func (s Screen) Paint(style Style, text string) string {
	if !s.Colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// StateStyle is the style of the state of a worker or an instance.
func StateStyle(state string) Style {
	switch state {
	case "ready", "running":
		return Good
	case "error", "not_ready", "unreachable", "revoked", "stalled":
		return Bad
	}
	return Warning
}

// Printable returns text without control characters, which a terminal might obey.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// Width returns how many columns of a terminal text takes.
func Width(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	// East Asian wide and full-width characters: the blocks of Unicode's EastAsianWidth.txt whose characters are all W or F.
	case 0x1100 <= r && r <= 0x115F, 0x2E80 <= r && r <= 0x303E, 0x3041 <= r && r <= 0xA4CF, 0xAC00 <= r && r <= 0xD7A3,
		0xF900 <= r && r <= 0xFAFF, 0xFE30 <= r && r <= 0xFE6F, 0xFF00 <= r && r <= 0xFF60, 0xFFE0 <= r && r <= 0xFFE6,
		0x1F300 <= r && r <= 0x1F64F, 0x1F900 <= r && r <= 0x1F9FF, 0x20000 <= r && r <= 0x3FFFD:
		return 2
	}
	return 1
}

const ellipsis = "…"

// Clip returns the beginning of text that fits into width columns, with … where it was cut. 0 is no limit.
func Clip(text string, width int) string {
	if width <= 0 || Width(text) <= width {
		return text
	}
	head, _ := split(text, width-1)
	return head + ellipsis
}

// middle is Clip for names, whose ends tell them apart: it cuts the middle out.
func middle(text string, width int) string {
	if Width(text) <= width {
		return text
	}
	back := (width - 1) / 2
	head, _ := split(text, width-1-back)
	runes := []rune(text)
	tail := len(runes)
	for used := 0; tail > 0; tail-- {
		if used += runeWidth(runes[tail-1]); used > back {
			break
		}
	}
	return head + ellipsis + string(runes[tail:])
}

// split divides text behind the last character that ends within width columns.
func split(text string, width int) (head, tail string) {
	used := 0
	for i, r := range text {
		if used += runeWidth(r); used > width {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

// wrap breaks text into lines of at most width columns, at blanks where there are any.
func wrap(text string, width int) []string {
	if width <= 0 || Width(text) <= width {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
		case Width(line)+1+Width(word) <= width:
			line += " " + word
			continue
		default:
			lines = append(lines, line)
		}
		for line = word; Width(line) > width; {
			head, tail := split(line, width)
			if head == "" { // one character is wider than the line
				break
			}
			lines, line = append(lines, head), tail
		}
	}
	return append(lines, line)
}
