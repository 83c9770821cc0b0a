package exposition_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stackscope/stackscope/internal/exposition"
)

func TestWriter(t *testing.T) {
	var w exposition.Writer
	base := exposition.RenderLabels("worker", `C:\gpu "7"`+"\n", "empty", "")
	w.Family("up", "gauge", "Whether it\nis up, \"yes\" or \\no.")
	w.Sample("up", 1, base)
	w.Sample("up", 0.5, "", base, exposition.RenderLabels("state", "ready"))
	w.Family("plain", "", "")
	w.Sample("plain", math.Inf(-1))
	w.Sample("plain", math.NaN(), "")
	w.Raw([]byte("# done\n"))
	want := `# HELP up Whether it\nis up, "yes" or \\no.
# TYPE up gauge
up{worker="C:\\gpu \"7\"\n"} 1
up{worker="C:\\gpu \"7\"\n",state="ready"} 0.5
plain -Inf
plain NaN
# done
`
	if diff := cmp.Diff(want, string(w.Bytes())); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
	if w.Len() != len(want) {
		t.Errorf("Len() = %d, want %d", w.Len(), len(want))
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(want))
	if err != nil {
		t.Fatalf("page is refused: %v", err)
	}
	if got := families["up"].Metric[0].Label[0].GetValue(); got != `C:\gpu "7"`+"\n" {
		t.Errorf("label read back as %q", got)
	}
	w.Reset()
	if w.Len() != 0 || len(w.Bytes()) != 0 {
		t.Error("Reset left something")
	}
	w.Family("up", "gauge", "Whether it is up.")
	if n := testing.AllocsPerRun(100, func() { w.Reset(); w.Sample("up", 12.25, base) }); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
}

// A Writer that is used again has nothing of the page before, also of what that one referred to.
func TestWriter_UsedAgain(t *testing.T) {
	var w exposition.Writer
	large, small := strings.Repeat("large 1\n", 1000), "small 1\n"
	for i, parts := range [][]string{{large, small, large}, {small}, {large}, {}, {small, large}} {
		w.Reset()
		for _, part := range parts {
			w.Refer([]byte(part))
			w.Sample("own", float64(i))
		}
		var want strings.Builder
		for _, part := range parts {
			want.WriteString(part + "own " + string(rune('0'+i)) + "\n")
		}
		var written strings.Builder
		n, err := w.WriteTo(&written)
		if err != nil || written.String() != want.String() || string(w.Bytes()) != want.String() {
			t.Errorf("page %d: %v (-want +got):\n%s", i, err, cmp.Diff(want.String(), written.String()))
		}
		if w.Len() != len(want.String()) || n != int64(len(want.String())) {
			t.Errorf("page %d has %d bytes, Len says %d, WriteTo %d", i, len(want.String()), w.Len(), n)
		}
	}
}

func TestAppendValue(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0"},
		{math.Copysign(0, -1), "-0"},
		{1, "1"},
		{-3, "-3"},
		{1e6, "1000000"},
		{1.7954253455e9, "1.7954253455e+09"},
		{1 << 53, "9007199254740992"},
		{1 << 54, "1.8014398509481984e+16"},
		{0.1, "0.1"},
		{1e-9, "1e-09"},
		{math.Inf(1), "+Inf"},
		{math.Inf(-1), "-Inf"},
		{math.NaN(), "NaN"},
	} {
		if got := string(exposition.AppendValue(nil, c.v)); got != c.want {
			t.Errorf("AppendValue(%g) = %q, want %q", c.v, got, c.want)
		}
	}
}

func TestRenderLabels(t *testing.T) {
	for _, c := range []struct {
		pairs []string
		want  exposition.Labels
	}{
		{nil, ""},
		{[]string{"a", "b"}, `a="b"`},
		{[]string{"a", "", "c", "d"}, `c="d"`},
		{[]string{"a", "1", "b", "2"}, `a="1",b="2"`},
		{[]string{"a", `"`, "b", `\`, "c", "\n"}, `a="\"",b="\\",c="\n"`},
		{[]string{"a", "caf\xe9 \u00e9"}, "a=\"caf\ufffd \u00e9\""},
		{[]string{"no-label", "x", "1st", "y", "", "z", "a:b", "c"}, ""},
		{[]string{"odd"}, ""},
	} {
		if got := exposition.RenderLabels(c.pairs...); got != c.want {
			t.Errorf("RenderLabels(%q) = %s, want %s", c.pairs, got, c.want)
		}
	}
}

func TestLabelsWith(t *testing.T) {
	a, b := exposition.RenderLabels("a", "1"), exposition.RenderLabels("b", "2")
	for _, c := range []struct{ l, more, want exposition.Labels }{
		{a, b, `a="1",b="2"`}, {a, "", a}, {"", b, b}, {"", "", ""},
	} {
		if got := c.l.With(c.more); got != c.want {
			t.Errorf("%q.With(%q) = %q, want %q", c.l, c.more, got, c.want)
		}
	}
}

func TestValidNames(t *testing.T) {
	for _, c := range []struct {
		name          string
		metric, label bool
	}{
		{"", false, false},
		{"a", true, true},
		{"_a9", true, true},
		{"vllm:num_requests_running", true, false},
		{":", true, false},
		{"9a", false, false},
		{"a-b", false, false},
		{"a b", false, false},
		{"é", false, false},
		{"a\x00", false, false},
	} {
		if got := exposition.ValidMetricName(c.name); got != c.metric {
			t.Errorf("ValidMetricName(%q) = %v", c.name, got)
		}
		if got := exposition.ValidLabelName(c.name); got != c.label {
			t.Errorf("ValidLabelName(%q) = %v", c.name, got)
		}
	}
}
