package terminal

import (
	"io"
	"strings"
)

// Page is an address to open, or another line that has a name.
type Page struct {
	Name, Address string
	Note          string // behind the address
}

// Welcome says where a program that has started is found, and what comes next.
type Welcome struct {
	// Title is the first line: what runs, in which version.
	Title string
	// Pages are the addresses, the one to open first in front.
	Pages []Page
	// Steps are things to do, each with its commands.
	Steps []Step
	// Notes are what the user should know. They come last.
	Notes []string
}

// Step is something to do.
type Step struct {
	Title    string
	Commands []string // lines to copy; they are never wrapped or cut
}

// nameWidth is the least width of the names of pages.
const nameWidth = 18

// Print writes it to the screen, with an empty line before and after it.
func (w Welcome) Print(s Screen) error {
	var b strings.Builder
	b.WriteString("\n" + s.Paint(Strong, Printable(w.Title)) + "\n\n")
	PrintPages(&b, s, w.Pages)
	for _, step := range w.Steps {
		b.WriteString("\n" + s.Paint(Strong, step.Title) + "\n")
		for _, line := range step.Commands {
			b.WriteString("  " + Printable(line) + "\n")
		}
	}
	if len(w.Notes) > 0 {
		b.WriteString("\n")
		PrintNotes(&b, s, w.Notes)
	}
	b.WriteString("\n")
	_, err := io.WriteString(s, b.String())
	return err
}

// PrintPages writes names and addresses in two columns.
func PrintPages(b *strings.Builder, s Screen, pages []Page) {
	width := nameWidth
	for _, p := range pages {
		width = max(width, Width(p.Name))
	}
	for _, p := range pages {
		b.WriteString("  " + p.Name + strings.Repeat(" ", width-Width(p.Name)) + " " + s.Paint(Link, Printable(p.Address)))
		if p.Note != "" {
			b.WriteString("  " + s.Paint(Faint, "("+Printable(p.Note)+")"))
		}
		b.WriteString("\n")
	}
}

// PrintNotes writes notes, which wrap on a screen with a width.
func PrintNotes(b *strings.Builder, s Screen, notes []string) {
	for _, note := range notes {
		for i, line := range wrap(Printable(note), s.Width) {
			if first, rest, ok := strings.Cut(line, ": "); ok && i == 0 && len(first) < nameWidth {
				line = s.Paint(Warning, first+":") + " " + rest
			}
			b.WriteString(line + "\n")
		}
	}
}

// Quote returns an argument as a shell reads it.
func Quote(argument string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if argument != "" && strings.IndexFunc(argument, func(r rune) bool { return !plain(r) }) < 0 {
		return argument
	}
	return "'" + strings.ReplaceAll(argument, "'", `'\''`) + "'"
}
