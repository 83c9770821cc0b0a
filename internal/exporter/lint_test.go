package exporter

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// `promtool check metrics` has nothing to say but that names hold a colon, which the specification asks for.
func TestPageIsLinted(t *testing.T) {
	e, _ := newExporter(t, newEngine("a"))
	e.collectors = []Collector{fakeCollector{"memory", time.Millisecond, nil}}
	problems, err := promlint.New(strings.NewReader(get(t, e.Handler(), "/metrics"))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.Contains(p.Text, "':'") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if len(problems) == 0 {
		t.Error("it does not even see the colons")
	}
}
