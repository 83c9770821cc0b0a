package dashboards

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// known is web/console/src/model/known.json: what the console's renderer knows.
type known struct {
	Kinds        []string
	Units        []string
	Colors       []string
	Overrides    []string
	Variables    []string
	Placeholders []string
}

// TestConsoleKnowsEverything fails when a dashboard uses something that the console does not draw.
func TestConsoleKnowsEverything(t *testing.T) {
	source, err := os.ReadFile("../web/console/src/model/known.json")
	if err != nil {
		t.Fatal(err)
	}
	var k known
	if err := json.Unmarshal(source, &k); err != nil {
		t.Fatal(err)
	}
	for _, d := range All() {
		for _, fault := range k.unknownIn(d.View()) {
			t.Errorf("%s: web/console does not know %s: teach it, and add it to web/console/src/model/known.json", d.UID, fault)
		}
	}
}

// TestConsoleFaultsAreFound puts in what the renderer does not know.
func TestConsoleFaultsAreFound(t *testing.T) {
	one := func(p PanelView) View {
		return View{Variables: []VariableView{{Name: "cluster_name"}}, Rows: []RowView{{Panels: []PanelView{p}}}}
	}
	for what, v := range map[string]View{
		"kind piechart":           one(PanelView{Kind: "piechart"}),
		"unit lightyears":         one(PanelView{Unit: "lightyears"}),
		"unit parsec":             one(PanelView{Columns: []ColumnView{{Unit: "parsec"}}}),
		"color beige":             one(PanelView{Thresholds: []ThresholdView{{Color: "beige"}}}),
		"color mauve":             one(PanelView{Columns: []ColumnView{{Values: []ValueView{{Color: "mauve"}}}}}),
		"override custom.axis3d":  one(PanelView{Overrides: []OverrideView{{Properties: map[string]any{"custom.axis3d": true}}}}),
		"color puce":              one(PanelView{Overrides: []OverrideView{{Properties: map[string]any{"color": object{"fixedColor": "puce"}}}}}),
		"color ochre":             one(PanelView{Overrides: []OverrideView{{Properties: map[string]any{"color": []object{{"color": "ochre"}}}}}}),
		"variable $__sunrise":     one(PanelView{Queries: []QueryView{{Expr: "up[$__sunrise]"}}}),
		"placeholder ${__value}":  one(PanelView{Links: []LinkView{{URL: "/d/x?y=${__value}"}}}),
		"placeholder ${no_such}":  one(PanelView{Links: []LinkView{{URL: "/d/x?y=${no_such}"}}}),
		"variable ${worker_name}": one(PanelView{Queries: []QueryView{{Expr: "up{worker_name=\"${worker_name}\"}"}}}),
	} {
		k := known{Kinds: []string{"", "stat"}, Units: []string{"s"}, Colors: []string{"red"}, Overrides: []string{"color"}, Variables: []string{"__range"}, Placeholders: []string{"VARIABLE"}}
		if got := k.unknownIn(v); !slices.Equal(got, []string{what}) {
			t.Errorf("want %q, got %q", what, got)
		}
	}
}

var reference = regexp.MustCompile(`\$\{[^}]*\}|\$[a-zA-Z_]\w*`)

func (k known) unknownIn(v View) []string {
	var faults []string
	check := func(list []string, what, value string) {
		if value != "" && !slices.Contains(list, value) {
			faults = append(faults, what+" "+value)
		}
	}
	variables := slices.Clone(k.Variables)
	for _, variable := range v.Variables {
		variables = append(variables, variable.Name)
	}
	expression := func(expr string) {
		for _, ref := range reference.FindAllString(expr, -1) {
			if name, _, _ := strings.Cut(strings.Trim(ref, "${}"), ":"); !slices.Contains(variables, name) {
				faults = append(faults, "variable "+ref)
			}
		}
	}
	link := func(l *LinkView) {
		if l == nil {
			return
		}
		for _, ref := range reference.FindAllString(l.URL, -1) {
			name := strings.Trim(ref, "${}")
			for _, prefix := range []string{"__data.fields.", "__field.labels."} {
				if strings.HasPrefix(name, prefix) {
					name = prefix + "NAME"
				}
			}
			if slices.ContainsFunc(v.Variables, func(v VariableView) bool { return v.Name == name }) {
				name = "VARIABLE"
			}
			if !slices.Contains(k.Placeholders, name) {
				faults = append(faults, "placeholder "+ref)
			}
		}
	}
	look := func(unit string, thresholds []ThresholdView, values []ValueView) {
		check(k.Units, "unit", unit)
		for _, t := range thresholds {
			check(k.Colors, "color", t.Color)
		}
		for _, value := range values {
			check(k.Colors, "color", value.Color)
		}
	}
	for _, a := range v.Annotations {
		expression(a.Expr)
		check(k.Colors, "color", a.Color)
	}
	for _, row := range v.Rows {
		for _, p := range row.Panels {
			check(k.Kinds, "kind", string(p.Kind))
			look(p.Unit, p.Thresholds, p.Values)
			for _, q := range p.Queries {
				expression(q.Expr)
			}
			for _, c := range p.Columns {
				look(c.Unit, c.Thresholds, c.Values)
				link(c.Link)
			}
			for _, l := range p.Links {
				link(&l)
			}
			for _, o := range p.Overrides {
				for id, value := range o.Properties {
					check(k.Overrides, "override", id)
					for _, color := range colorsIn(value) {
						check(k.Colors, "color", color)
					}
				}
			}
		}
	}
	return faults
}

// colorsIn returns the colours that an override's value names.
func colorsIn(value any) (names []string) {
	switch v := value.(type) {
	case object:
		for key, inner := range v {
			if name, ok := inner.(string); ok && (key == "color" || key == "fixedColor") {
				names = append(names, name)
				continue
			}
			names = append(names, colorsIn(inner)...)
		}
	case []object:
		for _, inner := range v {
			names = append(names, colorsIn(inner)...)
		}
	}
	return names
}
