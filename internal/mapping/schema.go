package mapping

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"unicode"

	"github.com/stackscope/stackscope/internal/catalog"
)

// schemaID names the schema.
const schemaID = "urn:stackscope:metrics-config"

// schemaObject is a JSON Schema, or a part of one.
type schemaObject = map[string]any

func described(description string, s schemaObject) schemaObject {
	s = maps.Clone(s) // parts are shared
	s["description"] = description
	return s
}

// oneOrList is a value or a list of such values.
func oneOrList(item schemaObject) schemaObject {
	return schemaObject{"oneOf": []any{item, schemaObject{"type": "array", "items": item, "minItems": 1, "maxItems": maxTargetItems}}}
}

func reference(to string) schemaObject { return schemaObject{"$ref": "#/$defs/" + to} }

// typePattern allows the types in any letter case, in the regular expressions that every editor has.
func typePattern() string {
	var types []string
	for _, t := range []catalog.Type{catalog.Gauge, catalog.Counter, catalog.Histogram, catalog.Summary} {
		var b strings.Builder
		for _, c := range string(t) {
			fmt.Fprintf(&b, "[%c%c]", c, unicode.ToUpper(c))
		}
		types = append(types, b.String())
	}
	return "^(" + strings.Join(types, "|") + ")$"
}

// Schema returns a JSON Schema (draft 2020-12) of documents, for editors: keys, types and spellings. What it cannot say, such
// as that a target must be defined, Decode checks.
func Schema() []byte {
	labels := oneOrList(reference("label"))
	text := schemaObject{"type": "string", "maxLength": maxLabelBytes}
	labelled := func(value schemaObject) schemaObject {
		return schemaObject{"type": "object", "propertyNames": reference("label"), "additionalProperties": value, "minProperties": 1, "maxProperties": maxTargetItems}
	}
	target := schemaObject{
		"type": "object", "additionalProperties": false, "oneOf": []any{schemaObject{"required": []string{keyTo}}, schemaObject{"required": []string{keyName}}},
		"properties": schemaObject{
			keyTo:        described("The unified metric that is fed.", reference("family")),
			keyName:      described("GPUStack's spelling of "+keyTo+".", reference("family")),
			keyMatch:     described("Takes only samples whose labels have one of these values; ! before a value means any other. A label that is not there is \"\".", labelled(oneOrList(text))),
			keyAs:        described("sum and count make a counter or gauge of a histogram's _sum or _count; cumulative and gauge say that the engine's own type is wrong.", schemaObject{"enum": []string{asCumulative, asGauge, asSum, asCount}}),
			keyScale:     described("Multiplies values, bounds and sums, not counts.", schemaObject{"type": "number", "exclusiveMinimum": 0}),
			keySumOver:   described("Labels that go; samples that are then alike are added up.", labels),
			keySumBy:     described("The only labels that stay; samples that are then alike are added up.", labels),
			keyMaxOver:   described("Labels that number replicas of one quantity; of samples that are otherwise alike the largest value is taken, with the labels of the lowest replica.", labels),
			keyIgnore:    described("Values that mean that there is none.", oneOrList(schemaObject{"type": "number"})),
			keyRename:    described("New names of labels.", labelled(reference("label"))),
			keyDrop:      described("Labels that go; of samples that are then alike the first stays.", labels),
			keyKeep:      described("The only labels that stay.", labels),
			keyAdd:       described("Labels with a fixed value.", labelled(text)),
			keyValueFrom: described("Labels whose product is the value.", labels),
			keySince: described("The first version (PEP 440) for which this holds, maybe with native metrics of which one shows that an engine of unknown version has reached it.", schemaObject{"oneOf": []any{
				schemaObject{"type": "string"},
				schemaObject{"type": "object", "additionalProperties": false, "required": []string{keyVersion, keyShownBy}, "properties": schemaObject{
					keyVersion: schemaObject{"type": "string"}, keyShownBy: oneOrList(reference("family")),
				}},
			}}),
			keyUntil:    described("The first version (PEP 440) for which this no longer holds.", schemaObject{"type": "string"}),
			keyFallback: described("Used only where no native metric before it has a sample on the page.", schemaObject{"type": "boolean"}),
			keyApprox:   described("The two are close, not equal: true, or what differs.", schemaObject{"type": []string{"boolean", "string"}, "maxLength": maxApproxBytes}),
		},
	}
	one := []any{reference("family"), reference("target")}
	null := schemaObject{"type": "null"}
	// values is an object that has a constraint on the values of so many levels.
	values := func(levels int, value schemaObject) schemaObject {
		for range levels {
			value = schemaObject{"additionalProperties": value}
		}
		return value
	}
	schema := schemaObject{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schemaID, "title": "Metrics mapping",
		"type": "object", "additionalProperties": false,
		// An overlay may leave out all else, and takes built-in entries out by null.
		"if": schemaObject{"required": []string{keyExtends}},
		"else": schemaObject{
			"required":   []string{keyMetrics, keyMapping},
			"properties": schemaObject{keyMapping: values(3, schemaObject{"not": null})},
		},
		"properties": schemaObject{
			keyExtends: described("The document is an overlay: it adds to the built-in one and overrides its entries.", schemaObject{"const": ExtendsDefault}),
			keyMetrics: described("The unified metrics by name; counters are written without _total.", schemaObject{
				"type": "object", "propertyNames": reference("family"), "maxProperties": maxFamilies,
				"additionalProperties": schemaObject{
					"type": "object", "additionalProperties": false, "required": []string{keyType},
					"properties": schemaObject{
						keyType:        schemaObject{"type": "string", "pattern": typePattern()},
						keyDescription: schemaObject{"type": "string", "maxLength": maxHelpBytes},
						keyUnit:        described("Has no effect.", schemaObject{"type": "string"}),
					},
				},
			}),
			keyMapping: described("By runtime, then by version range or \"*\": native metrics and the unified ones that they feed.", schemaObject{
				"type": "object",
				"additionalProperties": schemaObject{
					"type": "object",
					"additionalProperties": schemaObject{
						"type": "object", "propertyNames": reference("family"),
						"additionalProperties": schemaObject{"oneOf": append(one, schemaObject{"type": "array", "minItems": 1, "items": schemaObject{"oneOf": one}}, null)},
					},
				},
			}),
			keyQueries: described("Of GPUStack; has no effect.", schemaObject{"type": "object"}),
			keyAliases: described("By runtime: beginnings of native names, as proxies write them, and what they stand for.", schemaObject{
				"type":                 "object",
				"additionalProperties": schemaObject{"type": "object", "propertyNames": reference("family"), "additionalProperties": reference("family"), "maxProperties": maxNameAliases},
			}),
		},
		"$defs": schemaObject{
			"family": schemaObject{"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$", "maxLength": maxNameBytes},
			"label":  schemaObject{"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$", "maxLength": maxNameBytes},
			"target": target,
		},
	}
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic("metrics mapping's schema: " + err.Error()) // it holds strings, numbers and maps
	}
	return append(data, '\n')
}
