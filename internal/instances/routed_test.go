package instances

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
)

// foundAt is an engine that was found as a process on a port.
func foundAt(port, model string, role fleet.Role) discovery.Found {
	f := at(len(port)+int(port[len(port)-1]), model)
	f.Key, f.URL, f.Role = "process:"+port, "http://127.0.0.1:"+port, role
	return f
}

func router(upstreams string) discovery.Found {
	f := foundAt("29000", "", fleet.RoleRouter)
	f.Upstreams = upstreams
	return f
}

func reportedBy(m *Manager, name string) fleet.ReportedInstance {
	for _, in := range m.Reported() {
		if in.Name == name {
			return in
		}
	}
	return fleet.ReportedInstance{}
}

// A router has the model of the engines that it passes requests to, and none while none of them is known.
func TestRouterHasTheModelOfItsEngines(t *testing.T) {
	inContainer := foundAt("8003", "qwen", fleet.RoleDecode)
	inContainer.Key, inContainer.URL = "docker:decode-0:8000", "http://172.17.0.5:8000"
	for name, test := range map[string]struct {
		upstreams string
		engines   []discovery.Found
		want      string
	}{
		"on this machine":         {"127.0.0.1:8001 127.0.0.1:8002", []discovery.Found{foundAt("8001", "qwen", "prefill"), foundAt("8002", "qwen", "decode")}, "qwen"},
		"by other names of it":    {"localhost:8001 n1:8002", []discovery.Found{foundAt("8001", "qwen", "prefill"), foundAt("8002", "qwen", "decode")}, "qwen"},
		"every address":           {"0.0.0.0:8001", []discovery.Found{foundAt("8001", "qwen", "")}, "qwen"},
		"some are elsewhere":      {"10.9.9.9:8001 127.0.0.1:8002", []discovery.Found{foundAt("8002", "qwen", "decode")}, "qwen"},
		"container's name":        {"decode-0:8000", []discovery.Found{inContainer}, "qwen"},
		"container's address":     {"172.17.0.5:8000", []discovery.Found{inContainer}, "qwen"},
		"two models":              {"127.0.0.1:8001 127.0.0.1:8002", []discovery.Found{foundAt("8001", "qwen", ""), foundAt("8002", "llama", "")}, ""},
		"others than its engines": {"127.0.0.1:8001", []discovery.Found{foundAt("8002", "llama", "")}, ""},
		"same port elsewhere":     {"10.9.9.9:8002", []discovery.Found{foundAt("8002", "llama", "")}, ""},
		"none named":              {"", []discovery.Found{foundAt("8001", "qwen", "prefill")}, ""},
	} {
		m := newManager(t, t.TempDir())
		m.meets(t, append(test.engines, router(test.upstreams))...)
		got := reportedBy(m, "vllm-router-n1-29000")
		if got.Model != test.want || got.Role != fleet.RoleRouter || got.Upstreams != test.upstreams {
			t.Errorf("%s: %+v, want model %q", name, got, test.want)
		}
	}
}

// A router that was found before its engines gets their model when they are, and keeps it when they end.
func TestRouterBeforeItsEngines(t *testing.T) {
	m := newManager(t, t.TempDir())
	r, e := router("127.0.0.1:8001"), foundAt("8001", "qwen", "prefill")
	m.meets(t, r)
	if got := reportedBy(m, "vllm-router-n1-29000"); got.Model != "" || got.Name == "" {
		t.Errorf("alone: %+v", got)
	}
	m.meets(t, r, e)
	if got := reportedBy(m, "vllm-router-n1-29000"); got.Model != "qwen" {
		t.Errorf("with its engine: %+v", got)
	}
	m.meets(t, r)
	m.meets(t, r)
	if got := reportedBy(m, "vllm-router-n1-29000"); got.Model != "qwen" {
		t.Errorf("without it: %+v", got)
	}
}

// The server knows engines on other machines.
func TestRouterOfEnginesElsewhere(t *testing.T) {
	m := newManager(t, t.TempDir())
	r := router("10.9.9.9:8001")
	m.meets(t, r)
	m.SetRoutedModel("vllm-router-n1-29000", "qwen")
	m.SetRoutedModel("another", "llama")
	m.meets(t, r)
	if got := reportedBy(m, "vllm-router-n1-29000"); got.Model != "qwen" {
		t.Errorf("%+v", got)
	}
	// What this worker sees itself comes first.
	r.Upstreams = "10.9.9.9:8001 127.0.0.1:8002"
	m.meets(t, r, foundAt("8002", "llama", "decode"))
	if got := reportedBy(m, "vllm-router-n1-29000"); got.Model != "llama" {
		t.Errorf("%+v", got)
	}
}

