package mapping

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestOverlay_KeepsWhatItDoesNotName writes overlays at random and looks for every built-in entry that they do not name.
func TestOverlay_KeepsWhatItDoesNotName(t *testing.T) {
	builtin := Default()
	r := rand.New(rand.NewPCG(17, 4))
	for range 20 {
		named := map[string]bool{}
		text := randomOverlay(r, builtin, named)
		doc, err := Decode(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		roundTrip(t, doc)
		roundTrip(t, doc.Effective())
		again := mustDecode(t, string(mustJSON(t, doc.Effective())))
		if again.Extends() != "" || !again.root.equal(doc.Effective().root) {
			t.Fatalf("the effective document is read as another one under\n%s", text)
		}
		lost := func(of, place string, got *node) {
			t.Helper()
			if got == nil || got.json() != of {
				t.Fatalf("%s is not what it was under\n%s", place, text)
			}
		}
		root, base := doc.Effective().root, builtin.root
		for _, m := range base.get(keyMetrics).members {
			if !named[m.key.text] {
				lost(m.value.json(), m.key.text, root.get(keyMetrics).get(m.key.text))
			}
		}
		lost(base.get(keyAliases).json(), keyAliases, root.get(keyAliases))
		for _, runtime := range base.get(keyMapping).members {
			got := root.get(keyMapping).get(runtime.key.text)
			for _, versions := range runtime.value.members {
				at := 0 // entries keep their order
				entries := got.get(versions.key.text)
				for _, m := range versions.value.members {
					if named[runtime.key.text+" "+versions.key.text+" "+withoutTotal(m.key.text)] {
						continue
					}
					place := runtime.key.text + " " + versions.key.text + " " + m.key.text
					lost(m.value.json(), place, entries.get(m.key.text))
					next := slices.IndexFunc(entries.members, func(e member) bool { return e.key.text == m.key.text })
					if next < at {
						t.Fatalf("%s has another place under\n%s", place, text)
					}
					at = next
				}
			}
		}
	}
}

// randomOverlay returns an overlay and notes which built-in entries it names.
func randomOverlay(r *rand.Rand, builtin *Document, named map[string]bool) []byte {
	flip := func(name string) string {
		if r.IntN(2) == 0 {
			return name
		}
		return withoutTotal(name) + totalSuffix
	}
	metrics := map[string]any{}
	for _, f := range builtin.families {
		if r.IntN(8) == 0 {
			named[f.name] = true
			metrics[flip(f.name)] = map[string]any{"type": string(f.typ), "description": "Mine."}
		}
	}
	for i := range r.IntN(4) {
		metrics[fmt.Sprintf("acme:m%d", i)] = map[string]any{"type": "gauge"}
	}
	mapping := map[string]any{}
	spaced := func(text string) string { return " " + text + " " }
	for _, runtime := range builtin.runtimes {
		if r.IntN(3) == 0 {
			continue
		}
		ranges := map[string]any{">=99": map[string]any{"acme:n": builtin.families[r.IntN(len(builtin.families))].name}}
		for _, built := range runtime.ranges {
			entries := map[string]any{"acme:new": "gpustack:num_requests_running"}
			for _, e := range built.entries {
				switch r.IntN(6) {
				case 0:
					entries[flip(e.native)] = nil
				case 1:
					entries[flip(e.native)] = []string{e.targets[0].family}
				default:
					continue
				}
				named[runtime.name+" "+nameOf(built)+" "+e.native] = true
			}
			ranges[spaced(nameOf(built))] = entries
		}
		name := runtime.name
		if r.IntN(2) == 0 {
			name = strings.ToUpper(name)
		}
		mapping[name] = ranges
	}
	text, err := json.Marshal(map[string]any{keyExtends: ExtendsDefault, keyMetrics: metrics, keyMapping: mapping})
	if err != nil {
		panic(err)
	}
	return text
}

func nameOf(r rangeMapping) string {
	if r.any {
		return anyVersion
	}
	return r.versions.text
}
