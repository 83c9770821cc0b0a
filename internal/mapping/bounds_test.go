package mapping

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// TestDecode_UpToTheBounds is the other side of TestDecode_Bounds: what is just allowed.
func TestDecode_UpToTheBounds(t *testing.T) {
	const empty = `{"gpustack_metrics": {}, "runtime_mapping": {}}`
	families := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d": {"type": "gauge"}`, i)
		}
		return `{"gpustack_metrics": {` + b.String()[1:] + `}, "runtime_mapping": {}}`
	}
	// 13 values around the natives, each of which is a key and a target.
	values := func(n int) string {
		var b strings.Builder
		for i := range (n - 13) / 2 {
			fmt.Fprintf(&b, `,"n%d": "m"`, i)
		}
		return `{"gpustack_metrics": {"m": {"type": "gauge"}}, "runtime_mapping": {"E": {"*": {` + b.String()[1:] + `}}}}`
	}
	marks := func(n int) string { return "gpustack_metrics: {}\nruntime_mapping: {}\n" + strings.Repeat("\n", n-6) }
	for _, c := range []struct {
		name, most, more string
	}{
		{"bytes", empty + strings.Repeat(" ", MaxDocumentBytes-len(empty)), empty + strings.Repeat(" ", MaxDocumentBytes+1-len(empty))},
		{"families", families(maxFamilies), families(maxFamilies + 1)},
		{"values", values(maxNodes - 1), values(maxNodes + 1)},
		{"lines of YAML", marks(maxYAMLMarks), marks(maxYAMLMarks + 1)},
	} {
		if _, err := Decode([]byte(c.most)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := Decode([]byte(c.more)); err == nil {
			t.Errorf("%s: one more is accepted", c.name)
		}
	}
}

func TestDecode_DepthIsCounted(t *testing.T) {
	nested := func(levels int) string {
		return `{"gpustack_metrics": {}, "runtime_mapping": ` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
	}
	for _, head := range []string{"", "# YAML\n"} {
		for levels, deep := range map[int]bool{maxDepth: false, maxDepth + 1: false, maxDepth + 2: true} {
			faults := faultsOf(t, []byte(head+nested(levels)))
			if got := strings.Contains(faults[0].Detail, "nested deeper"); got != deep {
				t.Errorf("%s%d levels: %v", head, levels, faults)
			}
		}
	}
}

// Each byte that can begin a value counts, so that the YAML parser's memory is bounded whatever a document is made of.
func TestDecode_YAMLMarks(t *testing.T) {
	for _, mark := range []string{"\n", "\r", ",", "[", "{", ":", "-", "?"} {
		faults := faultsOf(t, []byte("a: b"+strings.Repeat(mark, maxYAMLMarks)))
		if !strings.Contains(faults[0].Detail, "lines and separators") {
			t.Errorf("%q: %.200s", mark, faults[0])
		}
	}
}

// A fault repeats the beginning of a long text, whole characters of it.
func TestFault_RepeatsWholeCharacters(t *testing.T) {
	long := "x" + strings.Repeat("ü", 5000)
	for _, text := range []string{
		`{"gpustack_metrics": {"` + long + `": {"type": "gauge"}}, "runtime_mapping": {}}`,
		`{"gpustack_metrics": {"m": {"type": "` + long + `"}}, "runtime_mapping": {}}`,
		`{"gpustack_metrics": {"m": {"type": "gauge"}}, "runtime_mapping": {"` + long + `": {"` + long + `": {"` + long + `": 1}}}}`,
		`{"` + long + `": 1, "gpustack_metrics": "` + long + `", "runtime_mapping": {}}`,
		"gpustack_metrics: *" + long + "\nruntime_mapping: !" + long + " {}\n",
		"gpustack_metrics: {}\nruntime_mapping: {}\n'" + long + "\n",
	} {
		for _, fault := range faultsOf(t, []byte(text)) {
			if len(fault.Pointer) > 4*clipBytes || len(fault.Detail) > 4*clipBytes {
				t.Errorf("a fault of %d and %d bytes: %.100s", len(fault.Pointer), len(fault.Detail), fault)
			}
			if s := fault.String(); !utf8.ValidString(s) || strings.Contains(s, `\x`) || strings.ContainsRune(s, utf8.RuneError) {
				t.Errorf("a part of a character is repeated: %q", s)
			}
		}
	}
}

// The nearest names are looked for so often and no more, since that is what a document can make costly.
func TestDecode_SuggestionsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("gpustack_metrics: {running: {type: gauge}}\nruntime_mapping: {Engine: {\"*\": {n: running")
	for i := range 3 * maxSuggestions {
		fmt.Fprintf(&b, ", n%d: runnng", i)
	}
	b.WriteString("}}}\n")
	var suggested []int
	for i, fault := range faultsOf(t, []byte(b.String())) {
		if strings.Contains(fault.Detail, `did you mean "running"?`) {
			suggested = append(suggested, i)
		}
	}
	if len(suggested) != maxSuggestions || suggested[maxSuggestions-1] != maxSuggestions-1 {
		t.Errorf("suggested for the faults %v, wanted are the first %d", suggested, maxSuggestions)
	}
}

// A suggestion is the nearest name: few bytes inserted, left out, replaced or swapped.
func TestSuggest(t *testing.T) {
	allowed := []string{"gpustack:num_requests_running", "gpustack:num_requests_waiting", "cached", "ca"}
	for found, want := range map[string]string{
		"gpustack:num_requests_runnng": allowed[0],
		"gpustack:num_requests_wating": allowed[1],
		"gpustack:requests_running":    allowed[0],
		"num_requests_waiting":         "",
		"cahced":                       "cached",
		"cachde":                       "cached",
		"acched":                       "cached",
		"chaced":                       "cached",
		"cachedxxx":                    "",
		"c":                            "ca",
		"ac":                           "ca",
		"":                             "ca",
		"xyz":                          "",
		strings.Repeat("c", maxSuggestionBytes+1):  "",
		"gpustack:num_requests_running_and_so_on":  "",
		"gpustack:num_requests_running_and_mor":    allowed[0],
		"gpustack:num_requests_waiting_seconds":    allowed[1],
		"gpustack:mun_requests_waitnig":            allowed[1],
		"gpustack:num_reqeusts_wiating_":           allowed[1],
		"g:num_requests_running":                   "",
		"gpustack_num_requests_running":            allowed[0],
		"gpustack:num_requests_runningg":           allowed[0],
		"gpustack:num_requests_running_total":      allowed[0],
		"gpustack:num_requests_waiting_in_a_queue": "",
	} {
		v := validator{}
		if want != "" {
			want = fmt.Sprintf("; did you mean %q?", want)
		}
		if diff := cmp.Diff(want, v.suggest(found, allowed)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", found, diff)
		}
	}
}
