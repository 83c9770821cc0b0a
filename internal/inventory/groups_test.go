package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
)

// member is an instance with a role at a port of its worker.
func member(name string, role fleet.Role, port string) fleet.ReportedInstance {
	in := engine(name, "qwen")
	in.Role, in.URL = role, "http://127.0.0.1:"+port
	return in
}

func routerOf(name, model, upstreams string) fleet.ReportedInstance {
	in := engine(name, model)
	in.Role, in.URL, in.Upstreams, in.RuntimeVersion = fleet.RoleRouter, "http://127.0.0.1:29000", upstreams, ""
	return in
}

func groupsOf(inv *inventory.Inventory) map[string]string {
	got := make(map[string]string)
	for _, in := range inv.Snapshot().Instances {
		got[in.Name] = in.Group
	}
	return got
}

// The instances of a model that have a role are one group, across workers. Those without a role are of none.
func TestGroupIsTheModel(t *testing.T) {
	inv := newInventory(t, newMemory())
	a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
	report(t, inv, a, member("p", fleet.RolePrefill, "8000"), engine("plain", "qwen"), routerOf("r", "qwen", "127.0.0.1:8000 b.example:8000"))
	report(t, inv, b, member("d", fleet.RoleDecode, "8000"), engine("other", "llama"))
	want := map[string]string{"p": "qwen", "d": "qwen", "r": "qwen", "plain": "", "other": ""}
	if diff := cmp.Diff(want, groupsOf(inv)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Two groups of one model are told apart by the routers that name their instances, or by what the operator said.
func TestTwoGroupsOfAModel(t *testing.T) {
	for name, test := range map[string]struct {
		first, second fleet.ReportedInstance
		change        func(*fleet.ReportedInstance)
		want          map[string]string
	}{
		"routers": {
			first: routerOf("r1", "qwen", "a.example:8001 a.example:8002"), second: routerOf("r2", "qwen", "a.example:8003 a.example:8004"),
			want: map[string]string{"p1": "qwen/r1", "d1": "qwen/r1", "r1": "qwen/r1", "p2": "qwen/r2", "d2": "qwen/r2", "r2": "qwen/r2"},
		},
		"replicas of one router": {
			first: routerOf("r1", "qwen", "a.example:8001 a.example:8002 a.example:8003"), second: routerOf("r2", "qwen", "a.example:8001 a.example:8002 a.example:8004"),
			want: map[string]string{"p1": "qwen", "d1": "qwen", "r1": "qwen", "p2": "qwen", "d2": "qwen", "r2": "qwen"},
		},
		"one router has a name": {
			first: routerOf("r1", "qwen", "a.example:8001 a.example:8002"), second: routerOf("r2", "qwen", "a.example:8003 a.example:8004"),
			change: func(in *fleet.ReportedInstance) {
				if in.Name == "r1" {
					in.Group = "east"
				}
			},
			want: map[string]string{"p1": "east", "d1": "east", "r1": "east", "p2": "qwen/r2", "d2": "qwen/r2", "r2": "qwen/r2"},
		},
		"named": {
			first: routerOf("r1", "qwen", ""), second: routerOf("r2", "qwen", ""),
			change: func(in *fleet.ReportedInstance) {
				if strings.HasSuffix(in.Name, "1") {
					in.Group = "east"
				} else {
					in.Group = "west"
				}
			},
			want: map[string]string{"p1": "east", "d1": "east", "r1": "east", "p2": "west", "d2": "west", "r2": "west"},
		},
		"unknown addresses": {
			first: routerOf("r1", "qwen", "c.example:8001"), second: routerOf("r2", "qwen", "nonsense a.example:9999"),
			want: map[string]string{"p1": "qwen", "d1": "qwen", "r1": "qwen", "p2": "qwen", "d2": "qwen", "r2": "qwen"},
		},
	} {
		inv := newInventory(t, newMemory())
		a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
		all := []fleet.ReportedInstance{
			member("p1", fleet.RolePrefill, "8001"), member("d1", fleet.RoleDecode, "8002"),
			member("p2", fleet.RolePrefill, "8003"), member("d2", fleet.RoleDecode, "8004"), test.first, test.second,
		}
		for k := range all {
			if test.change != nil {
				test.change(&all[k])
			}
		}
		report(t, inv, a, all[:4]...)
		report(t, inv, b, all[4:]...)
		if diff := cmp.Diff(test.want, groupsOf(inv)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A router on another machine than its engines learns their model from the server.
func TestRouterLearnsItsModel(t *testing.T) {
	inv := newInventory(t, newMemory())
	a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
	router := routerOf("r", "", "A.example:8001 10.0.0.7:8002")
	modelOf := func() string {
		ids := report(t, inv, b, router)
		if len(ids) != 1 {
			t.Fatalf("%+v", ids)
		}
		return ids[0].Model
	}
	modelOf()
	if got := modelOf(); got != "" {
		t.Errorf("without its engines: %q", got)
	}
	elsewhere := member("d", fleet.RoleDecode, "1")
	elsewhere.URL = "http://10.0.0.7:8002"
	for name, test := range map[string]struct {
		engines []fleet.ReportedInstance
		want    string
	}{
		"on its worker":    {[]fleet.ReportedInstance{member("p", fleet.RolePrefill, "8001")}, "qwen"},
		"at its own URL":   {[]fleet.ReportedInstance{elsewhere}, "qwen"},
		"two models":       {[]fleet.ReportedInstance{elsewhere, func() fleet.ReportedInstance { in := member("p", "", "8001"); in.Model = "llama"; return in }()}, ""},
		"at another port":  {[]fleet.ReportedInstance{member("p", fleet.RolePrefill, "8009")}, ""},
		"a router of them": {[]fleet.ReportedInstance{routerOf("r2", "qwen", "")}, ""},
	} {
		report(t, inv, a, test.engines...)
		inv.Snapshot() // a report is answered from the last view
		if got := modelOf(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	// One of another cluster at the same address is another machine.
	other := registration("c")
	other.Cluster = "other"
	c := join(t, inv, other).Worker.ID
	report(t, inv, a)
	report(t, inv, c, elsewhere)
	inv.Snapshot()
	if got := modelOf(); got != "" {
		t.Errorf("engines of another cluster: %q", got)
	}
}

// Roles of a model are counted: all members, and those that run. A router doesn't describe the model.
func TestRolesAreCounted(t *testing.T) {
	inv := newInventory(t, newMemory())
	a, b := join(t, inv, registration("a")).Worker.ID, join(t, inv, registration("b")).Worker.ID
	down := member("p2", fleet.RolePrefill, "8005")
	down.State = fleet.InstanceStarting
	router := routerOf("r", "qwen", "")
	router.Runtime = "SGLang"
	report(t, inv, a, member("p1", fleet.RolePrefill, "8001"), down, member("d", fleet.RoleDecode, "8002"), engine("plain", "llama"))
	report(t, inv, b, router)
	models := inv.Snapshot().Models
	want := fleet.RoleCounts{Prefill: fleet.RoleCount{Desired: 2, Ready: 1}, Decode: fleet.RoleCount{Desired: 1, Ready: 1}, Router: fleet.RoleCount{Desired: 1, Ready: 1}}
	if models[0].Roles != want || models[0].DesiredInstances != 4 || models[0].Runtime != "vLLM" {
		t.Errorf("%+v", models[0])
	}
	if models[1].Roles != (fleet.RoleCounts{}) {
		t.Errorf("a model without roles: %+v", models[1])
	}
}

func TestReportsWithRolesAreChecked(t *testing.T) {
	inv := newInventory(t, newMemory())
	id := join(t, inv, registration("a")).Worker.ID
	for field, change := range map[string]func(*fleet.ReportedInstance){
		"role":      func(in *fleet.ReportedInstance) { in.Role = "both" },
		"group":     func(in *fleet.ReportedInstance) { in.Group = strings.Repeat("g", fleet.MaxGroup+1) },
		"upstreams": func(in *fleet.ReportedInstance) { in.Upstreams = "a:1\nb:2" },
	} {
		in := member("p", fleet.RolePrefill, "8000")
		change(&in)
		_, err := inv.Report(t.Context(), id, fleet.Report{Instances: []fleet.ReportedInstance{in}})
		wantError(t, err, fleet.ErrInvalid, "instances[0]", field)
	}
}

// What a report says of roles is stored.
func TestRolesAreStored(t *testing.T) {
	s := newMemory()
	inv := newInventory(t, s)
	id := join(t, inv, registration("a")).Worker.ID
	report(t, inv, id, member("p", fleet.RolePrefill, "8000"), routerOf("r", "qwen", "127.0.0.1:8000"))
	before := fmt.Sprint(inv.Snapshot().Instances)
	if got := fmt.Sprint(newInventory(t, s).Snapshot().Instances); got != before {
		t.Errorf("loaded %s, want %s", got, before)
	}
	changed := member("p", fleet.RoleDecode, "8000")
	report(t, inv, id, changed, routerOf("r", "qwen", "127.0.0.1:8000"))
	if got := newInventory(t, s).Snapshot().Instances[0].Role; got != fleet.RoleDecode {
		t.Errorf("stored role %q", got)
	}
}
