package terminal

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	red, green, faint, end = "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
	// reason is the text of a last column, 60 wide.
	reason = "the engine's page is HTML: give the port of its metrics page"
)

// Files, pipes and the null device get text alone, whatever the environment says.
func TestNoTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, w := range []interface {
		Write([]byte) (int, error)
	}{null, &strings.Builder{}} {
		s := Of(w, func(string) string { return "xterm" })
		if s.Colour || s.Redraw || s.Width != 0 || s.Height != 0 || Is(w) {
			t.Errorf("%T: %+v", w, s)
		}
	}
	if got := (Screen{}).Paint(Bad, "x"); got != "x" {
		t.Errorf("%q", got)
	}
}

func show(t *testing.T, s Screen, text string) string {
	t.Helper()
	var out strings.Builder
	s.Writer = &out
	table := NewTable(s)
	_, _ = table.Write([]byte(text))
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTable(t *testing.T) {
	const text = "\nNAME\tSTATE\tWHY\nqwen3-32b-instruct-0\trunning\t\nb\terror\t" + reason + "\n\nnone\tis no header\nand a line without one\n"
	for _, tt := range []struct {
		name   string
		screen Screen
		want   string
	}{
		{"a file: nothing is cut, wrapped or coloured", Screen{}, `
NAME                  STATE    WHY
qwen3-32b-instruct-0  running
b                     error    ` + reason + `

none  is no header
and a line without one
`},
		{"wide enough", Screen{Width: 100}, `
NAME                  STATE    WHY
qwen3-32b-instruct-0  running
b                     error    ` + reason + `

none  is no header
and a line without one
`},
		{"the last column wraps", Screen{Width: 60}, `
NAME                  STATE    WHY
qwen3-32b-instruct-0  running
b                     error    the engine's page is HTML:
                               give the port of its metrics
                               page

none  is no header
and a line without one
`},
		{"others are cut in the middle", Screen{Width: 42}, `
NAME         STATE    WHY
qwen3…uct-0  running
b            error    the engine's page is
                      HTML: give the port
                      of its metrics page

none  is no header
and a line without one
`},
		{"too narrow for all columns", Screen{Width: 30}, `
NAME                 STATE
qwen3-32b…ruct-0     running
b                    error
    the engine's page is HTML:
    give the port of its
    metrics page

none  is no header
and a line without one
`},
		{"colours", Screen{Colour: true}, "\n" + faint + "NAME" + end + "                  " + faint + "STATE" + end + "    " + faint + "WHY" + end + "\n" +
			"qwen3-32b-instruct-0  " + green + "running" + end + "\n" +
			"b                     " + red + "error" + end + "    " + reason + "\n\nnone  is no header\nand a line without one\n"},
	} {
		got := show(t, tt.screen, text)
		if tt.name == "too narrow for all columns" {
			for line := range strings.Lines(got) {
				if Width(strings.TrimSuffix(line, "\n")) > tt.screen.Width {
					t.Errorf("%s: %q is wider than %d", tt.name, line, tt.screen.Width)
				}
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// No line is wider than the screen, whatever its width is, and no reason is lost.
func TestTableFitsEveryWidth(t *testing.T) {
	const text = "INSTANCE\tMODEL\tWORKER\tSTATE\tRUNTIME\tVERSION\tWHY\nqwen3-32b-instruct-0\tqwen3-32b-instruct\tgpu-node-17\tunreachable\tvLLM\t0.11.0\t" + reason + "\n模型一号实例\t模型\tn\trunning\t-\t-\tsome other\n"
	for width := 10; width < 200; width++ {
		got := show(t, Screen{Width: width}, text)
		for line := range strings.Lines(got) {
			if Width(strings.TrimSuffix(line, "\n")) > width {
				t.Errorf("width %d: %q", width, line)
			}
		}
		if joined := strings.Join(strings.Fields(got), ""); width >= 30 && !strings.Contains(joined, "HTML:give") {
			t.Errorf("width %d: the reason is lost:\n%s", width, got)
		}
	}
}

// What an engine says is text for the terminal, never a command to it.
func TestTableNeutralizesControlCharacters(t *testing.T) {
	if got := show(t, Screen{Colour: true, Redraw: true}, "a\t\x1b[2Jb\u009b\n\x1b]0;title\a\n"); strings.ContainsAny(got, "\x1b\a\u009b") {
		t.Errorf("%q", got)
	}
}

func TestWide(t *testing.T) {
	if got := Width("模型 e\u0301"); got != 6 {
		t.Errorf("%d columns", got)
	}
	for width, want := range map[int]string{0: "abcdef", 6: "abcdef", 5: "abcd…", 1: "…"} {
		if got := Clip("abcdef", width); got != want {
			t.Errorf("%d: %q", width, got)
		}
	}
	if got := Clip("模型模型", 6); got != "模型…" {
		t.Errorf("%q", got)
	}
}

func TestWelcome(t *testing.T) {
	w := Welcome{
		Title: "stackscope 1.2.3",
		Pages: []Page{{"console", "http://localhost:8080/", ""}, {"Grafana", "http://localhost:8080/grafana/", "it starts within some seconds"}},
		Steps: []Step{{"Join a worker", []string{"stackscope-worker --server-url http://10.0.0.1:8080 --token-file worker-token"}}},
		Notes: []string{"not root: port 8080 instead of 80", "Ctrl-C stops it"},
	}
	var out strings.Builder
	if err := w.Print(Screen{Writer: &out, Width: 40}); err != nil {
		t.Fatal(err)
	}
	const want = `
stackscope 1.2.3

  console            http://localhost:8080/
  Grafana            http://localhost:8080/grafana/  (it starts within some seconds)

Join a worker
  stackscope-worker --server-url http://10.0.0.1:8080 --token-file worker-token

not root: port 8080 instead of 80
Ctrl-C stops it

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out.Reset()
	if err := w.Print(Screen{Writer: &out, Colour: true}); err != nil || !strings.Contains(out.String(), "\x1b[33mnot root:\x1b[0m port") {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"/var/lib/stackscope/worker-token": "/var/lib/stackscope/worker-token", "http://[2001:db8::1]:8080": "'http://[2001:db8::1]:8080'",
		"/home/a b/x": "'/home/a b/x'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'", "~/x": "'~/x'",
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}
