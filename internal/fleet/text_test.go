package fleet_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/fleet"
)

func TestNamesThatShow(t *testing.T) {
	for _, name := range []string{
		"gpu-1", "GPU 1", "Qwen/Qwen3-8B", "通义千问-72B", "südhaus", "модель", "نموذج", "モデル", "🙂", "a  b", "e\u0301", `we"ird\n{},=`, "<U+200B>",
		"\U0002EBF0", "\uE000", strings.Repeat("x", fleet.MaxName),
	} {
		if fault := fleet.NameFault(name); fault != "" {
			t.Errorf("%q %s", name, fault)
		}
		if got := fleet.Visible(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
}

func TestNamesThatDoNotShow(t *testing.T) {
	for name, want := range map[string]struct{ fault, visible string }{
		"":                                   {"is empty", ""},
		" ":                                  {"is empty", "<U+0020>"},
		"\t":                                 {"is empty", "<U+0009>"},
		" a":                                 {`is " a"; a space at its beginning`, "<U+0020>a"},
		"a ":                                 {"a space at its beginning or end", "a<U+0020>"},
		"a\nb":                               {`is "a\nb"; its character 2 is U+000A, which is a control character: leave it out`, "a<U+000A>b"},
		"a\x00":                              {"U+0000, which is a control", "a<U+0000>"},
		"a\x7f":                              {"U+007F, which is a control", "a<U+007F>"},
		"a\u0085b":                           {"U+0085, which is a control", "a<U+0085>b"},
		"通义\u202e千问":                         {"its character 3 is U+202E, which is a character that turns the direction", "通义<U+202E>千问"},
		"a\u200f":                            {"U+200F, which is a character that turns", "a<U+200F>"},
		"a\u2066b":                           {"U+2066", "a<U+2066>b"},
		"a\u061c":                            {"U+061C", "a<U+061C>"},
		"qwen\u200b":                         {"character 5 is U+200B, which is an invisible character", "qwen<U+200B>"},
		"a\u200db":                           {"U+200D", "a<U+200D>b"},
		"\ufeffa":                            {"character 1 is U+FEFF", "<U+FEFF>a"},
		"so\u00adft":                         {"character 3 is U+00AD", "so<U+00AD>ft"},
		"a\ufe0f":                            {"U+FE0F, which is an invisible", "a<U+FE0F>"},
		"a\U000e0101":                        {"U+E0101", "a<U+E0101>"},
		"a\U000e0041":                        {"U+E0041", "a<U+E0041>"},
		"a\u180e":                            {"U+180E", "a<U+180E>"},
		"a\u034fb":                           {"U+034F", "a<U+034F>b"},
		"a\u3164":                            {"U+3164", "a<U+3164>"},
		"a\u115f":                            {"U+115F", "a<U+115F>"},
		"a\u2800":                            {"U+2800", "a<U+2800>"},
		"a\uffff":                            {"U+FFFF", "a<U+FFFF>"},
		"a\u2028b":                           {"U+2028, which is a separator", "a<U+2028>b"},
		"a\u2029b":                           {"U+2029, which is a separator", "a<U+2029>b"},
		"gpu\u00a01":                         {"character 4 is U+00A0, which is a space of another kind", "gpu<U+00A0>1"},
		"gpu\u30001":                         {"U+3000, which is a space of another kind", "gpu<U+3000>1"},
		"a\xffb":                             {`is "a\xffb"; it must be UTF-8`, "a<0xFF>b"},
		"a\xed\xa0\x80":                      {"UTF-8", "a<0xED><0xA0><0x80>"}, // half of a pair
		strings.Repeat("x", fleet.MaxName+1): {"is 254 bytes long; at most 253", strings.Repeat("x", fleet.MaxName+1)},
	} {
		if fault := fleet.NameFault(name); !strings.Contains(fault, want.fault) {
			t.Errorf("%q %s; want %s", name, fault, want.fault)
		}
		if got := fleet.Visible(name); got != want.visible {
			t.Errorf("%q became %q, want %q", name, got, want.visible)
		}
	}
}

// Every text that a worker gives is held to the same.
func TestAllTextsMustShow(t *testing.T) {
	flags := map[string]string{"name": "(--worker-name)", "cluster": "(--cluster)", "key": "(--worker-label)", "value": "(--worker-label)"}
	for field, change := range map[string]func(*fleet.Registration, string){
		"uuid":    func(r *fleet.Registration, s string) { r.UUID = s },
		"name":    func(r *fleet.Registration, s string) { r.Name = s },
		"cluster": func(r *fleet.Registration, s string) { r.Cluster = s },
		"version": func(r *fleet.Registration, s string) { r.Version = s },
		"key":     func(r *fleet.Registration, s string) { r.Labels = map[string]string{s: "x"} },
		"value":   func(r *fleet.Registration, s string) { r.Labels = map[string]string{"x": s} },
	} {
		r := fleet.Registration{UUID: "u", Name: "n", Address: "10.0.0.1"}
		change(&r, "a\u202eb")
		if _, err := fleet.CheckRegistration(r); !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "character 2 is U+202E") || !strings.Contains(err.Error(), flags[field]) {
			t.Errorf("%s: %v", field, err)
		}
	}
	in := fleet.ReportedInstance{Name: "n", Model: "m", State: fleet.InstanceRunning, URL: "http://a\u202eb"}
	if fault := fleet.CheckInstance(&in); fault == nil || fault.Field != "url" || !strings.Contains(fault.Detail, "is U+202E") {
		t.Errorf("url: %v", fault)
	}
}

// What a worker of an older version passes on from its engines is written out, and costs neither the instance nor the report.
func TestInstancesTextsAreWrittenOut(t *testing.T) {
	for field, at := range map[string]func(*fleet.ReportedInstance) *string{
		"name":            func(in *fleet.ReportedInstance) *string { return &in.Name },
		"model":           func(in *fleet.ReportedInstance) *string { return &in.Model },
		"runtime":         func(in *fleet.ReportedInstance) *string { return &in.Runtime },
		"runtime_version": func(in *fleet.ReportedInstance) *string { return &in.RuntimeVersion },
		"source":          func(in *fleet.ReportedInstance) *string { return &in.Source },
		"source_key":      func(in *fleet.ReportedInstance) *string { return &in.SourceKey },
		"category":        func(in *fleet.ReportedInstance) *string { return &in.Category },
	} {
		in := fleet.ReportedInstance{Name: "n", Model: "m", State: fleet.InstanceRunning}
		*at(&in) = "a\u202eb"
		if fault := fleet.CheckInstance(&in); fault != nil || *at(&in) != "a<U+202E>b" {
			t.Errorf("%s: %q, %v", field, *at(&in), fault)
		}
	}
	long := fleet.ReportedInstance{Name: "n", Model: "a" + strings.Repeat("\u00a0b", 100), State: fleet.InstanceRunning}
	if fault := fleet.CheckInstance(&long); fault != nil || len(long.Model) > fleet.MaxModelName || !strings.HasPrefix(long.Model, "a<U+00A0>b") {
		t.Errorf("%q, %v", long.Model, fault)
	}
	other := fleet.ReportedInstance{Name: "n", Model: "a" + strings.Repeat("\u00a0b", 99) + "\u00a0c", State: fleet.InstanceRunning}
	if fault := fleet.CheckInstance(&other); fault != nil || other.Model == long.Model {
		t.Errorf("two long models became one: %q, %v", other.Model, fault)
	}
}

// A message costs nobody the instance.
func TestMessagesAreMadeVisible(t *testing.T) {
	in := fleet.ReportedInstance{Name: "n", Model: "m", State: fleet.InstanceError, StateMessage: " connection\n\trefused \x1b[31m\u202e!\xff "}
	if fault := fleet.CheckInstance(&in); fault != nil || in.StateMessage != "connection refused <U+001B>[31m<U+202E>!\ufffd" {
		t.Errorf("%q, %v", in.StateMessage, fault)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", " ", "gpu-1", "a\u202eb", "通义\u200b", "\xff", "a\u00a0", "\U000e0001", "\u2800", "<U+200B>", "<0xFF>", "a\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fault, visible := fleet.NameFault(s), fleet.Visible(s)
		if !utf8.ValidString(fault) || strings.ContainsFunc(fault, unicode.IsControl) {
			t.Errorf("%q: the fault doesn't show: %q", s, fault)
		}
		if fault == "" {
			if visible != s {
				t.Errorf("%q is good and became %q", s, visible)
			}
			if strings.TrimSpace(s) != s || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
				return r != ' ' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Z, unicode.Variation_Selector, unicode.Bidi_Control)
			}) {
				t.Errorf("%q is taken", s)
			}
		}
		if again := fleet.Visible(visible); again != visible {
			t.Errorf("%q became %q and then %q", s, visible, again)
		}
		if s != "" && len(visible) <= fleet.MaxName {
			if fault := fleet.NameFault(visible); fault != "" {
				t.Errorf("%q became %q, which %s", s, visible, fault)
			}
		}
		if !strings.Contains(s, "<") {
			if back := unwritten(t, visible); back != s {
				t.Errorf("%q became %q, which is that of %q", s, visible, back)
			}
		}
	})
}

