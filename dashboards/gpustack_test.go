package dashboards

import (
	"bufio"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/stackscope/stackscope/internal/catalog"
)

// asked is a metric that GPUStack's dashboards query, with the labels that they use of it.
type asked struct {
	dashboard, metric string
	labels            []string
}

func gpustackAsks(t *testing.T) (all []asked) {
	t.Helper()
	file, err := os.Open("testdata/gpustack_expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for s := bufio.NewScanner(file); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		all = append(all, asked{fields[0], fields[1], fields[2:]})
	}
	if len(all) < 50 {
		t.Fatalf("only %d lines could be read", len(all))
	}
	return all
}

// engineLabels are those that engines give their samples; the mapping keeps them.
var engineLabels = []string{"finished_reason", "is_streaming"}

// labelsOf returns the labels that samples of this name have: those of their source, those of the family, and le of buckets.
func labelsOf(metric string) (names []string, ok bool) {
	worker := []string{catalog.LabelClusterID, catalog.LabelClusterName, catalog.LabelWorkerID, catalog.LabelWorkerName}
	instance := append(slices.Clone(worker), catalog.LabelModelID, catalog.LabelModelName, catalog.LabelModelInstanceID, catalog.LabelModelInstanceName, catalog.LabelRuntime, catalog.LabelRole)
	for _, section := range []struct {
		families []catalog.Metric
		identity []string
	}{
		{catalog.Runtime, slices.Concat(instance, engineLabels)},
		{catalog.Instance, instance},
		{catalog.WorkerOwn, instance},
		{catalog.WorkerNode, worker},
		{catalog.GPU, worker},
		{catalog.RuntimeExtra, slices.Concat(instance, engineLabels)},
		{gpustackOwn, nil},
		{catalog.Server, nil},
	} {
		for _, m := range section.families {
			switch {
			case m.Type != catalog.Histogram && metric == m.WireName(), metric == m.Name+"_sum", metric == m.Name+"_count":
				return slices.Concat(section.identity, m.Labels), true
			case m.Type == catalog.Histogram && metric == m.Name+"_bucket":
				return slices.Concat(section.identity, m.Labels, []string{"le"}), true
			}
		}
	}
	return nil, false
}

// Dashboards that were made for GPUStack find every metric and label.
func TestGPUStackExpressionsFindTheirMetrics(t *testing.T) {
	for _, a := range gpustackAsks(t) {
		have, ok := labelsOf(a.metric)
		if foreignFamily.MatchString(a.metric) {
			continue
		}
		if !ok {
			t.Errorf("%s asks for %s, which the catalog doesn't have", a.dashboard, a.metric)
			continue
		}
		for _, l := range a.labels {
			if !slices.Contains(have, l) {
				t.Errorf("%s uses the label %s of %s, which has %v", a.dashboard, l, a.metric, have)
			}
		}
	}
}

var metricName = regexp.MustCompile(`(gpustack:|lmcache_mp_)\w+`)

// Our dashboards of the same uid answer what GPUStack's did.
func TestGPUStackQuestionsAreAnswered(t *testing.T) {
	for _, a := range gpustackAsks(t) {
		if a.dashboard == "gpustack-model" && a.metric == "gpustack:worker_info" {
			continue // it only tells which clusters have workers, to offer those; ours are offered by their workers' own samples, too
		}
		d, ok := byUID(a.dashboard)
		if !ok {
			t.Fatalf("there is no dashboard %s", a.dashboard)
		}
		var text strings.Builder
		for _, v := range d.Variables {
			text.WriteString(v.Query + "\n")
		}
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				for _, q := range p.Queries {
					text.WriteString(q.Expr + "\n")
				}
			}
		}
		if !slices.Contains(metricName.FindAllString(text.String(), -1), a.metric) {
			t.Errorf("GPUStack's %s shows %s, ours doesn't", a.dashboard, a.metric)
		}
	}
}

