package guard

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"

	compose "github.com/stackscope/stackscope/docker-compose"
)

// tooLarge are expressions that cost the parser seconds or gigabytes, by what the refusal says.
var tooLarge = map[string]string{
	"bytes":              `{a=~"` + strings.Repeat("x", MaxBytes) + `"}`,
	"nested":             strings.Repeat("(", 10_000),
	"nested more":        strings.Repeat("[", maxNesting+1),
	"operators":          strings.Repeat("-", 100_000),
	"operators and":      strings.Repeat("1+", maxOperators+1) + "1",
	"operators and ":     strings.Repeat("a OR ", maxOperators+1) + "a",
	"operators and  ":    strings.Repeat("a == bool on(a) ", maxOperators/3) + "a",
	"operators and   ":   "a" + strings.Repeat("[1m:]", maxOperators+1),
	"commas":             "sum by (" + strings.Repeat("a,", maxCommas+1) + "a)(b)",
	"operators and    ":  `{a="` + strings.Repeat(`\"`, 100) + `"}` + strings.Repeat("+1", maxOperators),
	"operators and     ": "1 # (((((\n" + strings.Repeat("+1", maxOperators+1),
}

func TestParserRefusesWhatIsTooLarge(t *testing.T) {
	p := NewParser()
	for says, text := range tooLarge {
		for name, parse := range map[string]func() error{
			"ParseExpr":            func() error { _, err := p.ParseExpr(text); return err },
			"ParseMetric":          func() error { _, err := p.ParseMetric(text); return err },
			"ParseMetricSelector":  func() error { _, err := p.ParseMetricSelector(text); return err },
			"ParseMetricSelectors": func() error { _, err := p.ParseMetricSelectors([]string{"up", text}); return err },
		} {
			if err := parse(); err == nil || !strings.Contains(err.Error(), "more than") || !strings.Contains(err.Error(), strings.TrimSpace(says)) {
				t.Errorf("%s of %.20q...: %v, want a refusal that says %q", name, text, err, says)
			}
		}
	}
	halves := []string{strings.Repeat("a,", maxCommas/2+1), strings.Repeat("a,", maxCommas/2+1)}
	if _, err := p.ParseMetricSelectors(halves); err == nil || !strings.Contains(err.Error(), "commas") {
		t.Errorf("selectors that are too large together: %v", err)
	}
	if _, _, err := p.ParseSeriesDesc("a 1+1x10"); err == nil {
		t.Error("a description of series is parsed")
	}
}

// What people ask for is parsed: a regular expression of 128 KB, what lies at the bounds, and every panel of the dashboards.
func TestParserTakesWhatPeopleAsk(t *testing.T) {
	p := NewParser()
	accept := func(text string) {
		t.Helper()
		if _, err := p.ParseExpr(text); err != nil {
			t.Errorf("%.60q...: %v", text, err)
		}
	}
	ways := make([]string, 5000)
	for i := range ways {
		ways[i] = strings.Repeat("w", 22) + "(a|b)"[:i%2*5]
	}
	accept(`sum by (model_name) (rate(gpustack:prompt_tokens_total{worker_name=~"` + strings.Join(ways, "|") + `"}[5m]))`)
	accept(strings.Repeat("(", maxNesting) + "1" + strings.Repeat(")", maxNesting))
	accept(strings.Repeat("1+", maxOperators) + "1")
	accept("sum by (" + strings.Repeat("a,", 10_000) + "a)(b)")
	accept("1 # " + strings.Repeat("(-", 5000) + "\n + 1")
	accept("`" + strings.Repeat(`(\`, 5000) + "`")
	most := 0
	for _, text := range panels(t) {
		accept(text)
		var size exprSize
		if err := size.add(text); err != nil {
			t.Fatal(err)
		}
		most = max(most, size.operators)
	}
	if most < 100 || most > maxOperators/2 {
		t.Errorf("the largest panel has %d operators: too near the bound of %d, or none were found", most, maxOperators)
	}
}

var variable = regexp.MustCompile(`\$\w+|\$\{\w+\}`)

// panels returns every expression of the dashboards, with values for Grafana's variables.
func panels(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(compose.Dashboards(), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				if text, ok := e.(string); ok && name == "expr" {
					texts = append(texts, variable.ReplaceAllStringFunc(text, func(name string) string {
						if name == "$quantile" {
							return "0.9"
						}
						return "5m"
					}))
				}
				walk(e)
			}
		}
	}
	for _, name := range names {
		text, err := fs.ReadFile(compose.Dashboards(), name)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard any
		if err := json.Unmarshal(text, &dashboard); err != nil {
			t.Fatal(err)
		}
		walk(dashboard)
	}
	if len(texts) < 100 {
		t.Fatalf("only %d expressions in the dashboards", len(texts))
	}
	return texts
}

// A refusal costs nothing, and what is at the bounds little.
func TestParserIsBounded(t *testing.T) {
	p := NewParser()
	allocated := func(text string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = p.ParseExpr(text)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if n := allocated(strings.Repeat("-", 16<<20)); n > 64<<10 {
		t.Errorf("refusing 16 MB of operators allocates %d bytes", n)
	}
	for _, text := range []string{
		strings.Repeat("-", maxOperators) + "1", strings.Repeat("1^", maxOperators) + "1", strings.Repeat("(", maxNesting),
		`{` + strings.Repeat(`a="b",`, maxOperators-1) + `}`, strings.Repeat("} ", MaxBytes/2),
	} {
		if n := allocated(text); n > 16<<20 {
			t.Errorf("%.20q... allocates %d bytes", text, n)
		}
	}
}

// FuzzExprSize holds that nothing which the parser's lexer takes for an operator or a bracket escapes the count.
func FuzzExprSize(f *testing.F) {
	for _, text := range tooLarge {
		if len(text) < 4096 {
			f.Add(text)
		}
	}
	f.Add(`sum by (a, b) (rate(x{y=~"z\"(", w!='\\', v="` + "`" + `"}[5m:1m] offset -1h @ start())) # ((` + "\n" + `/ on (a) group_left () 2 >= bool 1`)
	f.Add("{`a(`=\"b\"} unless on() c atan2 d </ 2")
	f.Fuzz(func(t *testing.T, text string) {
		var size exprSize
		if size.add(text) != nil {
			return
		}
		operators, commas, nesting := 0, 0, 0
		lexer := parser.Lex(text)
		for {
			var item parser.Item
			lexer.NextItem(&item)
			if item.Typ == parser.EOF || item.Typ == parser.ERROR {
				break
			}
			switch {
			case item.Typ == parser.COMMA:
				commas++
			case item.Typ == parser.LEFT_PAREN, item.Typ == parser.LEFT_BRACE, item.Typ == parser.LEFT_BRACKET:
				operators++
				nesting++
			case item.Typ == parser.RIGHT_PAREN, item.Typ == parser.RIGHT_BRACE, item.Typ == parser.RIGHT_BRACKET:
				nesting--
			case item.Typ.IsOperator(), item.Typ.IsKeyword() && operatorWord(item.Val), item.Typ == parser.EQL, item.Typ == parser.AT:
				operators++
			}
			if nesting > maxNesting {
				t.Fatalf("nested %d deep", nesting)
			}
		}
		if operators > size.operators || commas > size.commas {
			t.Errorf("the lexer finds %d operators and %d commas, the scan %+v", operators, commas, size)
		}
	})
}
