package pagetemplate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/translate/pagetemplate"
)

// newTemplate makes a template of a page in which <> marks values and ^ the name's end of a line that is ignored.
func newTemplate(t *testing.T, marked string) *pagetemplate.Template {
	t.Helper()
	page := strings.NewReplacer("<", "", ">", "", "^", "").Replace(marked)
	p := pagetemplate.New([]byte(page))
	at, start := 0, 0
	for _, c := range []byte(marked) {
		switch c {
		case '<':
			start = at
		case '>':
			if _, ok := p.AddValue(start, at-start); !ok {
				t.Fatal("too many values")
			}
		case '^':
			if !p.AddIgnored(at) {
				t.Fatal("the line is not ignored")
			}
		default:
			at++
		}
	}
	return p
}

func TestMatch(t *testing.T) {
	const marked = "a{x=\"1\"} <3>\nunmapped^ 5\nb <0.5>\n"
	for _, c := range []struct{ page, want string }{
		{"a{x=\"1\"} 3\nunmapped 5\nb 0.5\n", "3 0.5"},
		{"a{x=\"1\"} 1234\nunmapped 5\nb 7\n", "1234 7"},
		{"a{x=\"1\"} -1e-05\nunmapped{a=\"b\"} 6\nb +Inf\n", "no match"}, // the unmapped line has other labels: no blank
		{"a{x=\"1\"} -1e-05\nunmapped of all sorts\nb +Inf\n", "-1e-05 +Inf"},
		{"a{x=\"2\"} 3\nunmapped 5\nb 0.5\n", "no match"},
		{"a{x=\"1\"} 3\nunmapped 5\nb 0.5", "no match"},
		{"a{x=\"1\"} 3\nunmapped 5\nb 0.5\nc 1\n", "no match"},
		{"a{x=\"1\"} x\nunmapped 5\nb 0.5\n", "no match"},
		{"a{x=\"1\"} 3 1700000000\nunmapped 5\nb 0.5\n", "no match"},
		{"", "no match"},
	} {
		got := "no match"
		if values, ok := newTemplate(t, marked).Match([]byte(c.page)); ok {
			got = string(values.At(0)) + " " + string(values.At(2))
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.page, got, c.want)
		}
	}
}

func TestForbidNegative(t *testing.T) {
	p := newTemplate(t, "a <3>\nb <4>\n")
	p.ForbidNegative(0)
	for page, want := range map[string]bool{"a 5\nb -1\n": true, "a -1\nb 5\n": false, "a -0\nb 5\n": false} {
		if _, ok := p.Match([]byte(page)); ok != want {
			t.Errorf("%q: matches is %v", page, ok)
		}
	}
}

// A name that goes on beyond what the template knows would be another metric.
func TestAddIgnored_NeedsTheEndOfTheName(t *testing.T) {
	for page, want := range map[string]bool{"ab 1\n": true, "ab{x=\"1\"} 1\n": true, "ab\t1\n": false, "ab": false} {
		if got := pagetemplate.New([]byte(page)).AddIgnored(2); got != want {
			t.Errorf("%q: %v", page, got)
		}
	}
}

// TestFill_IsWriting fills pages of random values and compares with writing them anew.
func TestFill_IsWriting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		n := 1 + r.IntN(30)
		write := func() (page, text string) {
			var p, out strings.Builder
			out.WriteString("# before\n")
			for i := range n {
				value := fmt.Sprint(r.IntN([]int{10, 10, 10, 1e6}[r.IntN(4)]))
				fmt.Fprintf(&p, "a%d <%s>\n", i, value)
				fmt.Fprintf(&out, "family{n=\"%d\"} <%s>\n", i, value)
			}
			return p.String(), out.String()
		}
		marked, output := write()
		template := newTemplate(t, marked)
		var lines pagetemplate.Lines
		unmark := strings.NewReplacer("<", "", ">", "")
		text := []byte(unmark.Replace(output))
		for i, at := int32(0), 0; i < int32(n); i++ {
			start := at + strings.Index(string(text[at:]), "} ") + len("} ")
			end := start + strings.Index(string(text[start:]), "\n")
			lines.Add(i, start, end)
			at = end
		}
		for range 10 {
			marked, output := write()
			values, ok := template.Match([]byte(unmark.Replace(marked)))
			if !ok {
				t.Fatal("the page does not match")
			}
			text = lines.Fill(text, values)
			if want := unmark.Replace(output); string(text) != want {
				t.Fatalf("round %d: filled\n%s\nwant\n%s", round, text, want)
			}
		}
	}
}

// TestPacer makes templates the more seldom the less they are of use.
func TestPacer(t *testing.T) {
	var p pagetemplate.Pacer
	passed := func() (n int) {
		for !p.Ready() {
			n++
		}
		return n
	}
	var got []int
	for range 9 {
		got = append(got, passed())
		p.Miss()
	}
	if want := "[0 1 2 4 8 16 32 64 64]"; fmt.Sprint(got) != want {
		t.Errorf("pages without a template before each attempt: %v, want %s", got, want)
	}
	passed()
	for range 4 {
		p.Hit()
	}
	if n := p.Hits(); n != 4 {
		t.Errorf("%d hits", n)
	}
	p.Miss()
	if n := passed(); n != 0 {
		t.Errorf("after a template that was of use, %d pages pass", n)
	}
}