func TestGPUStackNames(t *testing.T) {
	type variable struct {
		Name       string
		Multi, All bool
	}
	for _, want := range []struct {
		uid, title string
		variables  []variable
	}{
		{"gpustack-worker", "GPUStack Worker", []variable{{"DS_PROMETHEUS", false, false}, {"cluster_name", false, false}, {"worker_name", true, true}}},
		{"gpustack-model", "GPUStack Model", []variable{{"DS_PROMETHEUS", false, false}, {"cluster_name", false, false}, {"model_name", false, false}, {"model_instance_name", true, true}}},
		{"gpustack-pd", "GPUStack PD Disaggregated Model", []variable{{"DS_PROMETHEUS", false, false}, {"cluster_name", false, false}, {"model_name", false, false}, {"counted_role", false, false}, {"role", true, true}}},
		{"gpustack-cache-service", "GPUStack Cache Service", []variable{{"DS_PROMETHEUS", false, false}, {"cluster_name", false, false}, {"cache_service_name", false, false}, {"worker_name", true, true}, {"attached_models", true, true}}},
	} {
		d, ok := byUID(want.uid)
		if !ok || d.Title != want.title {
			t.Errorf("%s: got the title %q, want %q", want.uid, d.Title, want.title)
		}
		var got []variable
		for _, v := range d.Variables {
			got = append(got, variable{v.Name, v.Multi, v.Multi || v.All})
		}
		if diff := cmp.Diff(want.variables, got); diff != "" {
			t.Errorf("%s: variables (-want +got):\n%s", want.uid, diff)
		}
	}
}

// The redirects set nothing but variables that are there, and end in the path that GPUStack's do.
func TestGPUStackRedirectsArrive(t *testing.T) {
	for _, link := range []string{
		"/d/gpustack-worker/gpustack-worker?var-cluster_name=a+b",
		"/d/gpustack-worker/gpustack-worker?var-cluster_name=a+b&var-worker_name=w",
		"/d/gpustack-model/gpustack-model?var-cluster_name=a+b&var-model_name=m",
		"/d/gpustack-model/gpustack-model?var-cluster_name=a+b&var-model_name=m&var-model_instance_name=m-0",
		"/d/gpustack-pd/gpustack-pd?var-cluster_name=a+b&var-model_name=m&var-counted_role=decode",
		"/d/gpustack-cache-service/gpustack-cache-service?var-cluster_name=a+b&var-cache_service_name=c",
	} {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		path := strings.Split(u.Path, "/")
		d, ok := byUID(path[2])
		if !ok {
			t.Errorf("%s leads nowhere", link)
			continue
		}
		// Grafana replaces a last part that is not the title's.
		if slug := strings.ToLower(strings.ReplaceAll(d.Title, " ", "-")); slug != path[3] && path[3] != "gpustack-pd" {
			t.Errorf("%s: Grafana would call %q %s", link, d.Title, slug)
		}
		for name := range u.Query() {
			if !d.declares(strings.TrimPrefix(name, "var-")) {
				t.Errorf("%s sets %s, which %s doesn't have", link, name, d.UID)
			}
		}
	}
}

// Selectors and groupings of the two dashboards use labels that the metric has: a misspelt one would match nothing, or all.
func TestGPUStackDashboardsUseKnownLabels(t *testing.T) {
	checked := 0
	for _, e := range expressions(t) {
		if !strings.HasPrefix(e.dashboard.UID, "gpustack-") {
			continue
		}
		e.selectors(func(s *parser.VectorSelector, name string, path []parser.Node) {
			have, ok := labelsOf(name)
			if !ok {
				return
			}
			for _, m := range s.LabelMatchers {
				if m.Name != prommodel.MetricNameLabel && !slices.Contains(have, m.Name) {
					e.errorf(t, "%s is selected by the label %s, which it doesn't have", name, m.Name)
				}
			}
			if a := nearestAggregate(path); a != nil {
				for _, l := range a.Grouping {
					if !slices.Contains(have, l) && (!a.Without || !slices.Contains(engineLabels, l)) {
						e.errorf(t, "%s is grouped by the label %s, which it doesn't have", name, l)
					}
				}
			}
			checked++
		})
	}
	if checked < 200 {
		t.Errorf("only %d selectors were looked at", checked)
	}
}

// A panel of several instances or GPUs keeps them apart and few enough to tell from each other.
func TestGPUStackPanelsStayReadable(t *testing.T) {
	for _, e := range expressions(t) {
		if !strings.HasPrefix(e.dashboard.UID, "gpustack-") || e.panel.Kind != TimeSeries || e.panel.Title == "Above top bucket" {
			continue
		}
		a, ok := e.root.(*parser.AggregateExpr)
		for _, l := range []string{varInstance, varWorker} {
			if ok && slices.Contains(a.Grouping, l) {
				e.errorf(t, "it draws a line for each %s, however many there are: keep the top ones", l)
			}
		}
	}
}
