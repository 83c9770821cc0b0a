package exposition_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/exposition"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`a 1`, `a{} 1`},
		{`vllm:x_total 1.5e+09`, `vllm:x_total{} 1.5e+09`},
		{`a{} 1`, `a{} 1`},
		{`a{x="1"} 2`, `a{x=1} 2`},
		{`a{x="1",y="2",} 2`, `a{x=1,y=2} 2`},
		{"a { x = \"1\" , y=\"2\" }\t2", `a{x=1,y=2} 2`},
		{`a{x="1" y="2"}2`, `a{x=1,y=2} 2`},
		{`a{x="}, \"\\\n"} 2`, `a{x=}, \"\\\n} 2`},
		{`a{"x"="1"} 2`, `a{x=1} 2`},
		{`a{x=""} +Inf`, `a{x=} +Inf`},
		{`a 1 1700000000000`, `a{} 1`},
		{`a 1 -5`, `a{} 1`}, // as in OpenMetrics
		{`a 1 1700000000.5`, `a{} 1`},
		{`a{x="1"} 2 # {trace_id="z"} 0.5 1.5`, `a{x=1} 2`},
		{`a{x="1"} 2 7 # {} 0.5`, `a{x=1} 2`},
		{`a+1`, `a{} +1`},
		{`a 2.99e+010`, `a{} 2.99e+010`},
		{`a NaN`, `a{} NaN`},
		{`a 0x10`, `value is not a number`},
		{`a -nan(ind)`, `value is not a number`},
		{`a 1e309`, `value is not a number`},
		{`a 1_000`, `value is not a number`},
		{`a 0x1p-2`, `value is not a number`},
		{`a`, `value is not a number`},
		{`...`, `no metric name`},
		{`<html>`, `no metric name`},
		{`{"a"} 1`, `no metric name`},
		{`a{"b.c"="1"} 1`, `label name expected`},
		{`a{"b"} 1`, `= expected after label name`},
		{`a{x="1"`, `label name expected`},
		{`a{x="1`, `quoted label value expected`},
		{`a{x=1} 1`, `quoted label value expected`},
		{`a{x="1",x="2"} 1`, `label name twice`},
		{`a{__name__="b"} 1`, `label name twice`},
		{`a{,x="1"} 1`, `label name expected`},
		{`a{x:y="1"} 1`, `= expected after label name`},
		{"a{x=\"\xff\"} 1", `label value is not UTF-8`},
		{"a{x=\"\x00\"} 1", `NUL byte`},
		{`a 1 +5x`, `unexpected text after value`},
		{`a 1 2 3`, `unexpected text after value`},
		{`a 1 99999999999999999999 `, `unexpected text after value`},
		{`a{ x="1"} 2 # {y="z"} 0.5`, `unexpected text after value`},
		{`a 2 # {y="z"}`, `unexpected text after value`},
		{`a 2 # comment`, `unexpected text after value`},
		{"a{" + many(exposition.MaxLabels+1) + "} 1", `more than 128 labels`},
	} {
		var s exposition.Sample
		got := ""
		if err := s.Parse([]byte(c.line)); err != nil {
			got = err.Error()
			if _, ok := errors.AsType[exposition.LineError](err); !ok {
				t.Errorf("%s: %T is no LineError", c.line, err)
			}
		} else {
			got = describe(&s)
			if !bytes.HasPrefix([]byte(c.line[s.At:]), s.Value) {
				t.Errorf("%s: value is not at %d", c.line, s.At)
			}
			for _, l := range s.Labels {
				if !strings.HasPrefix(c.line[l.At:], string(l.Value)+`"`) {
					t.Errorf("%s: value of %s is not at %d", c.line, l.Name, l.At)
				}
			}
		}
		if got != c.want {
			t.Errorf("%.80s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `l%d="x",`, i)
	}
	return b.String()
}

func describe(s *exposition.Sample) string {
	var b strings.Builder
	for i, l := range s.Labels {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%s", l.Name, l.Value)
	}
	return fmt.Sprintf("%s{%s} %s", s.Name, b.String(), s.Value)
}

func TestValidNumber(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "1", "+1", "1.", ".5", "-.5", "1.5", "1e5", "1E-5", "1e+05", "2.99e+010", "1e308", "-1.7976931348623157e308",
		"1e-400", "1e309", "-1e999", "NaN", "nan", "-nan", "+Inf", "-inf", "Infinity", "inF", "1e", "1e+", ".", "", "-", "+", "e5",
		"1.2.3", "0x10", "0x1p4", "1_0", "1e1_0", "१", "1 ", "--1", "1-", "nan(ind)", "1p5",
		strings.Repeat("9", 290), strings.Repeat("9", 310), "0." + strings.Repeat("0", 400) + "1", strings.Repeat("9", 250) + "e99",
		strings.Repeat("9", 205) + "e99", strings.Repeat("9", 210) + "e99", strings.Repeat("0", 400) + ".5",
	} {
		_, err := strconv.ParseFloat(s, 64)
		want := err == nil && !strings.ContainsAny(s, "pP_")
		if got := exposition.ValidNumber([]byte(s)); got != want {
			t.Errorf("ValidNumber(%.60q) = %v, want %v", s, got, want)
		}
		v, ok := exposition.ParseNumber([]byte(s))
		if ok != want {
			t.Errorf("ParseNumber(%.60q) = %v, %v", s, v, ok)
		}
	}
}

