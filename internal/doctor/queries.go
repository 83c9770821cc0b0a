package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/dashboards"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Names of queries.
const (
	queryClock      = "clock"       // the clock of the Prometheus
	queryStored     = "stored"      // when the newest sample of each worker and each instance was taken
	queryEver       = "ever"        // the same within the last day, where few workers are asked about
	queryZero       = "zero"        // what is 0 and ought to be 1
	queryOne        = "one"         // what is 1 and ought to be 0
	queryCounted    = "counted"     // what was left out since the worker was started
	queryLeftOut    = "left_out"    // new series that were left out in the last hour
	queryDropped    = "dropped"     // samples that were dropped in the last hour
	queryRestarts   = "restarts"    // of engines in the last hour, where there were many
	queryServerInfo = "server_info" // whether the server is scraped
	queryServer     = "server"      // what the server refused in the last minutes
	queryHead       = "head"        // series in memory, and how many there may be
	queryMetric     = "metric"      // the metric that was asked for
	queryRenamed    = "renamed"     // names of models in the last day
	queryVariable   = "variable"    // and the variable's name: what the dashboards list
)

// A query is dear with a selection over a day, so it is only made for few workers.
const fewWorkers = 16

// manyRestarts is how many restarts within an hour are no longer told of as planned ones.
const manyRestarts = 3

// recently is how long ago something may have been refused to be told.
const recently = 10 * time.Minute

// expressions returns the queries for an examination of these workers; nil: of all.
func expressions(workers []int64, metric string) map[string]string {
	only := ""
	if len(workers) > 0 && len(workers) <= fewWorkers {
		ids := make([]string, len(workers))
		for i, id := range workers {
			ids[i] = strconv.FormatInt(id, 10)
		}
		only = `, worker_id=~"` + strings.Join(ids, "|") + `"`
	}
	named := func(metrics ...catalog.Metric) string {
		names := make([]string, len(metrics))
		for i, m := range metrics {
			names[i] = m.WireName()
		}
		return `{__name__=~"` + strings.Join(names, "|") + `"` + only + `}`
	}
	present := named(catalog.RuntimeScrapeSuccess, catalog.WorkerNodeUptime)
	// An instance that shares its page with others has no runtime_scrape_success of its own, so what every instance has is asked for, too.
	each := catalog.InstanceTransitions.WireName() + `{from="starting", to="running"` + only + `}`
	const hour = "[1h]"
	restarted := catalog.InstanceTransitions.WireName() + `{reason="restarted"` + only + `}` + hour
	out := map[string]string{
		queryClock:      "time()",
		queryServerInfo: "count(" + catalog.Cluster.WireName() + ")",
		queryStored:     "timestamp(" + present + ") or timestamp(" + each + ")",
		queryZero:       named(catalog.RuntimeScrapeSuccess, catalog.CollectorSuccess, catalog.GPUDriverResponsive) + " == 0",
		queryOne:        named(catalog.InstanceNoMetrics, catalog.InstanceStalled, catalog.MissingAccess) + " == 1",
		queryCounted:    named(catalog.DiscoverySkipped, catalog.UnreportedInstances) + " > 0",
		queryLeftOut:    "sum by (worker_id, model_instance_id, metric) (increase(" + named(catalog.RuntimeNewLeftOut) + hour + ")) > 0",
		queryDropped:    "sum by (worker_id, model_instance_id, reason) (increase(" + named(catalog.RuntimeDropped) + hour + ")) > 0",
	}
	out[queryRestarts] = fmt.Sprintf("sum by (worker_id, model_instance_id) (increase(%s)) >= %d", restarted, manyRestarts)
	for name, expr := range variableQueries() {
		out[queryVariable+name] = expr
	}
	if only != "" {
		out[queryEver] = "max_over_time(timestamp(" + present + ")[1d:1m]) or max_over_time(timestamp(" + each + ")[1d:1m])"
		out[queryRenamed] = "group by (worker_id, model_instance_id, model_name) (last_over_time(" + named(catalog.RuntimeScrapeSuccess) + "[1d:1m]))"
	}
	if metric != "" {
		out[queryMetric] = fmt.Sprintf(`count by (worker_id, model_instance_id, role) ({__name__=~"%s(_count)?"%s})`, metric, only)
	}
	var terms []string
	for _, m := range []string{catalog.WrongTokens.WireName(), catalog.ConnectionsClosed.WireName(), samplesRefused, scrapesNotStored} {
		terms = append(terms, fmt.Sprintf(`label_replace(increase(%s[%s]) > 0, "what", "%s", "", "")`, m, promDuration(recently), m))
	}
	out[queryServer] = strings.Join(terms, " or ")
	out[queryHead] = `{__name__=~"` + headSeries + "|" + maxSeries + `"}`
	return out
}

// Metrics of the embedded Prometheus.
const (
	samplesRefused   = "stackscope_prometheus_samples_refused_total"
	scrapesNotStored = "stackscope_prometheus_scrapes_not_stored_total"
	maxSeries        = "stackscope_prometheus_max_series"
	headSeries       = "prometheus_tsdb_head_series"
)

func promDuration(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) + "s" }

// variable is a variable of dashboards that chooses a cluster, a worker, a model or an instance.
type variable struct {
	name      string // and label
	selector  string // without what other variables choose
	by        []string
	dashboard string // title of the first one that has it
}

// shownBy are the dashboards whose variables are looked at: those of workers and of models.
var shownBy = []string{"gpustack-worker", "gpustack-model"}

// variables reads them from the dashboards, once.
var variables = sync.OnceValue(func() (out []variable) {
	for _, d := range dashboards.All() {
		if !slices.Contains(shownBy, d.UID) {
			continue
		}
		for _, v := range d.Variables {
			inside, ok := strings.CutPrefix(v.Query, "label_values(")
			if !ok || slices.ContainsFunc(out, func(known variable) bool { return known.name == v.Name }) {
				continue
			}
			at := strings.LastIndex(inside, ",")
			w := variable{name: v.Name, by: []string{v.Name}, dashboard: d.Title}
			w.selector = inside[:at]
			for _, other := range []string{"cluster_name", "model_name", "worker_name"} {
				chosen := other + `="$` + other + `"`
				if strings.Contains(w.selector, chosen) {
					w.by = append(w.by, other)
					w.selector = strings.Replace(strings.Replace(w.selector, ", "+chosen, "", 1), chosen, "", 1)
				}
			}
			out = append(out, w)
		}
	}
	return out
})

// variableQueries are what the variables list, with what they depend on.
func variableQueries() map[string]string {
	out := make(map[string]string)
	for _, v := range variables() {
		if strings.Contains(v.selector, "$") {
			continue
		}
		out[v.name] = "group by (" + strings.Join(v.by, ", ") + ") (" + v.selector + ")"
	}
	return out
}

// valuesOf returns what the variables must list for a way.
func valuesOf(s *fleet.Snapshot, w *way) map[string]string {
	out := map[string]string{"cluster_name": clusterName(s, w.worker.ClusterID), "worker_name": w.worker.Name}
	if in := w.instance; in != nil {
		delete(out, "worker_name")
		if in.ModelID != 0 {
			out["model_name"], out["model_instance_name"] = modelName(s, in.ModelID), in.Name
		}
	}
	return out
}
