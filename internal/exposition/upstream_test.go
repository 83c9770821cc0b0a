package exposition_test

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/exposition"
)

// TestLinesOfUpstream has the kinds of lines that the tests of Prometheus' parsers have (model/textparse promparse_test.go and
// openmetricsparse_test.go, and expfmt text_parse_test.go of prometheus/common), good ones and bad ones. A line is read where
// one of Prometheus' two text parsers reads it. Where we decide otherwise, differs says why.
func TestLinesOfUpstream(t *testing.T) {
	const (
		names = "names beyond the classic ones are not asked for when pages are fetched"
		twice = "a series with a label twice has no meaning, and storage refuses it"
		nul   = "other parsers refuse a whole page for a NUL byte"
	)
	for _, c := range []struct {
		line    string
		refused string // the reason; empty: the line is read
		differs string
	}{
		// Labels and blanks, as promparse_test.go has them.
		{line: `rpc_seconds{quantile="0"} 4.9e-05`},
		{line: `rpc_seconds{quantile="0.25",} 7.4e-05`},
		{line: `rpc_seconds{quantile="0.5",zone="b"} 8.3e-05`},
		{line: `rpc_seconds{quantile="0.8", zone="b"} 8.3e-05`},
		{line: `rpc_seconds{ quantile="0.9", zone="b"} 8.3e-05`},
		{line: `rpc_seconds{ quantile="1.0", zone="b" } 8.3e-05`},
		{line: `rpc_seconds { quantile="1.0", zone="b" } 8.3e-05`},
		{line: `rpc_seconds { quantile= "1.0", zone= "b", } 8.3e-05`},
		{line: `rpc_seconds { quantile = "1.0", zone = "b" } 8.3e-05`},
		{line: `rpc_seconds { quantile = "2.0" zone = "b" } 8.3e-05`},
		{line: `rpc_seconds_count 99`},
		{line: "job:errors:rate1m{a_b=\"c\"}\t1"},
		{line: "threads 33  \t123123"},
		{line: `_hidden 1`},
		{line: `shown{_hidden="x"} 1`},
		{line: `shown{label="\"quoted\""} 1`},
		{line: `shown{le="10"} 1`},
		{line: `shown{__type__="counter"} 123`},
		{line: `speed{A="2",c="3"} 12345`},
		// Faults, as promparse_test.go has them.
		{line: `lonely`, refused: "value is not a number"},
		{line: `x{y='z'} 1`, refused: "quoted label value expected"},
		{line: `x{y=`, refused: "quoted label value expected"},
		{line: "x{\xff=\"z\"} 1", refused: "label name expected"},
		{line: "x{y=\"\xff\"} 1", refused: "label value is not UTF-8"},
		{line: "x{y=\"\xbd\"} 1", refused: "label value is not UTF-8"},
		{line: `{"x", "y = "z"}`, refused: "no metric name"},
		{line: `{"x",y\nz="d"} 1`, refused: "no metric name"},
		{line: `x true`, refused: "value is not a number"},
		{line: `odd{problem="`, refused: "quoted label value expected"},
		{line: `nameless{=""} 0`, refused: "label name expected"},
		{line: `{X}0`, refused: "no metric name"},
		{line: `num 1_2`, refused: "value is not a number"},
		{line: `num 0x1p-3`, refused: "value is not a number"},
		{line: `num 0x1P-3`, refused: "value is not a number"},
		{line: `num 0 1_2`, refused: "unexpected text after value"},
		{line: `{x="ok"} 1`, refused: "no metric name"},
		// NUL bytes, as promparse_test.go and openmetricsparse_test.go have them.
		{line: "nul{a=\"abc\x00\"} 1", refused: "NUL byte", differs: nul},
		{line: "nul{a=\"\x00ss\"} 1", refused: "NUL byte", differs: nul},
		{line: "nul{a=\"\x00\"} 1", refused: "NUL byte", differs: nul},
		{line: "nul{a=\x00\"ssss\"} 1", refused: "NUL byte"},
		{line: "nul{a=\"\x00", refused: "NUL byte"},
		{line: "nul{a\x00=\"hiih\"}\t1", refused: "NUL byte"},
		{line: "nul\x00{a=\"ddd\"} 1", refused: "NUL byte"},
		{line: "nul 0 1\x00", refused: "NUL byte"},
		{line: "nul_total 1 # {b=\x00\"ssss\"} 1", refused: "NUL byte"},
		{line: "nul_total 1 # {b=\"\x00ss\"} 1", refused: "NUL byte"},
		// Exemplars and timestamps, as openmetricsparse_test.go has them.
		{line: `foo_bucket{le="0.1"} 8 # {} 0.054`},
		{line: `foo_bucket{le="1"} 10 # {id="oHg5SJYRHA0"} 9.8 1520879607.789`},
		{line: `foo_bucket{le="10"} 17 123.456 # {id="n"} 5`},
		{line: `done_total 17.0 1520879607.789 # {id="counter-test"} 5`},
		{line: `done_created 1520430000.123`},
		{line: `state{foo="a"} 1`},
		{line: `about_info{version="1"} 1`},
		{line: `depth -5e-2 -1`},
		{line: `x 1 1z`, refused: "unexpected text after value"},
		{line: "x 1\t2"}, // only text 0.0.4 has it
		{line: `x 1 1 1`, refused: "unexpected text after value"},
		{line: `x 1 2 #`, refused: "unexpected text after value"},
		{line: `x{y="z"d="e"} 1`}, // only text 0.0.4 has it
		{line: `x{y="z",,d="e"} 1`, refused: "label name expected"},
		{line: `x{,y="z"} 1`, refused: "label name expected"},
		{line: `done_total 1 # {aa=bb}`, refused: "unexpected text after value"},
		{line: `done_total 1 # {aa="bb"}`, refused: "unexpected text after value"},
		{line: `done_total 1 # {bb}`, refused: "unexpected text after value"},
		{line: `done_total 1 # {bb, a="dd"}`, refused: "unexpected text after value"},
		{line: `done_total 1 # {aa="bb",,cc="dd"} 1`, refused: "unexpected text after value"},
		{line: `done_total 1 # {aa="bb"} 1_2`, refused: "unexpected text after value"},
		{line: `done_total 1 # {aa="bb"} 0x1p-3`, refused: "unexpected text after value"},
		{line: `done_total 1 # {aa="bb"} true`, refused: "unexpected text after value"},
		{line: `done_total 1 # {aa="bb",cc=}`, refused: "unexpected text after value"},
		{line: `done_total 1 # {aa=\"\xff\"} 9.0`, refused: "unexpected text after value"},
		{line: `{y="z",} 1`, refused: "no metric name"},
		{line: `x 1 NaN`, refused: "unexpected text after value"},
		{line: `x 1 -Inf`, refused: "unexpected text after value"},
		{line: `x 1 Inf`, refused: "unexpected text after value"},
		{line: `foo_bucket{le="+Inf"} 1 # {aa="bb"} 4 NaN`, refused: "unexpected text after value"},
		{line: `foo_bucket{le="+Inf"} 1 # {aa="bb"} 4 -Inf`, refused: "unexpected text after value"},
		{line: `foo_bucket{le="+Inf"} 1 # {aa="bb"} 4 Inf`, refused: "unexpected text after value"},
		{line: `9`, refused: "no metric name"},
		// As expfmt's text_parse_test.go has them.
		{line: `minimal 1.234`},
		{line: `another -3e3 103948`},
		{line: `few{label="with nothing"} +Inf`},
		{line: `name{label="odd \\ \"chars\" \n and { } , ="} -Inf`},
		{line: `escapes{label="\t"} 3.14`}, // Prometheus keeps the backslash
		{line: `metric{@="bla"} 3.14`, refused: "label name expected"},
		{line: `metric{__name__="bla"} 3.14`, refused: "label name twice", differs: twice},
		{line: `metric{label+="bla"} 3.14`, refused: "= expected after label name"},
		{line: `metric{label=bla} 3.14`, refused: "quoted label value expected"},
		{line: `metric{label="bla"+} 3.14`, refused: "label name expected"},
		{line: `metric{label="bla"} 3.14 2.72`}, // as OpenMetrics has timestamps
		{line: `metric{label="bla"} 3.14 2 3`, refused: "unexpected text after value"},
		{line: `metric{label="bla"} blubb`, refused: "value is not a number"},
		{line: `@invalid{label="bla"} 3.14 2`, refused: "no metric name"},
		{line: `num 0B1`, refused: "value is not a number"},
		{line: `num 0O1`, refused: "value is not a number"},
		{line: `num 0X1`, refused: "value is not a number"},
		{line: `num 0b1`, refused: "value is not a number"},
		{line: `num 0o1`, refused: "value is not a number"},
		{line: `num 0x1`, refused: "value is not a number"},
		{line: `metric{label="bla",label="bla"} 3.14`, refused: "label name twice", differs: twice},
		{line: `{"one.name","another.name"} 3.14`, refused: "no metric name"},
		{line: `{"a\xc5z",label="bla"} 3.14`, refused: "no metric name", differs: names},
		{line: `{"metric.name".label="bla"} 3.14`, refused: "no metric name"},
		{line: `{"metric.name",foo="bla"} 3.14`, refused: "no metric name", differs: names},
		{line: `metric{"foo"="bar", "dotted.label"="bla"} 3.14`, refused: "label name expected", differs: names},
	} {
		var s exposition.Sample
		got := ""
		if err := s.Parse([]byte(c.line)); err != nil {
			got = err.Error()
		}
		if got != c.refused {
			t.Errorf("%q: got %q, want %q", c.line, got, c.refused)
		}
		set, _, reads := parseByPrometheus(c.line)
		if same := reads == (c.refused == ""); same == (c.differs != "") {
			t.Errorf("%q: Prometheus reads it: %v (%v); refused here: %q; said to differ: %q", c.line, reads, set, c.refused, c.differs)
		}
	}
}

