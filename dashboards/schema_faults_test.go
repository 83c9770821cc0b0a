package dashboards

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// The check finds a fault wherever it is: an unknown field, a wrong type, a value that an enumeration doesn't have.
func TestSchemaFindsFaults(t *testing.T) {
	registerKinds()
	override := func(id string, value any) any {
		return []any{object{"matcher": object{"id": "byName", "options": "x"}, "properties": []any{object{"id": id, "value": value}}}}
	}
	for _, c := range []struct {
		panel, path string // without a panel: of the dashboard
		value       any
		want        string
	}{
		// the dashboard
		{"", "colour", "blue", "unexpected field 'colour'"},
		{"", "title", 7, "title: json: cannot unmarshal number"},
		{"", "refresh", []any{}, "refresh: json: cannot unmarshal array"},
		{"", "tags", "a", "json: cannot unmarshal string"},
		{"", "time.since", "now-1h", "unexpected field 'since'"},
		{"", "graphTooltip", 5, `GraphTooltip: "5" is none of`},
		{"", "links.0.targetBlank", "yes", "targetBlank: json: cannot unmarshal string"},
		{"", "links.0.type", "lnk", `Links[0].Type: "lnk" is none of`},
		// variables
		{"", "templating.list.1.colour", "blue", "unexpected field 'colour'"},
		{"", "templating.list.1.multi", "yes", "multi: json: cannot unmarshal string"},
		{"", "templating.list.1.type", "querry", `Type: "querry" is none of`},
		{"", "templating.list.1.refresh", 9, `Refresh: "9" is none of`},
		{"", "templating.list.1.current", object{"text": 1, "value": "a"}, "current"},
		{"", "templating.list.1.query.qry", "up", "unexpected field 'qry'"},
		{"", "templating.list.1.query.query", 5, "query.query: 5 is no string"},
		{"", "templating.list.1.query", object{"refId": "x"}, "query: lacks query"},
		{"", "templating.list.0.query", object{"query": "prometheus", "refId": "x"}, "an object, which a variable of type datasource doesn't have"},
		// panels
		{"timeseries", "type", "graphic", "no kind of panel is called graphic"},
		{"timeseries", "type", nil, "type: required field is null"},
		{"timeseries", "colour", "blue", "unexpected field 'colour'"},
		{"timeseries", "gridPos.w", "12", "gridPos.w: json: cannot unmarshal string"},
		{"timeseries", "gridPos.w", 48, "gridPos.w: must be <= 24"},
		{"timeseries", "options.colour", "blue", "unexpected field 'colour'"},
		{"timeseries", "options.legend.displayMode", "lst", `DisplayMode: "lst" is none of`},
		{"timeseries", "options.tooltip.mode", "every", `Mode: "every" is none of`},
		{"timeseries", "options.legend.calcs", "mean", "calcs: json: cannot unmarshal string"},
		{"timeseries", "fieldConfig.defaults.colour", "blue", "unexpected field 'colour'"},
		{"timeseries", "fieldConfig.defaults.min", "0", "min: json: cannot unmarshal string"},
		{"timeseries", "fieldConfig.defaults.thresholds.mode", "relative", `Thresholds.Mode: "relative" is none of`},
		{"timeseries", "fieldConfig.defaults.custom.lineWeight", 1, "unexpected field 'lineWeight'"},
		{"timeseries", "fieldConfig.defaults.custom.lineWidth", "1", "lineWidth: json: cannot unmarshal string"},
		{"timeseries", "fieldConfig.defaults.custom.drawStyle", "squiggle", `DrawStyle: "squiggle" is none of`},
		{"timeseries", "fieldConfig.defaults.custom.stacking.mode", "high", `Stacking.Mode: "high" is none of`},
		{"stat", "options.reduceOptions.reducer", "last", "unexpected field 'reducer'"},
		{"stat", "options.reduceOptions.calcs", "last", "calcs: json: cannot unmarshal string"},
		{"stat", "options.colorMode", "loud", `ColorMode: "loud" is none of`},
		{"stat", "options.wideLayout", nil, "wideLayout: required field is null"},
		{"table", "options.sortBy", []any{object{"column": "x"}}, "unexpected field 'column'"},
		{"table", "options.cellHeight", "xl", `CellHeight: "xl" is none of`},
		{"bargauge", "options.displayMode", "rainbow", `DisplayMode: "rainbow" is none of`},
		{"heatmap", "options.yAxis.unt", "s", "unexpected field 'unt'"},
		{"heatmap", "options.calculate", "no", "calculate: json: cannot unmarshal string"},
		{"state-timeline", "options.showValue", "perhaps", `ShowValue: "perhaps" is none of`},
		{"text", "options.mode", "latex", `Mode: "latex" is none of`},
		// queries
		{"timeseries", "targets.0.colour", "blue", "unexpected field 'colour'"},
		{"timeseries", "targets.0.instant", "yes", "instant: json: cannot unmarshal string"},
		{"timeseries", "targets.0.format", "timeseries", `Format: "timeseries" is none of`},
		{"timeseries", "targets.0.datasource.kind", "x", "unexpected field 'kind'"},
		{"timeseries", "datasource.type", "graphite", "queries of graphite"},
		// transformations
		{"table", "transformations.0.id", "orgnaize", `no transformation is called "orgnaize"`},
		{"table", "transformations.0.optons", object{}, "unexpected field 'optons'"},
		{"table", "transformations.0.options", object{"reducers": []any{}}, "unexpected field 'reducers'"},
		{"table", "transformations.0.options", nil, "is no object"},
		{"table", "transformations.0.filter", object{"id": "byRefID", "options": "A"}, `no matcher is called "byRefID"`},
		{"table", "transformations.1.options.include.name", "x", "unexpected field 'name'"},
		{"table", "transformations.1.options.include.names", "x", "names: x is no list"},
		{"table", "transformations.1.options.include.names", []any{1}, "names[0]: 1 is no string"},
		{"table", "transformations.2.options.renamByName", object{}, "unexpected field 'renamByName'"},
		{"table", "transformations.2.options.RenameByName", object{}, "unexpected field 'RenameByName'"},
		{"table", "transformations.2.options.renameByName.a", 1, "renameByName.a: 1 is no string"},
		{"table", "transformations.2.options.indexByName.a", "1", "indexByName.a: 1 is no number"},
		{"table", "transformations.2.options.excludeByName.a", "true", "excludeByName.a: true is no boolean"},
		{"table", "transformations", []any{object{"id": "groupingToMatrix", "options": object{"emptyValue": "nul"}}}, "emptyValue: nul is none of"},
		{"table", "transformations", []any{object{"id": "groupingToMatrix", "options": object{"rowsField": "a"}}}, "unexpected field 'rowsField'"},
		// custom fields of panels that have none
		{"bargauge", "fieldConfig.defaults.custom.zzz", 1, "unexpected field 'zzz'"},
		{"stat", "fieldConfig.defaults.custom", "zzz", "no custom fields: zzz is no object"},
		// overrides
		{"table", "fieldConfig.overrides", override("colour", "blue"), "unexpected field 'colour'"},
		{"table", "fieldConfig.overrides", override("unit", 5), "unit: json: cannot unmarshal number"},
		{"table", "fieldConfig.overrides", override("mappings", []any{object{"type": "value", "option": object{}}}), "mappings"},
		{"table", "fieldConfig.overrides", override("custom.wdth", 5), "unexpected field 'wdth'"},
		{"table", "fieldConfig.overrides", override("custom.width", "5"), "width: json: cannot unmarshal string"},
		{"table", "fieldConfig.overrides", override("custom.cellOptions", object{"type": "blink"}), "cellOptions"},
		{"table", "fieldConfig.overrides", override("custom.cellOptions", object{"type": "gauge", "mode": "loud"}), `Mode: "loud" is none of`},
		{"table", "fieldConfig.overrides", []any{object{"matcher": object{"id": "byName", "name": "x"}, "properties": []any{}}}, "unexpected field 'name'"},
		{"timeseries", "fieldConfig.overrides", []any{object{"matcher": object{"id": "byNam", "options": "x"}, "properties": []any{}}}, `no matcher is called "byNam"`},
		{"timeseries", "fieldConfig.overrides", []any{object{"matcher": object{"id": "byName", "options": object{"name": "x"}}, "properties": []any{}}}, "options: map[name:x] is no string"},
		{"timeseries", "fieldConfig.overrides", []any{object{"matcher": object{"id": "byRegexp"}, "properties": []any{}}}, "options: <nil> is no string"},
	} {
		found := schemaFaults(t, spoil(t, c.panel, c.path, c.value))
		if !slices.ContainsFunc(found, func(fault string) bool { return strings.Contains(fault, c.want) }) {
			t.Errorf("%s %s = %v: found %q, want %q", c.panel, c.path, c.value, found, c.want)
		}
	}
}

