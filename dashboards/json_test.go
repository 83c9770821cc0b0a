package dashboards

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What Grafana 10.0 knows. A key or an id that isn't here was added later, or is misspelt: Grafana ignores both without a word.
var (
	knownPanels = map[string][]string{ // type -> options
		"stat":           {"reduceOptions", "colorMode", "graphMode", "textMode", "justifyMode", "orientation", "text"},
		"gauge":          {"reduceOptions", "showThresholdLabels", "showThresholdMarkers", "orientation", "text"},
		"bargauge":       {"reduceOptions", "displayMode", "orientation", "showUnfilled", "valueMode", "minVizHeight", "minVizWidth", "text"},
		"timeseries":     {"legend", "tooltip"},
		"state-timeline": {"showValue", "mergeValues", "alignValue", "rowHeight", "legend", "tooltip"},
		"heatmap":        {"calculate", "cellGap", "showValue", "legend", "tooltip", "color", "yAxis", "filterValues", "rowsFrame", "exemplars", "cellValues"},
		"table":          {"showHeader", "cellHeight", "sortBy", "footer", "frameIndex"},
		"text":           {"mode", "content", "code"},
		"row":            nil,
	}
	knownPanelKeys = []string{
		"id", "type", "title", "description", "gridPos", "options", "datasource", "targets", "fieldConfig", "interval", "transformations",
		"collapsed", "panels", "links", "maxDataPoints", "timeFrom", "hideTimeOverride", "transparent", "maxPerRow", "repeat", "repeatDirection",
	}
	knownTargetKeys      = []string{"refId", "expr", "legendFormat", "format", "instant", "range", "editorMode", "exemplar", "datasource", "interval"}
	knownTransformations = []string{
		"merge", "filterFieldsByName", "organize", "groupingToMatrix", "joinByField", "sortBy", "calculateField", "labelsToFields",
		"seriesToRows", "reduce", "groupBy", "renameByRegex", "convertFieldType", "filterByValue", "rowsToFields", "limit",
	}
	knownFieldKeys = []string{
		"displayName", "unit", "decimals", "min", "max", "mappings", "thresholds", "color", "links", "noValue", "custom", "filterable",
	}
	knownCustomKeys = []string{
		// timeseries and state-timeline
		"drawStyle", "lineInterpolation", "lineWidth", "lineStyle", "fillOpacity", "fillBelowTo", "gradientMode", "showPoints", "pointSize", "spanNulls", "barAlignment",
		"axisPlacement", "axisLabel", "axisWidth", "axisSoftMin", "axisSoftMax", "axisCenteredZero", "axisGridShow", "scaleDistribution", "stacking", "transform",
		"thresholdsStyle", "hideFrom",
		// table
		"align", "minWidth", "width", "cellOptions", "filterable", "inspect", "hidden",
	}
	knownUnits = []string{
		"none", "short", "string", "bool", "percent", "percentunit", "locale", "sci",
		"bytes", "decbytes", "bits", "Bps", "binBps", "bps", "cps", "ops", "reqps", "rps", "iops", "pps", "opm",
		"s", "ms", "ns", "m", "h", "d", "dtdurations", "dtdurationms", "dthms", "clocks", "dateTimeAsIso", "dateTimeAsLocal", "dateTimeFromNow",
		"watt", "kwatt", "joule", "watth", "kwatth", "celsius", "hertz", "rothz",
		"count:tok/s",
	}
)

func documents(t *testing.T) map[string]object {
	t.Helper()
	all := map[string]object{}
	for _, d := range All() {
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var doc object
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", d.UID, err)
		}
		all[d.UID] = doc
	}
	return all
}

// panelsOf returns a document's panels with those inside collapsed rows.
func panelsOf(doc object) (all []object) {
	for _, p := range doc["panels"].([]any) {
		panel := p.(object)
		all = append(all, panel)
		if inside, ok := panel["panels"].([]any); ok {
			for _, p := range inside {
				all = append(all, p.(object))
			}
		}
	}
	return all
}

