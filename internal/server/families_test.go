package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
)

// TestFamiliesOfTheEmbeddedPrometheus: what it exports about itself is what the catalog says, word for word.
func TestFamiliesOfTheEmbeddedPrometheus(t *testing.T) {
	o := options(t)
	o.DisableBuiltinObservability = false
	s := start(t, o)
	want := map[string]string{}
	for _, m := range catalog.EmbeddedPrometheus {
		want[m.WireName()] = string(m.Type) + " " + m.Help
	}
	var got map[string]string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got = map[string]string{}
		help := ""
		_, _, page := get(t, s.metricsURL()+"/metrics")
		for line := range strings.Lines(page) {
			kind, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), " ")
			name, text, _ := strings.Cut(rest, " ")
			switch {
			case !strings.HasPrefix(name, "stackscope_prometheus_") && !strings.HasPrefix(name, "stackscope_query_"):
			case kind == "HELP":
				help = text
			case kind == "TYPE":
				got[name] = text + " " + help
			}
		}
		if len(got) >= len(want) || time.Now().After(end) {
			break // those of queries come with the data
		}
	}
	for name, says := range got {
		if want[name] != says {
			t.Errorf("%s is exported as %q, the catalog says %q", name, says, want[name])
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is not exported", name)
		}
	}
}
