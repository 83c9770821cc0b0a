package mapping

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/catalog"
)

// gateways are the runtimes of the built-in document that stand in front of engines.
var gateways = []string{"LiteLLM", "production-stack", "Envoy AI Gateway", "Higress"}

// TestDefault_KeepsGatewaysApart: a request that passes a gateway is counted by its engine too, so that nothing of a gateway's
// may become an engine's family, nor an engine's a gateway's.
func TestDefault_KeepsGatewaysApart(t *testing.T) {
	c := compileDefault(t)
	for i := range c.runtimes {
		r := &c.runtimes[i]
		gateway := slices.Contains(gateways, r.name)
		for j, natives := range candidates(c, r) {
			if natives != nil && slices.Contains(c.gateway, j) != gateway {
				t.Errorf("%s feeds %s", r.name, c.families[j].Name)
			}
		}
		plan := c.Plan(r.name, "1.0")
		want := len(catalog.Runtime)
		if gateway {
			want = len(catalog.Gateway)
		}
		if got := len(plan.Core()); got != want {
			t.Errorf("%s: %d families count for its coverage, want %d", r.name, got, want)
		}
	}
}

// TestDefault_GatewayLabels: of a gateway's labels only the declared ones go out; the others hold keys, addresses and mails.
func TestDefault_GatewayLabels(t *testing.T) {
	c := compileDefault(t)
	for _, name := range gateways {
		for native, targets := range c.Plan(name, "1.0").natives {
			for _, target := range targets {
				family := catalog.Gateway[slices.Index(c.gateway, target.Family)]
				ch := target.Change
				if ch == nil || ch.Keep == nil {
					if len(family.Labels) > 0 {
						t.Errorf("%s: %s -> %s passes all labels on", name, native, family.Name)
					}
					continue
				}
				for _, label := range ch.Keep {
					for _, r := range ch.Rename {
						if r.From == label {
							label = r.To
						}
					}
					if !slices.Contains(family.Labels, label) {
						t.Errorf("%s: %s -> %s gets the label %s, it has %s", name, native, family.Name, label, strings.Join(family.Labels, ", "))
					}
				}
				if !ch.Sum {
					t.Errorf("%s: %s -> %s leaves samples out instead of adding them up", name, native, family.Name)
				}
			}
		}
	}
}
