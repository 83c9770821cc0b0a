package dashboards

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/text"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// The JSON is held against Grafana's schema, as its Foundation SDK has it: field by field, types and enumerations. What the SDK
// leaves open is held against the shapes in open_test.go.
func TestSchema(t *testing.T) {
	files, err := filepath.Glob("../docker-compose/grafana/grafana_dashboards/*.json")
	if err != nil || len(files) != len(All()) {
		t.Fatalf("%d files of %d dashboards: %v", len(files), len(All()), err)
	}
	registerKinds()
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range schemaFaults(t, source) {
			t.Errorf("%s: %s", filepath.Base(file), fault)
		}
	}
}

// registerKinds tells the SDK of the kinds of panels that we have. It knows more, and each takes a while to compile.
func registerKinds() {
	runtime := cog.NewRuntime()
	for _, kind := range []variants.PanelcfgConfig{
		bargauge.VariantConfig(), heatmap.VariantConfig(), stat.VariantConfig(), statetimeline.VariantConfig(), table.VariantConfig(),
		text.VariantConfig(), timeseries.VariantConfig(),
	} {
		runtime.RegisterPanelcfgVariant(kind)
	}
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
}

// laterOptions are options that the SDK insists on and that a dashboard for 10.0 can't have: Grafana gives those that it has
// their defaults. They are put in before the SDK sees a panel without them.
var laterOptions = map[string]object{
	"stat": {"percentChangeColorMode": "standard", "showPercentChange": false, "wideLayout": true},
	"bargauge": {
		"legend":       object{"calcs": []any{}, "displayMode": "list", "placement": "bottom", "showLegend": false},
		"maxVizHeight": 300, "namePlacement": "auto", "sizing": "auto",
	},
}

// modernize makes of a dashboard for 10.0 one for the SDK's version, in the few places where Grafana does that itself.
func modernize(doc object) {
	eachMap(doc["templating"].(map[string]any)["list"], func(variable map[string]any) {
		if current, ok := variable["current"].(map[string]any); ok && len(current) == 0 {
			delete(variable, "current") // {} and nothing are the same: no value yet
		}
	})
	eachPanelOf(doc, func(panel map[string]any) {
		kind, _ := panel["type"].(string)
		completeLinks(panel["fieldConfig"])
		options, ok := panel["options"].(map[string]any)
		if !ok {
			return
		}
		for name, value := range laterOptions[kind] {
			if _, ok := options[name]; !ok {
				options[name] = value
			}
		}
		if tooltip, ok := options["tooltip"].(map[string]any); ok && kind == "heatmap" && tooltip["show"] == true && tooltip["mode"] == nil {
			delete(tooltip, "show") // until 10.2
			tooltip["mode"] = "single"
		}
	})
}

// completeLinks gives the links of fields what the SDK wants of them: it takes them for links of a dashboard, which have more.
func completeLinks(fieldConfig any) {
	complete := func(link map[string]any) {
		maps.Copy(link, object{"type": "link", "icon": "", "tooltip": "", "tags": []any{}, "asDropdown": false, "includeVars": false, "keepTime": false})
	}
	config, _ := fieldConfig.(map[string]any)
	defaults, _ := config["defaults"].(map[string]any)
	eachMap(defaults["links"], complete)
	eachMap(config["overrides"], func(override map[string]any) {
		eachMap(override["properties"], func(property map[string]any) {
			if property["id"] == "links" {
				eachMap(property["value"], complete)
			}
		})
	})
}

func eachMap(list any, f func(map[string]any)) {
	all, _ := list.([]any)
	for _, one := range all {
		if m, ok := one.(map[string]any); ok {
			f(m)
		}
	}
}

// eachPanelOf calls f with every panel, those in rows too.
func eachPanelOf(doc map[string]any, f func(panel map[string]any)) {
	eachMap(doc["panels"], func(panel map[string]any) {
		f(panel)
		eachPanelOf(panel, f)
	})
}

// strict is what the SDK decodes into without passing anything over. It only finds faults: what it leaves out of the value even
// where there are none, the lenient decoding puts there.
type strict interface{ UnmarshalJSONStrict(raw []byte) error }