// unwritten undoes Visible.
func unwritten(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	for s != "" {
		before, rest, ok := strings.Cut(s, "<")
		b.WriteString(before)
		if !ok {
			break
		}
		code, after, _ := strings.Cut(rest, ">")
		n, err := strconv.ParseUint(code[2:], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(code, "0x") {
			b.WriteByte(byte(n))
		} else {
			b.WriteRune(rune(n))
		}
		s = after
	}
	return b.String()
}

// A name of any length becomes one that the rules allow, and no two long ones become the same.
func TestFitted(t *testing.T) {
	long := strings.Repeat("ü", 300)
	for in, want := range map[string]struct{ fitted, fault string }{
		"qwen":        {"qwen", ""},
		"":            {"", ""},
		"a b":         {"a b", ""},
		" a":          {"<U+0020>a", "a space at its beginning"},
		"q\u200b":     {"q<U+200B>", "U+200B, which is an invisible character"},
		"a\xff":       {"a<0xFF>", "it must be UTF-8"},
		long:          {"", "is 600 bytes long; at most 512 are allowed"},
		long + "x":    {"", "is 601 bytes long"},
		"\xff" + long: {"", "is 601 bytes long"},
	} {
		got, fault := fleet.Fitted(in, fleet.MaxModelName)
		if want.fitted != "" && got != want.fitted || !strings.Contains(fault, want.fault) || (fault == "") != (want.fault == "") {
			t.Errorf("%q becomes %q, %q", in, got, fault)
		}
		if len(got) > fleet.MaxModelName || fleet.TextFault(got) != "" {
			t.Errorf("%q becomes %q, which breaks the rules: %s", in, got, fleet.TextFault(got))
		}
		if again, fault := fleet.Fitted(got, fleet.MaxModelName); again != got || fault != "" {
			t.Errorf("%q becomes %q when it is fitted again", got, again)
		}
	}
	a, _ := fleet.Fitted(long+"a", fleet.MaxModelName)
	b, _ := fleet.Fitted(long+"b", fleet.MaxModelName)
	if a == b {
		t.Errorf("two names become %q", a)
	}
}
