package terminal

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

const (
	columnGap = 2
	// minColumn is the width under which no column but the last is cut.
	minColumn = 8
	// minLast is the width that the last column, a reason in most tables, keeps beside the others. Narrower, it has lines of its own.
	minLast    = 20
	lastIndent = 4
)

// Table lays out lines whose cells are separated by tabs, as text/tabwriter does, in columns two blanks apart. An empty line, or one
// without a tab, ends a table. The first line of a table whose letters are all upper-case is its header. On a screen with a width the last
// column wraps, and other columns are cut in the middle where they must. States are in colour below the header STATE.
type Table struct {
	screen Screen
	text   bytes.Buffer
}

// NewTable returns a table that Flush writes to the screen.
func NewTable(s Screen) *Table { return &Table{screen: s} }

// Write adds lines. It returns no error.
func (t *Table) Write(p []byte) (int, error) { return t.text.Write(p) }

// Flush writes what was added.
func (t *Table) Flush() error {
	var out strings.Builder
	var block [][]string
	flush := func() {
		t.layOut(&out, block)
		block = nil
	}
	for line := range strings.Lines(t.text.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "\t") {
			cells := strings.Split(line, "\t")
			for i := range cells {
				cells[i] = Printable(cells[i])
			}
			block = append(block, cells)
			continue
		}
		flush()
		for _, part := range wrap(Printable(line), t.screen.Width) {
			out.WriteString(part + "\n")
		}
	}
	flush()
	t.text.Reset()
	_, err := io.WriteString(t.screen, out.String())
	return err
}

func (t *Table) layOut(out *strings.Builder, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(cell))
		}
	}
	below := t.fit(widths)
	header := rows[0]
	if joined := strings.Join(header, ""); joined != strings.ToUpper(joined) {
		header = nil
	}
	state := slices.Index(header, "STATE")
	for n, row := range rows {
		style := func(column int) Style {
			switch {
			case n == 0 && header != nil:
				return Faint
			case column == state && n > 0:
				return StateStyle(row[column])
			}
			return Plain
		}
		t.line(out, row, widths, below, style)
	}
}

// fit reduces widths to the screen's width. below says that the last column has lines of its own.
func (t *Table) fit(widths []int) (below bool) {
	last := len(widths) - 1
	total := columnGap * last
	for _, w := range widths {
		total += w
	}
	if t.screen.Width <= 0 || total <= t.screen.Width || last == 0 {
		return false
	}
	others := total - widths[last] - columnGap*last
	room := t.screen.Width - columnGap*last - min(minLast, widths[last])
	if others = shrink(widths[:last], others, room); others > room {
		shrink(widths[:last], others, t.screen.Width-columnGap*(last-1))
		widths[last] = t.screen.Width - lastIndent
		return true
	}
	widths[last] = t.screen.Width - columnGap*last - others
	return false
}

// shrink takes from the widest columns until they need no more than room, or cannot be cut further.
func shrink(widths []int, total, room int) int {
	for total > room {
		i := slices.Index(widths, slices.Max(widths))
		if widths[i] <= minColumn {
			break
		}
		widths[i]--
		total--
	}
	return total
}

func (t *Table) line(out *strings.Builder, row []string, widths []int, below bool, style func(int) Style) {
	last := len(widths) - 1
	var b strings.Builder
	used := 0
	add := func(column int, text string, to int) {
		for ; used < to; used++ {
			b.WriteByte(' ')
		}
		b.WriteString(t.screen.Paint(style(column), text))
		used += Width(text)
	}
	start := 0
	var more []string
	for i, cell := range row {
		switch {
		case cell == "":
		case i < last:
			text := middle(cell, widths[i])
			if t.screen.Width > 0 {
				text = Clip(text, max(1, t.screen.Width-start))
			}
			if start < t.screen.Width || t.screen.Width == 0 {
				add(i, text, start)
			}
		case below:
			more = wrap(cell, widths[last])
		default:
			lines := wrap(cell, t.lastWidth(widths))
			add(i, lines[0], start)
			more = lines[1:]
		}
		start += widths[i] + columnGap
	}
	out.WriteString(b.String() + "\n")
	indent := start - columnGap - widths[last]
	if below {
		indent = lastIndent
	}
	for _, text := range more {
		out.WriteString(strings.Repeat(" ", indent) + t.screen.Paint(style(last), text) + "\n")
	}
}

// lastWidth is where the last column wraps; 0: nowhere.
func (t *Table) lastWidth(widths []int) int {
	if t.screen.Width <= 0 {
		return 0
	}
	return widths[len(widths)-1]
}
