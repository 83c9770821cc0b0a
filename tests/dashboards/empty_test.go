package dashboards

import (
	"slices"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

// empty says which queries rightly have no data on the demo. What is left out of uid, row, panel and refID means all.
type empty struct {
	uid, row, panel, refID string
	why                    string
	// machine: the demo's node is this machine, and another one may have some.
	machine bool
}

func (e empty) never() bool { return e.why != "" && !e.machine }

func emptyOnDemo() []empty {
	const (
		worker, model, mapping, self = "gpustack-worker", "gpustack-model", "stackscope-mapping", "stackscope-self"
		noGrafana                    = "this demo runs without a Grafana"
		noStart                      = "the demo's engines run before it begins, and none restarts"
	)
	return []empty{
		{uid: worker, row: "InfiniBand and RoCE", why: "few machines have InfiniBand", machine: true},
		{uid: worker, panel: "Network devices", refID: "B", why: "virtual devices tell no speed", machine: true},
		{uid: model, panel: "Restarts", refID: "B", why: noStart},
		{uid: model, panel: "Start duration by phase", why: noStart},
		{uid: mapping, panel: "Skipped by discovery", why: "the demo looks for no engines of the machine"},
		{uid: self, panel: "Grafana", why: noGrafana},
		{uid: self, row: "Grafana", why: noGrafana},
	}
}

// emptyOnPD says the same of the demo with prefill and decode instances.
func emptyOnPD() []empty {
	const (
		pd       = "gpustack-pd"
		noFault  = "nothing fails there"
		noDrafts = "no engine speculates, or estimates its work"
	)
	return []empty{
		{uid: pd, panel: "Tokens per step", why: noDrafts},
		{uid: pd, panel: "Failed transfers per second", refID: "B", why: noFault},
		{uid: pd, panel: "Failed transfers per second", refID: "E", why: noFault},
		{uid: pd, panel: "Errors of the router by engine", refID: "A", why: noFault},
		{uid: pd, panel: "Drafted and accepted tokens", refID: "B", why: noDrafts},
		{uid: pd, panel: "Computation per GPU", why: noDrafts},
		{uid: pd, panel: "Memory reads per GPU", why: noDrafts},
		{uid: pd, panel: "Memory writes per GPU", why: noDrafts},
	}
}

// unlabelled is a label that a table or a legend shows and no series of the demo has.
type unlabelled struct{ uid, panel, label string }

// hasNot says whether a label is rightly on no series of a panel.
func (s *shown) hasNot(label string) bool {
	const model = "gpustack-model"
	if label == catalog.LabelRole && s.dashboard.UID != "gpustack-pd" {
		return true
	}
	return slices.Contains([]unlabelled{
		// Where a model's files came from, which nobody tells about declared engines.
		{model, "Model", "source"},
		{model, "Model", "source_key"},
		// Until an engine restarts, one series stands in for what there is none of.
		{model, "State changes observed by workers", "model_instance_name"},
		{model, "State changes observed by workers", "from"},
		{model, "State changes observed by workers", "to"},
	}, unlabelled{s.dashboard.UID, s.panel.Title, label})
}

// emptyFor returns why a query may have no data, or a zero empty if it must have some.
func emptyFor(list []empty, d viewer.Dashboard, p viewer.Panel, t viewer.Target) empty {
	if i := slices.IndexFunc(list, func(e empty) bool { return e.means(d, p, t) }); i >= 0 {
		return list[i]
	}
	return empty{}
}

func (e empty) means(d viewer.Dashboard, p viewer.Panel, t viewer.Target) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return is(e.uid, d.UID) && is(e.row, p.Row) && is(e.panel, p.Title) && is(e.refID, t.RefID)
}

// unusedEmpty returns what the list names and no dashboard has.
func unusedEmpty(list []*shown, rightlyEmpty []empty) []empty {
	return slices.DeleteFunc(rightlyEmpty, func(e empty) bool {
		return slices.ContainsFunc(list, func(s *shown) bool {
			return slices.ContainsFunc(s.panel.Targets, func(t viewer.Target) bool { return e.means(s.dashboard, s.panel, t) })
		})
	})
}