// spoil returns a dashboard in which one value is another.
func spoil(t *testing.T, panel, path string, value any) []byte {
	t.Helper()
	for _, uid := range []string{"gpustack-worker", "gpustack-model", "stackscope-engines", "stackscope-gpus", "stackscope-users", "stackscope-power"} {
		source, err := os.ReadFile("../docker-compose/grafana/grafana_dashboards/" + uid + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var doc object
		if err := json.Unmarshal(source, &doc); err != nil {
			t.Fatal(err)
		}
		within := any(doc)
		if panel != "" {
			within = firstPanel(doc["panels"], panel)
		}
		if within == nil || !put(within, strings.Split(path, "."), value) {
			continue
		}
		source, err = json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
	t.Fatalf("no dashboard has a %s with a place for %s", panel, path)
	return nil
}

// firstPanel returns a panel of the kind, from within rows too.
func firstPanel(panels any, kind string) any {
	list, _ := panels.([]any)
	for _, p := range list {
		if p.(map[string]any)["type"] == kind {
			return p
		}
		if inner := firstPanel(p.(map[string]any)["panels"], kind); inner != nil {
			return inner
		}
	}
	return nil
}

// put sets the value at a path. Of what is on the way only the last map may lack.
func put(within any, path []string, value any) bool {
	switch v := within.(type) {
	case map[string]any:
		if len(path) == 1 {
			v[path[0]] = value
			return true
		}
		if v[path[0]] == nil && len(path) == 2 {
			v[path[0]] = map[string]any{}
		}
		return put(v[path[0]], path[1:], value)
	case []any:
		i := int(path[0][0] - '0')
		return i < len(v) && len(path) > 1 && put(v[i], path[1:], value)
	}
	return false
}