// TestPagesOfUpstream has whole pages for which one of the parsers refuses all that follows. Here the samples that can be read stay.
func TestPagesOfUpstream(t *testing.T) {
	const good = "good_total 7"
	for _, page := range []string{
		"", "\n", "\n\n", "# EOF", "# EOF\n", "#", "# H", "# EOFa 1\n", " # EOF\n", "#\tTYPE c counter\n", "#  TYPE c counter\n",
		"# TYPE u untyped\n", "# TYPE c counter \n", "# TYPE c  counter\n", "# TYPE \n", "# TYPE m\n", "# TYPE #\n", "# HELP #\n", "# HELP \n", "# HELP m\n",
		"# UNIT metric suffix\n", "# UNIT metricsuffix suffix\n", "# UNIT m suffix\n", "# UNIT \n", "# UNIT m\n",
		"# HELP metric one\n# HELP metric two\n", "# TYPE metric counter\n# TYPE metric untyped\n", "metric 4\n# TYPE metric counter\n", "# TYPE metric bla\n", "# TYPE met-ric\n",
		"# TYPE \"metric.name\\t\" counter\n", "# TYPE \"metric\nname\" counter\n", "# HELP metric foo\x00bar\n", "# Helpful comment\n", "# comment with \\n and \\\n",
		"metric{label=\"new\nline\"} 3.14\n", " a 1\n", "a 1 \n", "a 1 2 \n", "lonely\n",
	} {
		for _, text := range []string{good + "\n" + page, strings.ReplaceAll(page, "# EOF", "# EO") + "\n" + good + "\n", good + "\n" + page + "\n" + good} {
			s := exposition.NewScanner([]byte(text), exposition.Text)
			found := false
			for s.Scan() {
				var sample exposition.Sample
				if s.Kind() == exposition.SampleLine && sample.Parse(s.Line()) == nil && string(s.Line()) == good {
					found = true
				}
			}
			if !found {
				t.Errorf("%q: the good line is lost", text)
			}
		}
	}
}
