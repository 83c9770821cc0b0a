package grafana

import (
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// kind says how a Grafana failed, as the label reason does.
type kind int

const (
	kindStart        kind = iota // it never answered
	kindExit                     // it ended by itself
	kindUnresponsive             // it stopped answering and was ended
	kinds
)

func (k kind) String() string { return [kinds]string{"start", "exit", "unresponsive"}[k] }

// WriteMetrics writes the metrics of the supervisor. There are none while Grafana is not installed.
func (g *Grafana) WriteMetrics(w *exposition.Writer) {
	phase := g.Status().Phase
	g.mu.Lock()
	starts, failures, duration := g.starts, g.failures, g.startDuration
	g.mu.Unlock()
	if phase == PhaseAbsent && starts == 0 {
		return
	}
	if phase != PhaseAbsent {
		up := 0.0
		if phase == PhaseRunning {
			up = 1
		}
		family(w, catalog.GrafanaUp)
		w.Sample(catalog.GrafanaUp.WireName(), up)
	}
	family(w, catalog.GrafanaStarts)
	w.Sample(catalog.GrafanaStarts.WireName(), float64(starts))
	family(w, catalog.GrafanaFailures)
	for k, n := range failures {
		w.Sample(catalog.GrafanaFailures.WireName(), float64(n), exposition.RenderLabels("reason", kind(k).String()))
	}
	if duration > 0 {
		family(w, catalog.GrafanaStartDuration)
		w.Sample(catalog.GrafanaStartDuration.WireName(), duration.Seconds())
	}
}

func family(w *exposition.Writer, m catalog.Metric) {
	w.Family(m.WireName(), string(m.Type), m.Help)
}