func unknownKeys(o any, known []string) (unknown []string) {
	m, _ := o.(object)
	for key := range m {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	return unknown
}

func TestJSONIsGrafana10s(t *testing.T) {
	for uid, doc := range documents(t) {
		t.Run(uid, func(t *testing.T) {
			if v := doc["schemaVersion"]; v != 38.0 {
				t.Errorf("schemaVersion is %v: a later one keeps 10.0 from opening it", v)
			}
			ids := map[any]bool{}
			for _, p := range panelsOf(doc) {
				title := p["title"]
				if ids[p["id"]] || p["id"] == nil {
					t.Errorf("%q: its id %v is nothing or another panel's", title, p["id"])
				}
				ids[p["id"]] = true
				options, ok := knownPanels[p["type"].(string)]
				if !ok {
					t.Errorf("%q: 10.0 has no panel type %v", title, p["type"])
				}
				for _, key := range slices.Concat(unknownKeys(p, knownPanelKeys), unknownKeys(p["options"], options)) {
					t.Errorf("%q: 10.0 has no panel option %s", title, key)
				}
				checkFields(t, p)
				checkTargets(t, p)
			}
		})
	}
}

func checkFields(t *testing.T, p object) {
	t.Helper()
	title := p["title"]
	config, _ := p["fieldConfig"].(object)
	if config == nil {
		return
	}
	defaults := config["defaults"].(object)
	for _, key := range slices.Concat(unknownKeys(defaults, knownFieldKeys), unknownKeys(defaults["custom"], knownCustomKeys)) {
		t.Errorf("%q: 10.0 has no field option %s", title, key)
	}
	checkUnit(t, title, defaults["unit"])
	for _, o := range config["overrides"].([]any) {
		for _, property := range o.(object)["properties"].([]any) {
			property := property.(object)
			id := property["id"].(string)
			custom, isCustom := strings.CutPrefix(id, "custom.")
			if isCustom && !slices.Contains(knownCustomKeys, custom) || !isCustom && !slices.Contains(knownFieldKeys, id) {
				t.Errorf("%q: 10.0 has no field option %s", title, id)
			}
			if id == "unit" {
				checkUnit(t, title, property["value"])
			}
		}
	}
	transformations, _ := p["transformations"].([]any)
	for _, o := range transformations {
		if id := o.(object)["id"].(string); !slices.Contains(knownTransformations, id) {
			t.Errorf("%q: 10.0 has no transformation %s", title, id)
		}
	}
}

func checkUnit(t *testing.T, title, unit any) {
	t.Helper()
	if u, ok := unit.(string); ok && !slices.Contains(knownUnits, u) && !strings.HasPrefix(u, "suffix:") && !strings.HasPrefix(u, "si:") {
		t.Errorf("%q: 10.0 has no unit %q, or it isn't in this test's list", title, u)
	}
}

// Whoever imports a dashboard has a datasource of any name: everything must follow the variable.
func checkTargets(t *testing.T, p object) {
	t.Helper()
	check := func(what string, o object) {
		source, _ := o["datasource"].(object)
		if source["uid"] != "${"+varDatasource+"}" || source["type"] != "prometheus" {
			t.Errorf("%q: the datasource of %s is %v, not the variable's", p["title"], what, o["datasource"])
		}
	}
	targets, _ := p["targets"].([]any)
	if len(targets) > 0 {
		check("the panel", p)
	}
	for _, o := range targets {
		target := o.(object)
		check("query "+target["refId"].(string), target)
		for _, key := range unknownKeys(target, knownTargetKeys) {
			t.Errorf("%q: 10.0 has no query option %s", p["title"], key)
		}
	}
}

func TestVariablesFollowTheDatasource(t *testing.T) {
	for uid, doc := range documents(t) {
		for _, o := range doc["templating"].(object)["list"].([]any) {
			v := o.(object)
			if v["type"] != "query" {
				continue
			}
			if source, _ := v["datasource"].(object); source["uid"] != "${"+varDatasource+"}" {
				t.Errorf("%s: the datasource of variable %v is %v", uid, v["name"], v["datasource"])
			}
		}
	}
}
