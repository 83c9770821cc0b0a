package translate

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
)

// OutputCapacity returns the bytes that a Result holds for its output.
func OutputCapacity(r *Result) (n int) {
	for i := range r.buffers {
		n += cap(r.buffers[i].text)
	}
	return n
}

// TestEqualHashes checks that lines whose hashes are equal are told apart by their text.
func TestEqualHashes(t *testing.T) {
	var s labelTemplates
	s.prepare(NewSource(nil), nil, nil)
	var b lineBuffer
	const hash = 7
	enter := func(line string) bool {
		start := len(b.text)
		b.text = append(b.text, line+"\n"...)
		return b.addLine(hash, start, &s)
	}
	for i, c := range []struct {
		line string
		want bool
	}{
		{`a{x="1",y="2"} 1`, true},
		{`a{y="2",x="1"} 2`, false},
		{`a{x="2",y="1"} 3`, true},
		{`a{x="1"} 4`, true},
		{`b{x="1"} 5`, true},
		{`a{x="1",z="2"} 6`, true},
		{`b{x="1"} 7`, false},
	} {
		if got := enter(c.line); got != c.want {
			t.Errorf("line %d, %s: new is %v", i, c.line, got)
		}
	}
	for i := range 1000 {
		if !enter(`a{n="` + strconv.Itoa(i) + `"} 1`) {
			t.Fatalf("label %d is taken for another", i)
		}
	}
}

// TestRisesIsAnOrder checks what the detection of duplicates relies on: among rising texts none comes twice.
func TestRisesIsAnOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	texts := []string{"0", "0.0", "0.1", "0.10", "0.5", "1", "1.0", "1.", "10", "10.0", "2.5", "1e5", "1e-05", "-1", "+1", "+Inf", "+inf", "Inf", "-Inf", "NaN", ".5", "100", "2560.0"}
	for range 20_000 {
		seen := map[string]bool{}
		last := texts[r.IntN(len(texts))]
		seen[last] = true
		for range 10 {
			next := texts[r.IntN(len(texts))]
			if !rises([]byte(last), []byte(next)) {
				continue
			}
			if seen[next] {
				t.Fatalf("%s rises above %s and was there before", next, last)
			}
			seen[next] = true
			last = next
		}
	}
	bounds := []string{"0.001", "0.005", "0.01", "0.1", "1.0", "2.5", "10.0", "7680.0", "+Inf"}
	for i := range bounds[1:] {
		if !rises([]byte(bounds[i]), []byte(bounds[i+1])) {
			t.Errorf("%s does not rise above %s", bounds[i+1], bounds[i])
		}
	}
}

// SetPageTemplates switches the fast path on or off.
func SetPageTemplates(on bool) { pageTemplates = on }

// PageTemplates reports whether the fast path is on.
func PageTemplates() bool { return pageTemplates }

// TemplateHits returns how many pages matched the Result's page template.
func TemplateHits(r *Result) int { return r.fast.pacer.Hits() }

// TestNamesThatAreWrittenOut: a page says the model as the engine does, and the instance has it with what doesn't show written out. That
// is one name and no clash.
func TestNamesThatAreWrittenOut(t *testing.T) {
	for _, c := range []struct{ own, native, want string }{
		{"org/mo<U+200B>del", "org/mo\u200bdel", ""},
		{"org/mo<U+000A>del", `org/mo\ndel`, ""},
		{"org/mo<U+200B>del", "org/mo\u200bdel-lora", "exported_model_name"},
		{"org/model", "org/mo\u200bdel", "exported_model_name"},
		{fleet.Spelled("a"+strings.Repeat("\u00a0b", 100), fleet.MaxModelName), "a" + strings.Repeat("\u00a0b", 100), ""},
	} {
		s := NewSource([]Label{{"model_name", c.own}})
		got := s.relabel(nil, []exposition.Label{{Name: []byte("model_name"), Value: []byte(c.native)}})
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || string(got[0].Name) != c.want) {
			t.Errorf("%q of an instance %q became %v", c.native, c.own, got)
		}
	}
}