// schemaFaults returns what is wrong with a dashboard.
func schemaFaults(t *testing.T, source []byte) (faults []string) {
	t.Helper()
	var doc object
	if err := json.Unmarshal(source, &doc); err != nil {
		t.Fatal(err)
	}
	modernize(doc)
	var d dashboard.Dashboard //nolint:staticcheck // its successor is a format that 10.0 doesn't read
	faults = decodeFaults(t, "", doc, &d)
	for _, err := range list(d.Validate()) {
		faults = append(faults, err.Error())
	}
	faults = append(faults, openFaults(doc)...)
	eachPanelOf(doc, func(panel map[string]any) { faults = append(faults, panelFaults(t, panel)...) })
	return faults
}

func decodeFaults(t *testing.T, where string, value any, into strict) (faults []string) {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range list(into.UnmarshalJSONStrict(raw)) {
		faults = append(faults, where+err.Error())
	}
	if len(faults) > 0 {
		return faults
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return append(faults, where+err.Error())
	}
	return slices.Concat(faults, enumFaults(t, where, reflect.ValueOf(into)), unseen(where, reflect.ValueOf(into)))
}

// panelFaults looks at what the SDK takes as it is: kinds that it doesn't know, queries of other datasources, and what is in
// fieldConfig.
func panelFaults(t *testing.T, panel map[string]any) (faults []string) {
	t.Helper()
	kind, _ := panel["type"].(string)
	if kind == "row" {
		return nil
	}
	where := fmt.Sprintf("%v: ", panel["title"])
	variant, ok := cog.ConfigForPanelcfgVariant(kind)
	if !ok {
		return []string{where + "no kind of panel is called " + kind}
	}
	source, _ := panel["datasource"].(map[string]any)
	if queries, ok := panel["targets"].([]any); ok && len(queries) > 0 && source["type"] != "prometheus" {
		faults = append(faults, fmt.Sprintf("%squeries of %v", where, source["type"]))
	}
	faults = append(faults, openPanelFaults(where, panel, variant.StrictFieldConfigUnmarshaler != nil)...)
	if panel["fieldConfig"] == nil {
		return faults
	}
	var fields dashboard.FieldConfigSource
	faults = append(faults, decodeFaults(t, where, panel["fieldConfig"], &fields)...)
	for i, override := range fields.Overrides {
		for _, property := range override.Properties {
			faults = append(faults, propertyFaults(t, fmt.Sprintf("%soverrides[%d].%s: ", where, i, property.Id), variant, property)...)
		}
	}
	return faults
}

// propertyFaults decodes an override's property as the field that it stands for.
func propertyFaults(t *testing.T, where string, variant variants.PanelcfgConfig, property dashboard.DynamicConfigValue) []string {
	t.Helper()
	name, custom := strings.CutPrefix(property.Id, "custom.")
	field := object{name: property.Value}
	if !custom {
		return decodeFaults(t, where, field, new(dashboard.FieldConfig))
	}
	if variant.StrictFieldConfigUnmarshaler == nil {
		return []string{where + "panels of this kind have no custom fields"}
	}
	return decodeFaults(t, where, field, &customField{variant: variant, name: name})
}

// customField is one of a kind's custom fields; the others need not be there.
type customField struct {
	variant variants.PanelcfgConfig
	name    string

	Value any
}

// UnmarshalJSONStrict implements strict.
func (c *customField) UnmarshalJSONStrict(raw []byte) error {
	_, err := c.variant.StrictFieldConfigUnmarshaler(raw)
	return errors.Join(slices.DeleteFunc(list(err), func(err error) bool {
		fault, ok := errors.AsType[*cog.BuildError](err)
		return ok && fault.Message == missing && !strings.HasPrefix(fault.Path, c.name+".")
	})...)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *customField) UnmarshalJSON(raw []byte) error {
	all, err := c.variant.FieldConfigUnmarshaler(raw)
	if err != nil {
		return err
	}
	v := reflect.Indirect(reflect.ValueOf(all))
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name == c.name {
			c.Value = v.Field(i).Interface()
		}
	}
	return nil
}

const missing = "required field is missing from input"

// list takes apart what the SDK returns.
func list(err error) (all []error) {
	if faults, ok := errors.AsType[cog.BuildErrors](err); ok { // sometimes an empty one
		for _, fault := range faults {
			all = append(all, fault)
		}
		return all
	}
	if err != nil {
		all = append(all, err)
	}
	return all
}
