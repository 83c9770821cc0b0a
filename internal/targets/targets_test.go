package targets_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/targets"
)

func labels(id, name string) map[string]string {
	l := map[string]string{"cluster_id": id, "__param_cluster_labels": "target"}
	if name != "" {
		l["cluster_name"] = name
	}
	return l
}

var snapshot = &fleet.Snapshot{
	Clusters: []fleet.Cluster{{ID: 2, Name: "b"}, {ID: 1, Name: `a "quoted"`}},
	Workers: []fleet.Worker{
		{ID: 1, ClusterID: 2, Address: "10.0.0.9", MetricsPort: 10151, State: fleet.WorkerReady},
		{ID: 2, ClusterID: 1, Address: "gpu-2.example", MetricsPort: 10151, State: fleet.WorkerReady, ProxyMode: fleet.ProxyDirect},
		{ID: 3, ClusterID: 1, Address: "2001:db8::3", MetricsPort: 9999, State: fleet.WorkerNotReady},
		{ID: 4, ClusterID: 1, Address: "10.0.0.4", MetricsPort: 10151, State: fleet.WorkerUnreachable},
		{ID: 5, ClusterID: 1, Address: "10.0.0.5", MetricsPort: 0, State: fleet.WorkerReady},
		{ID: 6, ClusterID: 1, Address: "fd00::6", MetricsPort: 10151, State: fleet.WorkerNotReady, ProxyMode: fleet.ProxyTunnel},
		{ID: 7, ClusterID: 1, Address: "10.0.0.4", MetricsPort: 10151, State: fleet.WorkerReady},
		{ID: 8, ClusterID: 7, Address: "10.0.0.8", MetricsPort: 10151, State: fleet.WorkerReady},
		{ID: 9, ClusterID: 1, Address: "10.0.0.5", MetricsPort: -1, State: fleet.WorkerReady},
		{ID: 10, ClusterID: 1, Address: "", MetricsPort: 10151, State: fleet.WorkerReady},
		{ID: 11, ClusterID: 1, Address: "", MetricsPort: 10151, State: fleet.WorkerReady, ProxyMode: fleet.ProxyTunnel},
		{ID: 12, ClusterID: 3, Address: "", MetricsPort: 10151, State: fleet.WorkerReady},
	},
}

// GPUStack lists ready workers only, so that a worker that goes silent leaves without up ever being 0; it does not
// bracket IPv6 addresses, and a worker whose cluster is gone breaks the whole answer.
func TestGPUStackBug14_IPv6AndSilentWorkersStayTargets(t *testing.T) {
	want := []targets.Group{
		{Targets: []string{"10.0.0.4:10151", "[2001:db8::3]:9999", "gpu-2.example:10151"}, Labels: labels("1", `a "quoted"`)},
		{Targets: []string{"10.0.0.9:10151"}, Labels: labels("2", "b")},
		{Targets: []string{"10.0.0.8:10151"}, Labels: labels("7", "")},
	}
	if diff := cmp.Diff(want, targets.Workers(snapshot)); diff != "" {
		t.Errorf("Workers (-want +got):\n%s", diff)
	}
	want = []targets.Group{{Targets: []string{"[fd00::6]:10151"}, Labels: labels("1", `a "quoted"`)}}
	if diff := cmp.Diff(want, targets.ProxyWorkers(snapshot)); diff != "" {
		t.Errorf("ProxyWorkers (-want +got):\n%s", diff)
	}
}

// Only targets with TLS have a label that says so.
func TestSchemeIsTold(t *testing.T) {
	s := &fleet.Snapshot{
		Clusters: []fleet.Cluster{{ID: 1, Name: "a"}},
		Workers: []fleet.Worker{
			{ID: 1, ClusterID: 1, Address: "10.0.0.3", MetricsPort: 10151, MetricsScheme: fleet.MetricsHTTPS},
			{ID: 2, ClusterID: 1, Address: "10.0.0.2", MetricsPort: 10151},
			{ID: 3, ClusterID: 1, Address: "10.0.0.1", MetricsPort: 10151, MetricsScheme: fleet.MetricsHTTPS},
		},
	}
	secure := labels("1", "a")
	secure["__scheme__"] = "https"
	want := []targets.Group{
		{Targets: []string{"10.0.0.2:10151"}, Labels: labels("1", "a")},
		{Targets: []string{"10.0.0.1:10151", "10.0.0.3:10151"}, Labels: secure},
	}
	if diff := cmp.Diff(want, targets.Workers(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOrderOfWorkersDoesNotMatter(t *testing.T) {
	reversed := *snapshot
	reversed.Workers = slices.Clone(snapshot.Workers)
	slices.Reverse(reversed.Workers)
	if diff := cmp.Diff(targets.Workers(snapshot), targets.Workers(&reversed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoWorkersIsAnEmptyList(t *testing.T) {
	for _, groups := range [][]targets.Group{targets.Workers(&fleet.Snapshot{}), targets.ProxyWorkers(&fleet.Snapshot{})} {
		got, err := json.Marshal(groups)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != "[]" {
			t.Errorf("JSON = %s, want []", got)
		}
	}
}

// What HTTP service discovery reads is what was meant.
func TestPrometheusReadsTheGroups(t *testing.T) {
	data, err := json.Marshal(targets.Workers(snapshot))
	if err != nil {
		t.Fatal(err)
	}
	var got []*targetgroup.Group
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d groups, want 3", len(got))
	}
	for _, g := range got {
		if err := g.Labels.Validate(); err != nil {
			t.Error(err)
		}
		for _, l := range g.Targets {
			if l[model.AddressLabel] == "" {
				t.Errorf("target without address: %v", l)
			}
		}
	}
	if diff := cmp.Diff(model.LabelSet{model.AddressLabel: "[2001:db8::3]:9999"}, got[0].Targets[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
