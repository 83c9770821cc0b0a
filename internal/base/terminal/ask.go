package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
)

// ErrNoAnswer is the error of a question when the input ends before a line: Ctrl-D at a terminal.
var ErrNoAnswer = errors.New("no answer: the input has ended")

// Asker asks questions and reads the answers, a line each. It is for one goroutine.
type Asker struct {
	in  *bufio.Reader
	out io.Writer
}

// CanAsk reports whether a question can be asked: both ends are terminals.
func CanAsk(in io.Reader, out io.Writer) bool { return Is(in) && Is(out) }

// NewAsker returns an Asker that reads from in, of which it may read more than it needs, and writes to out.
func NewAsker(in io.Reader, out io.Writer) *Asker { return &Asker{bufio.NewReader(in), out} }

// maxAnswerBytes bounds a line. A terminal itself has 4096 bytes at most.
const maxAnswerBytes = 64 << 10

// Line asks for a line and returns it without the blanks around it and without control characters, such as the arrow keys'. The error is
// that of the context when it ends first, or ErrNoAnswer.
func (a *Asker) Line(ctx context.Context, question string) (string, error) {
	fmt.Fprintf(a.out, "%s", question)
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // ends with the process when nobody answers
		line, err := a.read()
		answered <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.out)
		return "", ctx.Err()
	case got := <-answered:
		if got.err != nil {
			fmt.Fprintln(a.out) // the answer did not end the question's line
			return "", got.err
		}
		return cleanLine(got.line), nil
	}
}

func (a *Asker) read() (string, error) {
	var line strings.Builder
	for {
		part, err := a.in.ReadSlice('\n')
		line.Write(part)
		switch {
		case err == nil:
			return line.String(), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", ErrNoAnswer
		case line.Len() > maxAnswerBytes:
			return "", fmt.Errorf("the answer is longer than %d bytes", maxAnswerBytes)
		}
	}
}

// sequences are the control sequences that keys send, as ECMA-48 and xterm have them.
var sequences = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|.)?`)

func cleanLine(line string) string {
	line = sequences.ReplaceAllString(strings.ToValidUTF8(line, ""), "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, line))
}

// Yes asks a question to which no is the answer unless y or yes is given. The error is as that of Line.
func (a *Asker) Yes(ctx context.Context, question string) (bool, error) {
	line, err := a.Line(ctx, question+" [y/N] ")
	line = strings.ToLower(line)
	return line == "y" || line == "yes", err
}
