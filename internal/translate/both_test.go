package translate_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stackscope/stackscope/internal/translate"
)

// Values of the flag -templates.
const (
	templatesBoth = "both"
	templatesOn   = "on"
	templatesOff  = "off"
)

var templates = flag.String("templates", templatesBoth, "run the tests with page templates (on), without (off), or one after the other (both)")

// TestMain runs all tests twice: first without the fast path, then with it. Fuzzing and benchmarks run with it alone.
func TestMain(m *testing.M) {
	flag.Parse()
	ways := []string{templatesOff, templatesOn}
	switch {
	case *templates != templatesBoth:
		ways = []string{*templates}
	case isSet("test.fuzz"), isSet("test.bench"), isSet("test.list"):
		ways = []string{templatesOn}
	}
	for _, way := range ways {
		translate.SetPageTemplates(way == templatesOn)
		fmt.Println("page templates:", way)
		if code := m.Run(); code != 0 {
			os.Exit(code)
		}
	}
}

func isSet(name string) bool { return flag.Lookup(name).Value.String() != "" }
