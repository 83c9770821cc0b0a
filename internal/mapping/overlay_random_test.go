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
		effective := doc.Effective()
		names := map[string]bool{}
		for _, f := range effective.families {
			names[withoutTotal(f.name)] = true
		}
		for _, f := range builtin.families {
			if !names[withoutTotal(f.name)] {
				t.Fatalf("%s is lost under\n%s", f.name, text)
			}
		}
		for _, runtime := range builtin.runtimes {
			for _, built := range runtime.ranges {
				var got *rangeMapping
				for _, other := range effective.runtimes {
					for i := range other.ranges {
						if other.name == runtime.name && other.ranges[i].any == built.any && other.ranges[i].versions.text == built.versions.text {
							got = &other.ranges[i]
						}
					}
				}
				if got == nil {
					t.Fatalf("%s %q is lost under\n%s", runtime.name, built.versions.text, text)
				}
				rest := slices.DeleteFunc(slices.Clone(got.entries), func(e entry) bool {
					return !slices.ContainsFunc(built.entries, func(b entry) bool { return b.native == e.native }) || named[runtime.name+" "+built.versions.text+" "+e.native]
				})
				want := slices.DeleteFunc(slices.Clone(built.entries), func(e entry) bool { return named[runtime.name+" "+built.versions.text+" "+e.native] })
				if !slices.EqualFunc(want, rest, func(a, b entry) bool { return a.native == b.native && len(a.targets) == len(b.targets) }) {
					t.Fatalf("%s %q has %d entries of the built-in document, want %d, under\n%s", runtime.name, built.versions.text, len(rest), len(want), text)
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
			metrics[withoutTotal(f.name)] = map[string]any{"type": string(f.typ), "description": "Mine."}
		}
	}
	for i := range r.IntN(4) {
		metrics[fmt.Sprintf("acme:m%d", i)] = map[string]any{"type": "gauge"}
	}
	mapping := map[string]any{}
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
				named[runtime.name+" "+built.versions.text+" "+e.native] = true
			}
			name := built.versions.text
			if built.any {
				name = anyVersion
			}
			ranges[" "+name] = entries
			if built.any {
				delete(ranges, " "+name)
				ranges[name] = entries
			}
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
