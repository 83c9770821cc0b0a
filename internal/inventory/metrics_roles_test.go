package inventory_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackscope/stackscope/internal/fleet"
)

func inRole(in fleet.ReportedInstance, role fleet.Role) fleet.ReportedInstance {
	in.Role = role
	return in
}

func with(in fleet.ReportedInstance, runtime, connector string) fleet.ReportedInstance {
	in.Runtime, in.Connector = runtime, connector
	return in
}

// valuesOf returns the values of a family's samples by their labels, without those of cluster and id.
func valuesOf(page, name string) map[string]string {
	out := map[string]string{}
	ids := regexp.MustCompile(`cluster_id="[^"]*",cluster_name="[^"]*",model_id="[^"]*",`)
	for line := range strings.Lines(page) {
		if labels, ok := strings.CutPrefix(line, name+"{"); ok {
			labels, value, _ := strings.Cut(strings.TrimSpace(labels), "} ")
			out[ids.ReplaceAllString(labels, "")] = value
		}
	}
	return out
}

// TestRolesOfModels: GPUStack's metrics of models whose prefill and decode are separate instances.
func TestRolesOfModels(t *testing.T) {
	state := func(in fleet.ReportedInstance, s fleet.InstanceState) fleet.ReportedInstance { in.State = s; return in }
	for name, c := range map[string]struct {
		first, second  []fleet.ReportedInstance // of two workers
		desired, ready map[string]string
		modes          map[string]string
	}{
		"none has a role": {
			first: []fleet.ReportedInstance{engine("a", "m"), engine("b", "m")},
		},
		"over two workers, one starts and one failed": {
			first: []fleet.ReportedInstance{
				inRole(engine("p0", "m"), fleet.RolePrefill), state(inRole(engine("p1", "m"), fleet.RolePrefill), fleet.InstanceStarting), engine("other", "plain"),
			},
			second: []fleet.ReportedInstance{
				inRole(engine("d0", "m"), fleet.RoleDecode), state(inRole(engine("d1", "m"), fleet.RoleDecode), fleet.InstanceError), inRole(engine("r", "m"), fleet.RoleRouter),
			},
			desired: map[string]string{`model_name="m",role="prefill"`: "2", `model_name="m",role="decode"`: "2", `model_name="m",role="router"`: "1"},
			ready:   map[string]string{`model_name="m",role="prefill"`: "1", `model_name="m",role="decode"`: "1", `model_name="m",role="router"`: "1"},
			modes:   map[string]string{`model_name="m",mode="custom",kv_counted_role="decode"`: "1"},
		},
		"none of a role is ready": {
			first:   []fleet.ReportedInstance{state(inRole(engine("d", "m"), fleet.RoleDecode), fleet.InstanceUnreachable), inRole(engine("p", "m"), fleet.RolePrefill)},
			desired: map[string]string{`model_name="m",role="prefill"`: "1", `model_name="m",role="decode"`: "1"},
			ready:   map[string]string{`model_name="m",role="prefill"`: "1", `model_name="m",role="decode"`: "0"},
			modes:   map[string]string{`model_name="m",mode="custom",kv_counted_role="decode"`: "1"},
		},
		"two models, and one does both beside its halves": {
			first:   []fleet.ReportedInstance{inRole(engine("p", "m"), fleet.RolePrefill), engine("both", "m"), inRole(engine("q", "n"), fleet.RolePrefill)},
			desired: map[string]string{`model_name="m",role="prefill"`: "1", `model_name="n",role="prefill"`: "1"},
			ready:   map[string]string{`model_name="m",role="prefill"`: "1", `model_name="n",role="prefill"`: "1"},
			modes:   map[string]string{`model_name="m",mode="custom",kv_counted_role="decode"`: "1", `model_name="n",mode="custom",kv_counted_role="decode"`: "1"},
		},
		"the mode of vLLM with NIXL, known of one side": {
			first:   []fleet.ReportedInstance{with(inRole(engine("p", "m"), fleet.RolePrefill), "vLLM", "NixlConnector"), inRole(engine("d", "m"), fleet.RoleDecode)},
			desired: map[string]string{`model_name="m",role="prefill"`: "1", `model_name="m",role="decode"`: "1"},
			ready:   map[string]string{`model_name="m",role="prefill"`: "1", `model_name="m",role="decode"`: "1"},
			modes:   map[string]string{`model_name="m",mode="vllm-nixl",kv_counted_role="decode"`: "1"},
		},
		"the modes of SGLang, and of sides that differ": {
			first: []fleet.ReportedInstance{
				with(inRole(engine("p", "m"), fleet.RolePrefill), "SGLang", "mooncake"), with(inRole(engine("d", "m"), fleet.RoleDecode), "SGLang", "mooncake"),
				with(inRole(engine("q", "n"), fleet.RolePrefill), "SGLang", "nixl"), with(inRole(engine("e", "n"), fleet.RoleDecode), "SGLang", "mooncake"),
			},
			desired: map[string]string{`model_name="m",role="prefill"`: "1", `model_name="m",role="decode"`: "1", `model_name="n",role="prefill"`: "1", `model_name="n",role="decode"`: "1"},
			ready:   map[string]string{`model_name="m",role="prefill"`: "1", `model_name="m",role="decode"`: "1", `model_name="n",role="prefill"`: "1", `model_name="n",role="decode"`: "1"},
			modes:   map[string]string{`model_name="m",mode="sglang-mooncake",kv_counted_role="decode"`: "1", `model_name="n",mode="custom",kv_counted_role="decode"`: "1"},
		},
		"an engine named like a mode": {
			first: []fleet.ReportedInstance{
				inRole(fleet.ReportedInstance{Name: "p", Model: "m", Runtime: "pd", RuntimeVersion: "custom", State: fleet.InstanceRunning}, fleet.RolePrefill),
			},
			desired: map[string]string{`model_name="m",role="prefill"`: "1"},
			ready:   map[string]string{`model_name="m",role="prefill"`: "1"},
			modes:   map[string]string{`model_name="m",mode="custom",kv_counted_role="decode"`: "1"},
		},
		"a router before instances that do both": {
			first:   []fleet.ReportedInstance{inRole(engine("r", "m"), fleet.RoleRouter), engine("a", "m"), engine("b", "m")},
			desired: map[string]string{`model_name="m",role="router"`: "1"},
			ready:   map[string]string{`model_name="m",role="router"`: "1"},
		},
		"a router without a model": {
			first: []fleet.ReportedInstance{inRole(fleet.ReportedInstance{Name: "r", Runtime: "vLLM", State: fleet.InstanceRunning}, fleet.RoleRouter)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inv := newInventory(t, newMemory())
			a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
			report(t, inv, a, c.first...)
			report(t, inv, b, c.second...)
			page := writeMetrics(inv)
			series(t, page)
			for family, want := range map[string]map[string]string{
				"gpustack:model_role_desired_instances": c.desired, "gpustack:model_role_ready_instances": c.ready, "gpustack:pd_mode_info": c.modes,
			} {
				if diff := cmp.Diff(want, valuesOf(page, family), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s (-want +got)\n%s", family, diff)
				}
			}
			// What ends takes its samples along.
			report(t, inv, a)
			report(t, inv, b)
			if page := writeMetrics(inv); strings.Contains(page, "gpustack:model_role_") || strings.Contains(page, "gpustack:pd_mode_info") {
				t.Errorf("after all ended:\n%s", page)
			}
		})
	}
}
