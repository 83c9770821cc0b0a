package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/demo"
)

// The flag takes the scenarios that there are, names each in its help, and begins with the default.
func TestScenarios(t *testing.T) {
	f, _ := reflect.TypeFor[demoCmd]().FieldByName("Scenario")
	if want, got := strings.Join(demo.Scenarios(), ","), f.Tag.Get("enum"); got != want {
		t.Errorf("--scenario takes %s, there are %s", got, want)
	}
	if want, got := demo.DefaultOptions().Scenario, f.Tag.Get("default"); got != want {
		t.Errorf("the default of --scenario is %s, that of the demo %s", got, want)
	}
	for _, name := range demo.Scenarios() {
		if !strings.Contains(f.Tag.Get("help"), name+" (") {
			t.Errorf("the help of --scenario does not explain %s: %s", name, f.Tag.Get("help"))
		}
	}
}
