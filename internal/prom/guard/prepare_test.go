package guard

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/prometheus/promql/parser"
)

// largeText is a text that waits for a slot.
var largeText = strings.Repeat("1+", 2*smallExpr) + "1"

// occupied returns a parser of which all slots are taken, and what gives them back.
func occupied() (*Parser, func()) {
	p := NewParser()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	return p, func() {
		for range cap(p.slots) {
			<-p.slots
		}
	}
}

func TestPreparingEndsWithTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, free := occupied()
		ctx, leave := context.WithCancel(t.Context())
		answers := make(chan error, 2)
		go func() { _, err := p.PrepareExpr(ctx, largeText); answers <- err }()
		go func() { _, err := p.PrepareSelectors(ctx, []string{"up", largeText}); answers <- err }()
		synctest.Wait()
		if len(answers) != 0 {
			t.Errorf("a large text was parsed without a slot: %v", <-answers)
		}
		if done, err := p.PrepareExpr(ctx, "sum(up)"); err != nil {
			t.Errorf("a small text waits for a slot: %v", err)
		} else {
			done()
		}
		leave()
		synctest.Wait()
		for range 2 {
			if err := <-answers; !errors.Is(err, context.Canceled) {
				t.Errorf("a client that left: %v", err)
			}
		}
		if n := p.waiting.Load(); n != 0 {
			t.Errorf("%d still wait", n)
		}
		free()
	})
}

func TestFewWaitToBeParsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, free := occupied()
		answers := make(chan error, maxWaiting)
		for range maxWaiting {
			go func() {
				done, err := p.PrepareExpr(t.Context(), largeText)
				if err == nil {
					done()
				}
				answers <- err
			}()
		}
		synctest.Wait()
		if _, err := p.PrepareExpr(t.Context(), largeText); !errors.Is(err, ErrBusy) {
			t.Errorf("one more than may wait: %v, want %v", err, ErrBusy)
		}
		free()
		for range maxWaiting {
			if err := <-answers; err != nil {
				t.Errorf("one who waited: %v", err)
			}
		}
		if len(p.exprs.all) != 0 {
			t.Error("what was prepared and not asked for is kept")
		}
	})
}

