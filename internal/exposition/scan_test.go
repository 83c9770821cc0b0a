package exposition_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
)

func TestScanner(t *testing.T) {
	page := "# HELP a What \\\\ it is.\n#TYPE b gauge\n# TYPE a  counter \r\n\n" +
		"  a{x=\"1\"} 1\r\n# a comment\n# UNIT a seconds\n# EOF\n<html>\n# HELP \"quoted\" text\n" +
		"# TYPE\n# TYPE \n# HELP nothing\n# TYPES a b\n# TYPE \"un.quotable\" gauge\nlast 3"
	var got []string
	s := exposition.NewScanner([]byte(page), exposition.Text)
	for s.Scan() {
		got = append(got, fmt.Sprintf("%d %d %s|%s|%s", s.Number(), s.Kind(), s.Name(), s.Text(), s.Line()))
	}
	want := []string{
		`1 2 a|What \\ it is.|# HELP a What \\ it is.`,
		`3 3 a|counter|# TYPE a  counter `,
		`5 1 a||a{x="1"} 1`,
		`7 4 a|seconds|# UNIT a seconds`,
		`9 0 ||<html>`,
		`10 2 quoted|text|# HELP "quoted" text`,
		`13 2 nothing||# HELP nothing`,
		`16 1 last||last 3`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestScannerEndsAtEOFOfOpenMetrics(t *testing.T) {
	s := exposition.NewScanner([]byte("a 1\n# EOF\nb 2\n"), exposition.OpenMetrics)
	var names []string
	for s.Scan() {
		names = append(names, string(s.Name()))
	}
	if got := strings.Join(names, " "); got != "a" {
		t.Errorf("scanned %q, want a alone", got)
	}
}

func TestScannerLineLimit(t *testing.T) {
	long := "a{x=\"" + strings.Repeat("y", exposition.MaxLineBytes) + "\"} 1"
	s := exposition.NewScanner([]byte(long+"\nb 2\n"), exposition.Text)
	if !s.Scan() || s.Kind() != exposition.Malformed {
		t.Errorf("line of %d bytes: kind %d", len(long), s.Kind())
	}
	if !s.Scan() || s.Kind() != exposition.SampleLine || string(s.Name()) != "b" {
		t.Error("the line after it is lost")
	}
	var sample exposition.Sample
	if err := sample.Parse([]byte(long)); !errors.Is(err, exposition.ErrLineTooLong) {
		t.Errorf("Parse: %v", err)
	}
}

func TestDetectFormat(t *testing.T) {
	for _, c := range []struct {
		contentType, page string
		want              exposition.Format
	}{
		{"text/plain; version=0.0.4; charset=utf-8", "a 1\n", exposition.Text},
		{"application/openmetrics-text; version=1.0.0; charset=utf-8", "a 1\n", exposition.OpenMetrics},
		{"Application/OpenMetrics-Text", "", exposition.OpenMetrics},
		{"text/plain", "a 1\n# EOF\n", exposition.OpenMetrics},
		{"", "# EOF", exposition.OpenMetrics},
		{"", "a 1\r\n# EOF\r\n", exposition.OpenMetrics},
		{"", "a 1 # EOF\n", exposition.Text},
		{"", "# EOF\na 1\n", exposition.Text},
		{"text/html", "<html>", exposition.Text},
		{"", "", exposition.Text},
	} {
		if got := exposition.DetectFormat(c.contentType, []byte(c.page)); got != c.want {
			t.Errorf("DetectFormat(%q, %q) = %v, want %v", c.contentType, c.page, got, c.want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, ``}, {`a`, `a`}, {`\\`, `\`}, {`\"`, `"`}, {`\n`, "\n"}, {`\\n`, `\n`}, {`\x\`, `\x\`}, {`a\\\"b\n`, "a\\\"b\n"},
	} {
		if got := string(exposition.Unescape(nil, []byte(c.in))); got != c.want {
			t.Errorf("Unescape(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	page := []byte(strings.Repeat("# TYPE a gauge\na{x=\"1\",y=\"a\\\"b\"} 1.5e3 1234\n", 50))
	var sample exposition.Sample
	run := func() {
		s := exposition.NewScanner(page, exposition.Text)
		for s.Scan() {
			if s.Kind() == exposition.SampleLine {
				if err := sample.Parse(s.Line()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations a page", n)
	}
}

func TestScanAny(t *testing.T) {
	s := exposition.NewScanner([]byte("# a comment\n\n  a 1\r\n# EOF\nb"), exposition.OpenMetrics)
	var got []string
	for s.ScanAny() {
		got = append(got, fmt.Sprintf("%d %s", s.Number(), s.Line()))
	}
	if diff := cmp.Diff([]string{"1 # a comment", "2 ", "3 a 1", "4 # EOF", "5 b"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
