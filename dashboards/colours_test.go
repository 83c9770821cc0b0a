package dashboards

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// coloured is what gives values colours: a panel, or a column of a table.
type coloured struct {
	where, unit string
	steps       []any // from the base on
	texts       object
}

func (c coloured) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s [%s]", c.where, c.unit)
	for i, s := range c.steps {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		step := s.(object)
		fmt.Fprintf(&b, "%s%s", sep, step["color"])
		if from, ok := step["value"].(float64); ok {
			b.WriteString(" from " + strconv.FormatFloat(from, 'f', -1, 64))
		}
	}
	var texts []string
	for value, text := range c.texts {
		if color, ok := text.(object)["color"]; ok {
			texts = append(texts, fmt.Sprintf("%s=%q %s", value, text.(object)["text"], color))
		}
	}
	slices.Sort(texts)
	if len(texts) > 0 {
		b.WriteString("; " + strings.Join(texts, ", "))
	}
	return b.String()
}

// colours lists what the dashboard colours by value, as Grafana reads it.
func colours(doc object, list []any) (all []coloured) {
	for _, p := range list {
		panel := p.(object)
		if inside, ok := panel["panels"].([]any); ok {
			all = append(all, colours(doc, inside)...)
		}
		config, ok := panel["fieldConfig"].(object)
		if !ok {
			continue
		}
		where := fmt.Sprintf("%s / %s", doc["uid"], panel["title"])
		properties := [][2]any{{where, config["defaults"]}}
		for _, o := range config["overrides"].([]any) {
			set := object{}
			for _, p := range o.(object)["properties"].([]any) {
				set[p.(object)["id"].(string)] = p.(object)["value"]
			}
			name, ok := set["displayName"]
			if !ok {
				name = o.(object)["matcher"].(object)["options"]
			}
			properties = append(properties, [2]any{fmt.Sprintf("%s / %s", where, name), set})
		}
		for _, p := range properties {
			set := p[1].(object)
			c := coloured{where: p[0].(string), unit: "none"}
			if unit, ok := set["unit"].(string); ok {
				c.unit = unit
			}
			if t, ok := set["thresholds"].(object); ok {
				c.steps = t["steps"].([]any)
			}
			if m, ok := set["mappings"].([]any); ok && len(m) > 0 {
				c.texts = m[0].(object)["options"].(object)
			}
			if len(c.steps) > 1 || len(c.texts) > 0 {
				all = append(all, c)
			}
		}
	}
	return all
}

func allColours(t *testing.T) (all []coloured) {
	t.Helper()
	docs := documents(t)
	for _, d := range All() {
		all = append(all, colours(docs[d.UID], docs[d.UID]["panels"].([]any))...)
	}
	if len(all) < 100 {
		t.Fatalf("only %d panels and columns have colours", len(all))
	}
	return all
}

// TestColours holds from which value on things are orange or red.
func TestColours(t *testing.T) {
	var lines []string
	for _, c := range allColours(t) {
		lines = append(lines, c.String()+"\n")
	}
	got := strings.Join(lines, "")
	const golden = "testdata/colours.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("colours changed; write them anew with -update where that is meant (-want +got):\n%s", diff)
	}
}

// A limit of the wrong scale is never reached, or always.
func TestColoursFitTheirUnits(t *testing.T) {
	scales := map[string][2]float64{"percent": {1, 100}, "percentunit": {0, 1.05}, "celsius": {50, 120}, "bytes": {1 << 20, 1 << 40}}
	for _, c := range allColours(t) {
		last := 0.0
		for i, s := range c.steps {
			from, ok := s.(object)["value"].(float64)
			if ok == (i == 0) {
				t.Errorf("%s: the first colour is the base, the others begin somewhere", c)
			}
			if i == 0 {
				continue
			}
			if from <= last {
				t.Errorf("%s: its limits don't rise from above 0", c)
			}
			last = from
			if scale, ok := scales[c.unit]; ok && (from < scale[0] || from > scale[1]) {
				t.Errorf("%s: %v is not of its unit's scale", c, from)
			}
		}
	}
}

// panel returns the panel of a dashboard by its title.
func panel(t *testing.T, uid, title string) Panel {
	t.Helper()
	d, _ := byUID(uid)
	for _, r := range d.Rows {
		for _, p := range r.Panels {
			if p.Title == title {
				return p
			}
		}
	}
	t.Fatalf("dashboard %q has no panel %q", uid, title)
	return Panel{}
}

// evaluated returns the values of the expression on cluster a, an hour after the first samples, by the label.
func evaluated(t *testing.T, series, expr, label string) map[string]float64 {
	t.Helper()
	expr = strings.NewReplacer("$cluster_name", "a", "$worker_name", ".*", "$__rate_interval", "5m", "$__range", "30m").Replace(expr)
	got := map[string]float64{}
	for _, row := range answer(t, series, expr, time.Unix(3600, 0)) {
		got[row.Metric.Get(label)] = row.F
	}
	return got
}

