package terminal

// Lines breaks text, without control characters that a terminal might obey, into lines of at most width columns, at blanks where there are
// any. A width of 0 is no limit.
func Lines(text string, width int) []string { return wrap(Printable(text), width) }
