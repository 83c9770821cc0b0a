package dashboards

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
)

// Names of the variables that GPUStack's dashboards and redirects use.
const (
	varDatasource = "DS_PROMETHEUS"
	varCluster    = "cluster_name"
	varWorker     = "worker_name"
	varModel      = "model_name"
	varInstance   = "model_instance_name"
)

// datasource lets a viewer choose among all Prometheus datasources, whatever their names.
func datasource() Variable {
	return Variable{Name: varDatasource, Label: "Datasource", Query: "prometheus", Datasource: true}
}

// cluster chooses one cluster. Its names also come from the workers' own samples, for a Prometheus that scrapes no server.
func cluster() Variable {
	return Variable{
		Name: varCluster, Label: "Cluster",
		Query: `label_values({__name__=~"gpustack:cluster_info|gpustack:worker_node_cpu_cores"}, cluster_name)`,
	}
}

// worker chooses workers of the cluster.
func worker() Variable {
	return Variable{
		Name: varWorker, Label: "Worker", Multi: true,
		Query: `label_values({__name__=~"gpustack:worker_info|gpustack:worker_node_cpu_cores", cluster_name="$cluster_name"}, worker_name)`,
	}
}

// model chooses one model of the cluster.
func model() Variable {
	return Variable{
		Name: varModel, Label: "Model",
		Query: `label_values({__name__=~"gpustack:model_info|gpustack:num_requests_running", cluster_name="$cluster_name"}, model_name)`,
	}
}

// instance chooses instances of the model.
func instance() Variable {
	return Variable{
		Name: varInstance, Label: "Instance", Multi: true,
		Query: `label_values({__name__=~"gpustack:model_instance_status|gpustack:num_requests_running", cluster_name="$cluster_name", model_name="$model_name"}, model_instance_name)`,
	}
}

// counting returns the matcher of the role that counts a metric of engines, for expressions that add up instances.
func counting(family string) string {
	c, ok := catalog.CountingOf(catalog.Prefix + strings.TrimPrefix(family, catalog.Prefix))
	if !ok {
		panic("dashboards: " + family + " has no counting role: add it to internal/catalog/roles.go")
	}
	return c.Matcher()
}

// streamed is the matcher of streamed answers for the time to first token, and nothing for other metrics. SGLang also measures answers that are
// not streamed, whose first token arrives with the last one. Other engines, and SGLang before 0.5.17, have no such label.
func streamed(family string) []string {
	if strings.HasPrefix(strings.TrimPrefix(family, catalog.Prefix), "time_to_first_token_seconds") {
		return []string{`is_streaming!="false"`}
	}
	return nil
}

// quantiles returns the panel of a histogram's quantiles and, beside it, the one of the share of observations above the
// highest finite bucket: where that isn't 0, the quantiles are capped and lie. Both are grouped by the given labels.
func quantiles(title, description, family, selector string, by ...string) []Panel {
	selector = strings.Join(append([]string{selector}, streamed(family)...), ", ")
	group := strings.Join(by, ", ")
	legend := legendOf(by)
	var queries []Query
	for _, percent := range []int{50, 95, 99} {
		queries = append(queries, Query{
			Expr:   fmt.Sprintf(`histogram_quantile(0.%d, sum by (le, %s) (rate(%s_bucket{%s}[$__rate_interval])))`, percent, group, family, selector),
			Legend: fmt.Sprintf("p%d %s", percent, legend),
		})
	}
	above := fmt.Sprintf(`clamp_min(1 - sum by (%[1]s) (max without (le) (rate(%[2]s_bucket{%[3]s, le!="+Inf"}[$__rate_interval]))) / sum by (%[1]s) (rate(%[2]s_count{%[3]s}[$__rate_interval]) > 0), 0)`, group, family, selector)
	return []Panel{
		{Kind: TimeSeries, Title: title, Description: description, W: 9, Unit: "s", Min: new(0.0), Queries: queries},
		{
			Kind: TimeSeries, Title: "Above top bucket", W: 3, Unit: "percentunit", Min: new(0.0), Max: new(1.0), NoLegend: true,
			Description: "Share of observations above the engine's highest finite bucket. Above 1 % the p99 on the left is capped at that bucket and too low; above 5 % the p95, too. The engine decides its buckets: look at the mean, or raise them there.",
			Thresholds:  []Threshold{{Color: "green"}, {Color: "orange", From: 0.01}, {Color: "red", From: 0.05}},
			Queries:     []Query{{Expr: above, Legend: legend}},
		},
	}
}

// legendOf writes labels as a legend.
func legendOf(labels []string) string {
	parts := make([]string, len(labels))
	for i, l := range labels {
		parts[i] = "{{" + l + "}}"
	}
	return strings.Join(parts, " ")
}

// To returns a link to another of our dashboards that keeps the time range. Values are variable names and what they are set to,
// such as "cluster_name", "${__data.fields.cluster_name}" in a table or "${__field.labels.cluster_name}" elsewhere.
func To(uid, title string, values ...string) *Link {
	var b strings.Builder
	fmt.Fprintf(&b, "/d/%s/%s?", uid, uid)
	for i := 0; i+1 < len(values); i += 2 {
		fmt.Fprintf(&b, "var-%s=%s&", url.QueryEscape(values[i]), values[i+1])
	}
	b.WriteString("${__url_time_range}")
	return &Link{Title: title, URL: b.String()}
}