// gpuSeries loads a metric with one GPU for each value: constant, or what it grows by in a minute.
func gpuSeries(family, labels, how string, values ...float64) string {
	var b strings.Builder
	for i, v := range values {
		fmt.Fprintf(&b, "\tgpustack:%s{cluster_name=\"a\", worker_name=\"w\", gpu_index=\"%d\", gpu_chip_index=\"0\"%s} "+how+"\n", family, i, labels, v)
	}
	return b.String()
}

// TestCountsOfGPUs looks at both sides of the limits in the expressions that count GPUs or choose among them.
func TestCountsOfGPUs(t *testing.T) {
	const constant, growing = "%vx60", "0+%vx60"
	busy := "load 1m\n" + gpuSeries("worker_node_gpu_utilization_rate", "", constant, 0, 4.9, 5, 49.9, 50, 89.9, 90, 100) +
		gpuSeries("gpu_clock_deficit_ratio", `, clock="graphics"`, constant, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0) +
		gpuSeries("worker_node_gram_total_bytes", "", constant, 1, 1, 1, 1, 1, 1, 1, 1, 1)
	bands := panel(t, "gpustack-worker", "GPUs by utilization").Queries
	counts := map[string]float64{}
	for _, q := range bands {
		counts[q.Legend] = evaluated(t, busy, q.Expr, "")[""]
	}
	if diff := cmp.Diff(map[string]float64{"90 % and more": 2, "50 to 90 %": 2, "5 to 50 %": 2, "idle": 2, "not reported": 1}, counts); diff != "" {
		t.Errorf("GPUs by how busy they are (-want +got):\n%s", diff)
	}

	slow := panel(t, "stackscope-gpus", "Clock deficit while busy").Queries[0].Expr // shows none of 0 beside others
	if diff := cmp.Diff(map[string]float64{"5": 0.5, "6": 0.5}, evaluated(t, busy, slow, "gpu_index")); diff != "" {
		t.Errorf("clock deficit of GPUs above 50 %% (-want +got):\n%s", diff)
	}
	column := panel(t, "stackscope-gpus", "All GPUs, those that need action first").Queries[5].Expr
	if diff := cmp.Diff(map[string]float64{"5": 0.5, "6": 0.5, "7": 0}, evaluated(t, busy, column, "gpu_index")); diff != "" {
		t.Errorf("column Slow (-want +got):\n%s", diff)
	}

	throttled := "load 1m\n" + gpuSeries("gpu_throttled_seconds_total", `, reason="power_cap"`, growing, 0, 2.9, 3.1, 60)
	if got := evaluated(t, throttled, panel(t, "stackscope-gpus", "GPUs throttled now").Queries[0].Expr, "")[""]; got != 2 {
		t.Errorf("%v GPUs are held back for more than 5 %% of the time, want 2", got)
	}
	none := "load 1m\n" + gpuSeries("gpu_throttled_seconds_total", `, reason="power_cap"`, growing, 0, 1)
	if got, ok := evaluated(t, none, panel(t, "stackscope-gpus", "GPUs throttled now").Queries[0].Expr, "")[""]; got != 0 || !ok {
		t.Errorf("of GPUs that are hardly held back %v are counted, want 0", got)
	}

	errors := "load 1m\n" + gpuSeries("gpu_error_last_timestamp_seconds", `, kind="xid", code="79"`, constant, 3600-601, 3600-599, 3600)
	when := panel(t, "stackscope-gpus", "GPUs with an error in the last 10 minutes, over time").Queries[0].Expr
	if diff := cmp.Diff(map[string]float64{"79": 2}, evaluated(t, errors, when, "code")); diff != "" {
		t.Errorf("GPUs with an error in the last 10 minutes (-want +got):\n%s", diff)
	}

	others := "load 1m\n" + gpuSeries("worker_node_gpu_power_used_watts", "", constant, 100, 100, 100, 100) +
		gpuSeries("worker_node_gpu_utilization_rate", "", constant, 5, 6) + gpuSeries("gpu_slice_utilization_ratio", `, slice="1"`, constant, 0, 0, 0.05, 0.06)
	if diff := cmp.Diff(map[string]float64{"1": 100, "3": 100}, evaluated(t, others, wattsElsewhere(), "gpu_index")); diff != "" {
		t.Errorf("GPUs that work for nobody known (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"0": 100, "2": 100}, evaluated(t, others, wattsEmpty(), "gpu_index")); diff != "" {
		t.Errorf("GPUs that idle without an instance (-want +got):\n%s", diff)
	}
}