// parseByPrometheus reads a line with Prometheus' two parsers, each alone.
func parseByPrometheus(line string) (labels.Labels, float64, bool) {
	for _, p := range []textparse.Parser{
		textparse.NewPromParser([]byte(line), labels.NewSymbolTable(), false),
		textparse.NewOpenMetricsParser([]byte(line+"\n# EOF\n"), labels.NewSymbolTable()),
	} {
		if entry, err := p.Next(); err != nil || entry != textparse.EntrySeries {
			continue
		}
		var set labels.Labels
		p.Labels(&set)
		_, _, v := p.Series()
		if _, err := p.Next(); errors.Is(err, io.EOF) {
			return set, v, true
		}
	}
	return labels.Labels{}, 0, false
}

// acceptable reports whether a label set has classic names, none twice, and not too many.
func acceptable(set labels.Labels) bool {
	ok := set.Len() <= exposition.MaxLabels+1
	if _, twice := set.HasDuplicateLabelNames(); twice {
		return false
	}
	set.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel {
			ok = ok && exposition.ValidMetricName(l.Value)
		} else {
			ok = ok && exposition.ValidLabelName(l.Name)
		}
	})
	return ok
}

// FuzzScan compares each line of a page with what Prometheus' parsers make of it.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		"# HELP a b\n# TYPE a counter\na{x=\"1\",le=\"+Inf\"} 1\n\na 1 1234\r\n",
		"a{x=\"\\\"\\\\\\n\\q\"} NaN 12 # {t=\"x\"} 1 2\n# EOF\n",
		"{\"a\",b=\"c\"} 1\na{\"b\"=\"c\"} 1e3\na+1\na-.5 7\n  a { b = \"c\" , } 0x1 \n",
		"a 1\t2\na 1 -2.5\na 1 # {} 5\na{b=\"c\"d=\"e\"}1\na 1e400\na -nan(ind)\n...\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		s := exposition.NewScanner(page, exposition.Text)
		number := 0
		var sample exposition.Sample
		for s.Scan() {
			if s.Number() <= number {
				t.Fatalf("line %d after line %d", s.Number(), number)
			}
			number = s.Number()
			if k := s.Kind(); k != exposition.SampleLine && k != exposition.Malformed {
				continue
			}
			line := string(s.Line())
			want, value, ok := parseByPrometheus(line)
			ok = ok && acceptable(want) && line[0] != '{' && !strings.Contains(line, "\x00")
			err := sample.Parse(s.Line())
			if ok != (err == nil) {
				t.Fatalf("%q: %v, Prometheus has %v", line, err, want)
			}
			if err != nil {
				continue
			}
			b := labels.NewScratchBuilder(8)
			b.Add(model.MetricNameLabel, string(sample.Name))
			for _, l := range sample.Labels {
				b.Add(string(l.Name), string(exposition.Unescape(nil, l.Value)))
			}
			b.Sort()
			if got := b.Labels(); !labels.Equal(got, want) {
				t.Fatalf("%q: %v, Prometheus has %v", line, got, want)
			}
			if v, ok := exposition.ParseNumber(sample.Value); !ok || v != value && !(math.IsNaN(v) && math.IsNaN(value)) {
				t.Fatalf("%q: value %v, Prometheus has %v", line, v, value)
			}
		}
	})
}