// What is prepared costs the next call nothing, not even a slot, and serves once.
func TestPreparedIsParsedOnce(t *testing.T) {
	t.Parallel()
	p := NewParser()
	invalid := largeText + "("
	for _, text := range []string{largeText, invalid} {
		done, err := p.PrepareExpr(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
	}
	selectors := []string{"up", `{a=~"` + strings.Repeat("b|", smallBytes) + `c"}`}
	doneSelectors, err := p.PrepareSelectors(t.Context(), selectors)
	if err != nil {
		t.Fatal(err)
	}
	for range cap(p.slots) {
		p.slots <- struct{}{} // from here on, parsing would block
	}
	if expr, err := p.ParseExpr(largeText); err != nil || expr.Type() != parser.ValueTypeScalar {
		t.Errorf("prepared: %v", err)
	}
	if _, err := p.ParseExpr(invalid); err == nil || !strings.Contains(err.Error(), "parse error") {
		t.Errorf("prepared with an error: %v", err)
	}
	if got, err := p.ParseMetricSelectors(selectors); err != nil || len(got) != 2 {
		t.Errorf("prepared selectors: %d, %v", len(got), err)
	}
	if done, err := NewParser().PrepareSelectors(t.Context(), selectors[1:]); err != nil {
		t.Error(err)
	} else {
		done()
	}
	if p.exprs.take(largeText) != nil || p.selectors.take(selectors...) != nil {
		t.Error("a text that was prepared once serves twice")
	}
	doneSelectors()
}

func TestRegexpsAreBounded(t *testing.T) {
	t.Parallel()
	p := NewParser()
	for name, re := range map[string]string{
		"repeated group":      `(` + strings.Repeat("a", 3000) + `){999}`,
		"repeated in repeats": `((a{10}){10}){10}` + strings.Repeat(`(b{100}){10}`, 300),
		"open repeats":        strings.Repeat(`a{500,}`, 1000),
		"Unicode classes":     strings.Repeat(`\pL`, 2000),
		"in classes":          strings.Repeat(`[\pL\p{Greek}]`, 1000),
		"any, any":            strings.Repeat(`.*`, 60_000),
		"ranges":              strings.Repeat(`[^a]`, 60_000),
	} {
		for _, quoted := range []string{"`" + re + "`", `"` + strings.ReplaceAll(re, `\`, `\\`) + `"`, `"` + strings.ReplaceAll(re, `\`, `\x5c`) + `"`} {
			if _, err := p.ParseExpr(`{job="a", a=~` + quoted + `}`); err == nil || !strings.Contains(err.Error(), "regular expressions would compile to more than") {
				t.Errorf("%s, %.30s: %.200v", name, quoted, err)
			}
		}
		if err := CheckMatchers([]string{"a", re}); err == nil {
			t.Errorf("%s passes as a matcher of remote read", name)
		}
	}
	many := make([]string, 200)
	for i := range many {
		many[i] = strings.Repeat("a", MaxBytes/100)
	}
	if err := CheckMatchers(many); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("matchers of %d bytes: %v", 2*MaxBytes, err)
	}
	for _, re := range []string{
		`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, `(?i)gpu-\d{1,3}|[[:alpha:]]+|[^]]|\p{Lu}.*`, `a{,5}{`, `)(*?`, `[`, `\`, `{5}`, ``,
		strings.Repeat(`host-\d+\.example\.com|`, 300), strings.Repeat(`.+|.*|`, 300),
		strings.Repeat(`10\.1\.2\.3:8080|host-[0-9]\d.example.com|`, 2500), `^(?i)(?:` + strings.Repeat(`worker-a(1|2)|`, 5000) + `x)$`,
	} {
		if err := CheckMatchers([]string{re}); err != nil {
			t.Errorf("%.40q: %v", re, err)
		}
	}
}

// What may take a value as long as there are instructions, for each of its letters, is bounded far lower than names.
func TestPatternsAreBounded(t *testing.T) {
	t.Parallel()
	for name, re := range map[string]string{
		"repeated":         strings.Repeat(`(.?){1000}`, 2),
		"optional":         strings.Repeat(`a?`, 5000),
		"groups in a row":  strings.Repeat(`(a|aa)`, 5000),
		"empty ways":       strings.Repeat(`(|a)`, 5000),
		"flags of a group": strings.Repeat(`(?i:a|aa)`, 5000),
		"quoted bracket":   `\Q[\E` + strings.Repeat(`(a|aa)`, 5000) + `]`,
		"named":            strings.Repeat(`(?P<a>a|aa)`, 5000),
	} {
		if _, err := NewParser().ParseExpr("{a=~`" + re + "`}"); err == nil || !strings.Contains(err.Error(), "more than 10000 instructions") {
			t.Errorf("%s: %.200v", name, err)
		}
		if err := CheckMatchers([]string{re}); err == nil {
			t.Errorf("%s passes as a matcher of remote read", name)
		}
	}
	// All of an expression count together.
	if _, err := NewParser().ParseExpr("{" + strings.Repeat(`a=~"(.?){400}",`, 5) + "}"); err == nil {
		t.Error("five patterns of 3,600 instructions pass")
	}
}

// FuzzRegexpCost holds that what the scan takes for cheap compiles to little.
func FuzzRegexpCost(f *testing.F) {
	for _, seed := range []string{`(a{10}b){100}`, `[\pL[:alpha:]]{3}`, `a{1,1000}?`, `\p{Greek}*`, `(?i)(x|y)+`, `[^]\]]{9}`, `\Q{9}\E{9}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cost := regexpCost(text)
		if len(text) > 1000 || cost > maxRegexp/10 {
			return
		}
		if n := instructions(text); int64(n) > 100+12*cost {
			t.Errorf("%q compiles to %d instructions, the scan says %d", text, n, cost)
		}
	})
}
