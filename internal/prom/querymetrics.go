package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stackscope/stackscope/internal/prom/budget"
)

// budgetMetrics exports the state of the query budget.
type budgetMetrics struct {
	limit   int64
	pools   []*budget.Pool
	answers *budget.Account

	limitBytes, reserved, running, waiting, refused *prometheus.Desc
}

func newBudgetMetrics(limit int64, pools []*budget.Pool, answers *budget.Account) *budgetMetrics {
	class := []string{"class"}
	return &budgetMetrics{
		limit: limit, pools: pools, answers: answers,
		limitBytes: prometheus.NewDesc("stackscope_query_memory_limit_bytes", "Memory that all queries together may hold: a quarter of what this process may use.", nil, nil),
		reserved:   prometheus.NewDesc("stackscope_query_memory_reserved_bytes", "Memory that is reserved for queries that run, and for answers that are being read.", class, nil),
		running:    prometheus.NewDesc("stackscope_query_running", "Queries that hold memory.", class, nil),
		waiting:    prometheus.NewDesc("stackscope_query_waiting", "Queries that wait for memory.", class, nil),
		refused:    prometheus.NewDesc("stackscope_query_refused_total", "Queries that were answered with 503, by reason: queue (the queue was full), timeout (no memory became free in time).", []string{"class", "reason"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *budgetMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.limitBytes, m.reserved, m.running, m.waiting, m.refused} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *budgetMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(m.limitBytes, float64(m.limit))
	gauge(m.reserved, float64(m.answers.Held()), "answers")
	for _, p := range m.pools {
		name, s := p.Class().Name, p.State()
		gauge(m.reserved, float64(s.Held), name)
		gauge(m.running, float64(s.Taken), name)
		gauge(m.waiting, float64(s.Waiting), name)
		for reason, n := range s.Refused {
			ch <- prometheus.MustNewConstMetric(m.refused, prometheus.CounterValue, float64(n), name, string(reason))
		}
	}
}
