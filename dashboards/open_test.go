package dashboards

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// What the SDK leaves open has its shape here, as Grafana 10.0 reads it.
var (
	transformationOptions = map[string]shape{
		"merge":              fields{}.check,
		"filterFieldsByName": fields{"include": fieldNames.check, "exclude": fieldNames.check}.check,
		"organize":           fields{"excludeByName": each(isBool), "indexByName": each(isNumber), "renameByName": each(isString)}.check,
		"groupingToMatrix":   fields{"columnField": isString, "rowField": isString, "valueField": isString, "emptyValue": oneOf("true", "false", "null", "empty")}.check,
	}
	fieldNames     = fields{"names": listOf(isString), "pattern": isString}
	matcherOptions = map[string]shape{"byName": isString, "byRegexp": isString}
	variableQuery  = fields{"query": isString, "refId": isString}
)

// openFields are the fields without a type in which openFaults, openPanelFaults and propertyFaults look.
var openFields = []string{
	"dashboard.DataTransformerConfig.Options", "dashboard.MatcherConfig.Options", "dashboard.StringOrMap.Map",
	"dashboard.FieldConfig.Custom", "dashboard.DynamicConfigValue.Value",
}

// shape returns what is wrong with a value.
type shape func(where string, value any) []string

// fields are those that an object may have.
type fields map[string]shape

func (f fields) check(where string, value any) (faults []string) {
	given, ok := value.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %v is no object", where, value)}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if check, ok := f[name]; ok {
			faults = append(faults, check(where+"."+name, given[name])...)
		} else {
			faults = append(faults, fmt.Sprintf("%s: unexpected field '%s'", where, name))
		}
	}
	return faults
}

// each holds all values of an object, whose names are free.
func each(check shape) shape {
	return func(where string, value any) []string {
		given, _ := value.(map[string]any)
		f := fields{}
		for name := range given {
			f[name] = check
		}
		return f.check(where, value)
	}
}

func listOf(check shape) shape {
	return func(where string, value any) (faults []string) {
		list, ok := value.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s: %v is no list", where, value)}
		}
		for i, one := range list {
			faults = append(faults, check(fmt.Sprintf("%s[%d]", where, i), one)...)
		}
		return faults
	}
}

func isString(where string, value any) []string { return is[string](where, value, "string") }
func isNumber(where string, value any) []string { return is[float64](where, value, "number") }
func isBool(where string, value any) []string   { return is[bool](where, value, "boolean") }

func is[T any](where string, value any, kind string) []string {
	if _, ok := value.(T); !ok {
		return []string{fmt.Sprintf("%s: %v is no %s", where, value, kind)}
	}
	return nil
}

func oneOf(values ...string) shape {
	return func(where string, value any) []string {
		if s, ok := value.(string); !ok || !slices.Contains(values, s) {
			return []string{fmt.Sprintf("%s: %v is none of %q", where, value, values)}
		}
		return nil
	}
}

// openFaults looks into the open fields of a dashboard's variables.
func openFaults(doc object) (faults []string) {
	eachMap(doc["templating"].(map[string]any)["list"], func(variable map[string]any) {
		where := fmt.Sprintf("variable %v: query", variable["name"])
		query, isObject := variable["query"].(map[string]any)
		switch {
		case isObject && variable["type"] == "query":
			faults = append(faults, variableQuery.check(where, query)...)
			for name := range variableQuery {
				if query[name] == nil {
					faults = append(faults, where+": lacks "+name)
				}
			}
		case isObject:
			faults = append(faults, fmt.Sprintf("%s: an object, which a variable of type %v doesn't have", where, variable["type"]))
		}
	})
	return faults
}

// openPanelFaults looks into the open fields of a panel.
func openPanelFaults(where string, panel map[string]any, hasCustom bool) (faults []string) {
	matcher := func(where string, m map[string]any) {
		id, _ := m["id"].(string)
		if check, ok := matcherOptions[id]; ok {
			faults = append(faults, check(where+".options", m["options"])...)
		} else {
			faults = append(faults, fmt.Sprintf("%s: no matcher is called %q, or its options are not known here", where, id))
		}
	}
	i := 0
	eachMap(panel["transformations"], func(transformation map[string]any) {
		at := fmt.Sprintf("%stransformations[%d]", where, i)
		i++
		id, _ := transformation["id"].(string)
		if check, ok := transformationOptions[id]; ok {
			faults = append(faults, check(at+".options", transformation["options"])...)
		} else {
			faults = append(faults, fmt.Sprintf("%s: no transformation is called %q, or its options are not known here", at, id))
		}
		if filter, ok := transformation["filter"].(map[string]any); ok {
			matcher(at+".filter", filter)
		}
	})
	config, _ := panel["fieldConfig"].(map[string]any)
	i = 0
	eachMap(config["overrides"], func(override map[string]any) {
		m, _ := override["matcher"].(map[string]any)
		matcher(fmt.Sprintf("%soverrides[%d].matcher", where, i), m)
		i++
	})
	defaults, _ := config["defaults"].(map[string]any)
	if custom, ok := defaults["custom"]; ok && !hasCustom {
		faults = append(faults, fields{}.check(where+"panels of this kind have no custom fields", custom)...)
	}
	return faults
}

// unseen returns the fields below v that have a value but no type, and that nothing here looks into.
func unseen(where string, v reflect.Value) (faults []string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return unseen(where, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || v.Field(i).IsZero() {
				continue
			}
			name := v.Type().String() + "." + field.Name
			if ours := strings.HasPrefix(name, "dashboards."); !ours && isOpen(v.Field(i)) {
				if !slices.Contains(openFields, name) {
					faults = append(faults, fmt.Sprintf("%s: the SDK leaves %s open, and no test looks into it", where, name))
				}
				continue
			}
			faults = append(faults, unseen(where+"."+field.Name, v.Field(i))...)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			faults = append(faults, unseen(fmt.Sprintf("%s[%d]", where, i), v.Index(i))...)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			faults = append(faults, unseen(where+"."+key.String(), v.MapIndex(key))...)
		}
	}
	return faults
}

// isOpen reports whether a field holds JSON as it came.
func isOpen(v reflect.Value) bool {
	if v.Type() == reflect.TypeFor[map[string]any]() {
		return true
	}
	if v.Type() != reflect.TypeFor[any]() {
		return false
	}
	kind := v.Elem()
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return kind.Type().PkgPath() == "" // no type of the SDK's
}
