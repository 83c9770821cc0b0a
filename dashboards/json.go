package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	// schemaVersion is Grafana 10.0's; later ones migrate.
	schemaVersion = 38
	columns       = 24

	defaultFrom    = "now-30m"
	defaultRefresh = "30s"
)

type object = map[string]any

// JSON returns the dashboard as Grafana imports and provisions it, indented, with a newline at the end.
func (d Dashboard) JSON() ([]byte, error) {
	variables := []object{}
	for _, v := range d.Variables {
		variables = append(variables, v.json())
	}
	annotations := []object{}
	for _, a := range d.Annotations {
		annotations = append(annotations, a.json())
	}
	doc := object{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{Tag},
		"schemaVersion": schemaVersion, "version": 1, "editable": true, "graphTooltip": 1, "fiscalYearStartMonth": 0,
		"time":     object{"from": or(d.From, defaultFrom), "to": "now"},
		"timezone": "", "weekStart": "", "refresh": or(d.Refresh, defaultRefresh), "timepicker": object{}, "liveNow": false,
		"templating":  object{"list": variables},
		"annotations": object{"list": annotations},
		"links": []object{{
			"type": "dashboards", "title": "stackscope", "tags": []string{Tag}, "asDropdown": true, "includeVars": true, "keepTime": true,
			"icon": "external link", "targetBlank": false, "tooltip": "", "url": "",
		}},
		"panels": d.panels(),
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return b.Bytes(), nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (d Dashboard) panels() []object {
	all := []object{}
	id, y := 0, 0
	for _, row := range d.Rows {
		heading := object{
			"type": "row", "title": row.Title, "collapsed": row.Collapsed,
			"gridPos": object{"x": 0, "y": y, "w": columns, "h": 1}, "panels": []object{},
		}
		if row.Title != "" {
			id++
			heading["id"] = id
			y++
		}
		var inside []object
		at := placer{y: y}
		for _, p := range row.Panels {
			id++
			x, line, w, h := at.place(p)
			inside = append(inside, p.json(id, object{"x": x, "y": line, "w": w, "h": h}))
		}
		y = at.end()
		if row.Title != "" {
			all = append(all, heading)
		}
		if row.Collapsed {
			heading["panels"] = inside
			continue
		}
		all = append(all, inside...)
	}
	return all
}

func (p Panel) size() (w, h int) {
	switch p.Kind {
	case Stat:
		w, h = 4, 4
	case Table:
		w, h = 24, 9
	case Text:
		w, h = 24, 3
	default:
		w, h = 12, 8
	}
	if p.W > 0 {
		w = p.W
	}
	if p.H > 0 {
		h = p.H
	}
	return w, h
}

func source() object { return object{"type": "prometheus", "uid": "${" + varDatasource + "}"} }

func (p Panel) json(id int, pos object) object {
	o := object{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.Description, "gridPos": pos,
		"options": p.options(),
	}
	if p.Kind == Text {
		return o
	}
	o["datasource"] = source()
	o["targets"] = p.targets()
	o["fieldConfig"] = object{"defaults": p.defaults(), "overrides": p.overrides()}
	if step := p.step(); step != "" {
		o["interval"] = step
	}
	if p.Kind == Table {
		o["transformations"] = p.transformations()
	}
	return o
}

func (p Panel) targets() []object {
	out := []object{}
	for i, q := range p.Queries {
		instant := p.instant(q)
		format := "time_series"
		switch p.Kind {
		case Table:
			format = "table"
		case Heatmap:
			format = "heatmap"
		}
		out = append(out, object{
			"refId": refID(i), "expr": q.Expr, "legendFormat": or(q.Legend, "__auto"), "format": format,
			"instant": instant, "range": !instant, "editorMode": "code", "exemplar": false, "datasource": source(),
		})
	}
	return out
}

func refID(i int) string { return string(rune('A' + i)) }

func (p Panel) defaults() object {
	d := object{
		"mappings": mappings(p.Values), "thresholds": thresholds(p.Thresholds),
		"color": object{"mode": p.colorMode()}, "custom": p.custom(),
	}
	set(d, "unit", p.Unit)
	set(d, "noValue", p.NoValue)
	if p.Decimals != nil {
		d["decimals"] = *p.Decimals
	}
	if p.Min != nil {
		d["min"] = *p.Min
	}
	if p.Max != nil {
		d["max"] = *p.Max
	}
	if len(p.Links) > 0 {
		d["links"] = links(p.Links...)
	}
	return d
}

func set(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}

func (p Panel) colorMode() string {
	switch {
	case p.Kind == TimeSeries || (p.Kind == StateTimeline && len(p.Thresholds) == 0):
		return "palette-classic" // by thresholds, a state timeline would show ranges instead of the values' texts
	default:
		return "thresholds"
	}
}

func (p Panel) custom() object {
	switch p.Kind {
	case TimeSeries:
		stacking, fill, lines := "none", 8, "off"
		if p.Stacked {
			stacking, fill = "normal", 40
		}
		if len(p.Thresholds) > 1 {
			lines = "dashed"
		}
		return object{
			"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": fill, "gradientMode": "none",
			"showPoints": "never", "pointSize": 4, "spanNulls": false, "axisPlacement": "auto", "axisLabel": "",
			"scaleDistribution": object{"type": "linear"}, "stacking": object{"mode": stacking, "group": "A"},
			"thresholdsStyle": object{"mode": lines},
		}
	case StateTimeline:
		return object{"lineWidth": 0, "fillOpacity": 80, "spanNulls": false}
	case Table:
		return object{"align": "auto", "minWidth": 50, "cellOptions": object{"type": "auto"}, "filterable": false, "inspect": false}
	default:
		return object{}
	}
}

func mappings(values []Value) []object {
	out := []object{}
	if len(values) == 0 {
		return out
	}
	options := object{}
	for i, v := range values {
		o := object{"text": v.Text, "index": i}
		set(o, "color", v.Color)
		options[fmt.Sprint(v.Value)] = o
	}
	return append(out, object{"type": "value", "options": options})
}

func thresholds(list []Threshold) object {
	steps := []object{}
	for i, t := range list {
		var from any
		if i > 0 {
			from = t.From
		}
		steps = append(steps, object{"color": t.Color, "value": from})
	}
	if len(steps) == 0 {
		steps = append(steps, object{"color": "blue", "value": nil})
	}
	return object{"mode": "absolute", "steps": steps}
}

func links(list ...Link) []object {
	out := []object{}
	for _, l := range list {
		out = append(out, object{"title": l.Title, "url": l.URL, "targetBlank": false})
	}
	return out
}

func (p Panel) options() object {
	reduce := object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}
	tooltip := object{"mode": "multi", "sort": "desc"}
	switch p.Kind {
	case Stat:
		color, graph := "value", "none"
		if p.Background {
			color = "background"
		}
		if p.Sparkline {
			graph = "area"
		}
		return object{"reduceOptions": reduce, "colorMode": color, "graphMode": graph, "textMode": "auto", "justifyMode": "auto", "orientation": "auto"}
	case BarGauge:
		o := object{"reduceOptions": reduce, "displayMode": "gradient", "orientation": "horizontal", "showUnfilled": true, "valueMode": "color", "minVizHeight": 10, "minVizWidth": 0}
		if p.H > 0 && p.H <= 3 {
			o["text"] = object{"valueSize": 20} // what Grafana chooses for so low a bar is too small to read
		}
		return o
	case TimeSeries:
		return object{
			"legend":  object{"showLegend": !p.NoLegend, "displayMode": "list", "placement": "bottom", "calcs": []string{}},
			"tooltip": tooltip,
		}
	case StateTimeline:
		return object{
			"showValue": "auto", "mergeValues": true, "alignValue": "left", "rowHeight": 0.9,
			"legend": object{"showLegend": !p.NoLegend, "displayMode": "list", "placement": "bottom", "calcs": []string{}}, "tooltip": tooltip,
		}
	case Heatmap:
		return object{
			"calculate": false, "cellGap": 1, "showValue": "never", "legend": object{"show": true}, "tooltip": object{"show": true, "yHistogram": false},
			"color":        object{"mode": "scheme", "scheme": "Blues", "exponent": 0.5, "fill": "dark-blue", "steps": 64, "reverse": false},
			"yAxis":        object{"axisPlacement": "left", "reverse": false, "unit": p.Unit},
			"filterValues": object{"le": 1e-9}, "rowsFrame": object{"layout": "auto"}, "exemplars": object{"color": "rgba(255,0,255,0.7)"},
		}
	case Table:
		sort := []object{}
		switch {
		case p.Matrix != nil:
			sort = append(sort, object{"displayName": p.Matrix.Title, "desc": false})
		case p.SortBy != "":
			sort = append(sort, object{"displayName": p.SortBy, "desc": true})
		}
		return object{"frameIndex": 0, "showHeader": true, "cellHeight": "sm", "sortBy": sort, "footer": object{"show": false, "reducer": []string{"sum"}, "countRows": false, "fields": ""}}
	default:
		return object{"mode": "markdown", "content": p.Markdown}
	}
}

// leastStep keeps Grafana from asking for a point every 5 s, which nobody sees and a hundred workers take long to answer.
const leastStep = "15s"

// step is the smallest step of a panel that asks for more than the newest value.
func (p Panel) step() string {
	if p.Interval == "" && (p.Kind == TimeSeries || p.Kind == Heatmap || p.Kind == StateTimeline || p.Sparkline) {
		return leastStep
	}
	return p.Interval
}

// field returns the name of a column's field after the merge of all queries.
func (p Panel) field(c Column) string {
	switch {
	case c.Label != "":
		return c.Label
	case len(p.Queries) == 1:
		return "Value"
	default:
		return "Value #" + refID(c.Query-1)
	}
}

func (p Panel) transformations() []object {
	if m := p.Matrix; m != nil {
		return []object{{"id": "groupingToMatrix", "options": object{"columnField": m.Across, "rowField": m.Down, "valueField": "Value", "emptyValue": "null"}}}
	}
	names, order := []string{}, object{}
	for i, c := range p.Columns {
		names = append(names, p.field(c))
		order[p.field(c)] = i
	}
	return []object{
		{"id": "merge", "options": object{}},
		{"id": "filterFieldsByName", "options": object{"include": object{"names": names}}},
		{"id": "organize", "options": object{"excludeByName": object{}, "indexByName": order, "renameByName": object{}}},
	}
}

func (p Panel) overrides() []object {
	out := []object{}
	if m := p.Matrix; m != nil {
		out = append(out, object{"matcher": object{"id": "byName", "options": m.Down + `\` + m.Across}, "properties": []object{
			property("displayName", m.Title), property("custom.width", m.Width),
		}})
	}
	for _, c := range p.Columns {
		properties := []object{property("displayName", c.Title)}
		if p.NoValue != "" {
			properties = append(properties, property("noValue", "-")) // the panel's own is for a table without rows
		}
		if c.Unit != "" {
			properties = append(properties, property("unit", c.Unit))
		}
		if c.Decimals != nil {
			properties = append(properties, property("decimals", *c.Decimals))
		}
		if len(c.Values) > 0 {
			properties = append(properties, property("mappings", mappings(c.Values)))
		}
		if c.Width > 0 {
			properties = append(properties, property("custom.width", c.Width))
		}
		if len(c.Thresholds) > 0 {
			properties = append(properties, property("thresholds", thresholds(c.Thresholds)))
		}
		switch {
		case c.Bar:
			properties = append(properties, property("custom.cellOptions", object{"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
				property("min", 0), property("max", c.Max))
		case c.Background:
			properties = append(properties, property("custom.cellOptions", object{"type": "color-background", "mode": "basic"}))
		case len(c.Thresholds) > 0 || len(c.Values) > 0:
			properties = append(properties, property("custom.cellOptions", object{"type": "color-text"}))
		}
		if c.Hidden {
			properties = append(properties, property("custom.hidden", true))
		}
		if c.Link != nil {
			properties = append(properties, property("links", links(*c.Link)))
		}
		out = append(out, object{"matcher": object{"id": "byName", "options": p.field(c)}, "properties": properties})
	}
	for _, o := range p.Overrides {
		var properties []object
		for id, value := range o.Properties {
			properties = append(properties, property(id, value))
		}
		slices.SortFunc(properties, func(a, b object) int { return bytes.Compare([]byte(a["id"].(string)), []byte(b["id"].(string))) })
		out = append(out, object{"matcher": object{"id": "byRegexp", "options": o.Matching}, "properties": properties})
	}
	return out
}

func property(id string, value any) object { return object{"id": id, "value": value} }

func (v Variable) json() object {
	o := object{"name": v.Name, "label": or(v.Label, v.Name), "hide": 0, "skipUrlSync": false, "multi": v.Multi, "includeAll": v.Multi || v.All, "current": object{}, "options": []any{}}
	if v.Hidden {
		o["hide"] = 2
	}
	switch {
	case v.Datasource:
		o["type"], o["query"], o["regex"], o["refresh"] = "datasource", v.Query, "", 1
		return o
	case v.Text != "":
		o["type"], o["query"] = "textbox", v.Text
		o["current"] = object{"text": v.Text, "value": v.Text, "selected": true}
		o["options"] = []object{{"text": v.Text, "value": v.Text, "selected": true}}
		return o
	case len(v.Custom) > 0:
		options := []object{}
		for i, c := range v.Custom {
			options = append(options, object{"text": c, "value": c, "selected": i == 0 && !v.Multi})
		}
		o["type"], o["query"], o["options"] = "custom", strings.Join(v.Custom, ","), options
		o["current"] = object{"text": v.Custom[0], "value": v.Custom[0], "selected": true}
		v.all(o)
		return o
	}
	o["type"], o["datasource"], o["definition"], o["regex"] = "query", source(), v.Query, ""
	o["query"] = object{"query": v.Query, "refId": "StandardVariableQuery"}
	o["refresh"], o["sort"] = 2, 1
	v.all(o)
	return o
}

// all makes All the choice to begin with, where it can be chosen.
func (v Variable) all(o object) {
	if v.Multi || v.All {
		o["allValue"] = ".*"
		o["current"] = object{"text": "All", "value": "$__all", "selected": true}
	}
}