// Of routers that are not there any more a bounded number is remembered, and none is in the way of a new one.
func TestRoutersThatComeAndGo(t *testing.T) {
	m := newManager(t, t.TempDir())
	m.max = 8
	r := router("10.9.9.9:8001")
	m.meets(t, r)
	m.SetRoutedModel("vllm-router-n1-29000", "qwen")
	for i := range 100 {
		m.SetRoutedModel(fmt.Sprintf("gone-%d", i), "llama")
	}
	if len(m.routed) > m.max {
		t.Errorf("%d routers are remembered", len(m.routed))
	}
	m.SetRoutedModel("vllm-router-n1-29000", "mixtral")
	m.meets(t, r)
	if got := reportedBy(m, "vllm-router-n1-29000"); got.Model != "mixtral" {
		t.Errorf("%+v", got)
	}
}

// What is declared comes before what discovery shows, and that stays when the process of a declared engine ends.
func TestRoleOfADeclaredEngine(t *testing.T) {
	m := newManager(t, t.TempDir(), func(o *Options) {
		o.Declared = declare(t, engine.Declaration{URL: "http://127.0.0.1:1", Instance: "own", Model: "qwen", Group: "a"})
	})
	f := at(7, "qwen")
	f.Key, f.Source, f.Role, f.Group, f.ModelSource, f.ModelSourceKey = "own", discovery.SourceDeclared, fleet.RolePrefill, "b", "huggingface", "org/qwen"
	check := func(when string, role fleet.Role) {
		t.Helper()
		got := reportedBy(m, "own")
		if got.Role != role || got.Group != "a" || got.Source != "huggingface" || got.SourceKey != "org/qwen" {
			t.Errorf("%s: %+v", when, got)
		}
	}
	m.meets(t, f)
	check("found", fleet.RolePrefill)
	gone := discovery.Found{Key: "own", Source: discovery.SourceDeclared, URL: f.URL}
	m.meets(t, gone)
	check("its process ended", fleet.RolePrefill)
	f.PID, f.Role = 8, fleet.RoleDecode
	m.meets(t, f)
	check("started in another role", fleet.RoleDecode)
	f.PID, f.Role = 9, ""
	m.meets(t, f)
	check("started without a role", "")

	m = newManager(t, t.TempDir(), func(o *Options) {
		o.Declared = declare(t, engine.Declaration{URL: "http://127.0.0.1:1", Instance: "own", Model: "qwen", Role: fleet.RoleDecode})
	})
	f.Role = fleet.RolePrefill
	m.meets(t, f)
	if got := reportedBy(m, "own"); got.Role != fleet.RoleDecode {
		t.Errorf("declared as decode: %+v", got)
	}
}

// The label is on the engine's samples, and an instance that is awaited after a restart of the worker keeps its role.
func TestRoleOverARestartOfTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		m := newManager(t, dir)
		f := at(7, "qwen")
		f.Role, f.Group, f.ModelSource, f.ModelSourceKey = fleet.RolePrefill, "a", "local_path", "/models/qwen"
		m.meets(t, f)
		if got := m.Instances()[0].Instance().Labels(); !strings.HasSuffix(string(got), `runtime="vLLM",role="prefill"`) {
			t.Errorf("labels %s", got)
		}
		m.SetIDs("qwen-n1-1", "qwen", 3, 4)
		want := reportedBy(m, "qwen-n1-1")
		m.Save()

		m = newManager(t, dir, func(o *Options) { o.Sources = []discovery.Source{discovery.SourceProcess} })
		m.meets(t)
		got := reportedBy(m, "qwen-n1-1")
		want.State, want.StateMessage, want.Source, want.SourceKey = fleet.InstanceUnreachable, notFoundYet, "", "" // a path is not kept
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("awaited (-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
		if f.Role = ""; m.meets(t, f) != "qwen-n1-1" {
			t.Error("another instance")
		}
		if got := m.Instances()[0].Instance().Labels(); strings.Contains(string(got), "role") {
			t.Errorf("labels without a role: %s", got)
		}
	})
}
