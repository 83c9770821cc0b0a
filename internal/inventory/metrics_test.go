package inventory_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
	"github.com/stackscope/stackscope/internal/targets"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func writeMetrics(inv *inventory.Inventory) string {
	var w exposition.Writer
	inv.WriteMetrics(&w)
	return string(w.Bytes())
}

// series parses a page as Prometheus does and returns the series in their order. It fails on anything that is not legal.
func series(tb testing.TB, page string) []labels.Labels {
	tb.Helper()
	if _, err := new(expfmt.NewTextParser(model.LegacyValidation)).TextToMetricFamilies(strings.NewReader(page)); err != nil {
		tb.Fatalf("expfmt: %v\n%s", err, page)
	}
	p, err := textparse.New([]byte(page), "text/plain; version=0.0.4", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	var out []labels.Labels
	seen := make(map[string]bool)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			tb.Fatalf("textparse: %v\n%s", err, page)
		}
		switch entry {
		case textparse.EntryType:
			if name, _ := p.Type(); seen["family "+string(name)] {
				tb.Errorf("family %s begins twice", name)
			} else {
				seen["family "+string(name)] = true
			}
		case textparse.EntrySeries:
			var l labels.Labels
			p.Labels(&l)
			if name, twice := l.HasDuplicateLabelNames(); twice {
				tb.Errorf("label %s twice in %s", name, l)
			}
			if seen[l.String()] {
				tb.Errorf("series %s twice", l)
			}
			seen[l.String()] = true
			out = append(out, l)
		}
	}
}

// find returns the series of a family.
func find(all []labels.Labels, name string) (out []labels.Labels) {
	for _, l := range all {
		if l.Get(model.MetricNameLabel) == name {
			out = append(out, l)
		}
	}
	return out
}

// odd is a fleet with something of everything.
func odd(t *testing.T) *inventory.Inventory {
	t.Helper()
	inv := newInventory(t, newMemory())
	r := registration("gpu-1")
	r.Labels = map[string]string{"rack": "7", "topology.kubernetes.io/zone": `a"\b`, "worker-id": "mine"}
	a := join(t, inv, r).Worker.ID
	r = fleet.Registration{UUID: "b", Name: `gpu "2"`, Cluster: "süd", Address: "fd00::2", MetricsPort: 10151}
	b := join(t, inv, r).Worker.ID
	join(t, inv, registration("silent"))
	qwen := engine("qwen-0", "Qwen/Qwen3-8B")
	qwen.Source, qwen.SourceKey, qwen.Category = "huggingface", "Qwen/Qwen3-8B", "llm"
	qwen.RestartCount, qwen.LastRestartAt = 3, time.Unix(1_763_892_000, 0)
	starting := fleet.ReportedInstance{Name: "new-0", Model: "new", State: fleet.InstanceStarting}
	prefill, decode := inRole(engine("ds-prefill-0", "deepseek"), fleet.RolePrefill), inRole(engine("ds-decode-0", "deepseek"), fleet.RoleDecode)
	decode.State = fleet.InstanceStarting
	if _, err := inv.Report(t.Context(), a, fleet.Report{AppliedGeneration: 12, Instances: []fleet.ReportedInstance{qwen, starting, prefill, decode}}); err != nil {
		t.Fatal(err)
	}
	report(t, inv, b, engine("qwen-0", "Qwen/Qwen3-8B"), engine("gone-0", "gone"))
	report(t, inv, b, engine("qwen-0", "Qwen/Qwen3-8B"))
	return inv
}

func TestMetricsPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := odd(t)
		time.Sleep(1500 * time.Millisecond)
		page := writeMetrics(inv)
		all := series(t, page)
		path := filepath.Join("testdata", "metrics.golden.txt")
		if *update {
			if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), page); diff != "" {
			t.Errorf("page differs from %s (-want +got); -update rewrites it:\n%s", path, diff)
		}
		for _, m := range catalog.Server {
			found := find(all, m.WireName())
			ours := !strings.HasPrefix(m.Name, "gpustack:bus_") && m.Name != catalog.MetricsConfigGeneration.Name
			if (len(found) > 0) != ours {
				t.Errorf("%s has %d series", m.Name, len(found))
			}
			for _, l := range found {
				for _, name := range m.Labels {
					if !l.Has(name) && name != "source" && name != "source_key" {
						t.Errorf("%s lacks the label %s", l, name)
					}
				}
			}
		}
	})
}

func TestNoFamilyWithoutSamples(t *testing.T) {
	page := writeMetrics(newInventory(t, newMemory()))
	if strings.Contains(page, "worker") || strings.Contains(page, "model") {
		t.Errorf("page of an empty fleet:\n%s", page)
	}
	series(t, page)
}

func TestGPUStackBug11_ProviderIsDocker(t *testing.T) {
	got := find(series(t, writeMetrics(newInventory(t, newMemory()))), "gpustack:cluster_info")
	if len(got) != 1 || got[0].Get("provider") != "Docker" {
		t.Errorf("cluster_info = %v, want the provider Docker", got)
	}
}

// A model whose runtime nobody knows costs GPUStack the whole page.
func TestGPUStackBug12_ModelWithoutRuntimeKeepsThePage(t *testing.T) {
	inv := newInventory(t, newMemory())
	id := join(t, inv, registration("a")).Worker.ID
	report(t, inv, id, fleet.ReportedInstance{Name: "e", Model: "bare", State: fleet.InstanceStarting}, engine("f", "known"))
	all := series(t, writeMetrics(inv))
	want := []labels.Labels{
		labels.FromStrings(model.MetricNameLabel, "gpustack:model_info", "cluster_id", "1", "cluster_name", "default", "model_id", "1",
			"model_name", "bare", "runtime", "unknown", "runtime_version", "unknown", "source", "unknown", "source_key", "unknown", "category", "unknown"),
		labels.FromStrings(model.MetricNameLabel, "gpustack:model_info", "cluster_id", "1", "cluster_name", "default", "model_id", "2",
			"model_name", "known", "runtime", "vLLM", "runtime_version", "0.11.0", "source", "unknown", "source_key", "unknown", "category", "unknown"),
	}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(find(all, "gpustack:model_info"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := len(find(all, "gpustack:model_instance_status")); got != 2 {
		t.Errorf("%d instances on the page, want both", got)
	}
}

// GPUStack drops label keys with / . - silently and lets a user's worker_id overwrite its own. Reserved keys are refused; a worker that
// was stored with some keeps them, under other names.
func TestGPUStackBug13_NoWorkerLabelIsLostOrOverwritesOurs(t *testing.T) {
	s := newMemory()
	id := join(t, newInventory(t, s), registration("a")).Worker.ID
	row := s.workers[id]
	row.Labels = map[string]string{
		"rack":                        "7",
		"topology.kubernetes.io/zone": "z",
		"worker_id":                   "mine",
		"cluster-name":                "theirs",
		"exported_cluster_id":         "x",
		"__name__":                    "evil",
		"instance":                    "i",
		"job":                         "j",
		"9lives":                      "cat",
		"a:b":                         "colon",
		"clash":                       "exact",
		"cl.ash":                      "not this",
		"cl-ash":                      "first",
		"cl/ash":                      "not this",
		"größe":                       "xl",
		"empty":                       "",
		"label_worker_name":           "taken",
		"worker_name":                 "not this",
		"le":                          "1",
		"model_name":                  "m",
	}
	s.workers[id] = row
	inv := newInventory(t, s)
	report(t, inv, id)
	all := series(t, writeMetrics(inv))
	want := labels.FromStrings(model.MetricNameLabel, "gpustack:worker_info",
		"cluster_id", "1", "cluster_name", "default", "worker_id", "1", "worker_name", "a",
		"rack", "7", "topology_kubernetes_io_zone", "z", "label_worker_id", "mine", "label_cluster_name", "theirs",
		"label_exported_cluster_id", "x", "label___name__", "evil", "label_instance", "i", "label_job", "j", "_9lives", "cat", "a_b", "colon",
		"clash", "exact", "cl_ash", "first", "gr__e", "xl", "label_worker_name", "taken",
		"label_le", "1", "label_model_name", "m")
	if diff := cmp.Diff([]string{want.String()}, []string{fmt.Sprint(find(all, "gpustack:worker_info")[0])}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGPUStackBug14_IPv6AndSilentWorkersStayTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inv := newInventory(t, newMemory())
		stop := run(t, inv)
		defer stop()
		r := registration("a")
		r.Address = "[2001:DB8::1]"
		report(t, inv, join(t, inv, r).Worker.ID)
		join(t, inv, registration("b")) // has not reported yet
		pass(time.Hour)
		got := targets.Workers(inv.Snapshot())
		if len(got) != 1 || !cmp.Equal(got[0].Targets, []string{"[2001:db8::1]:10151", "b.example:10151"}) {
			t.Errorf("targets = %v", got)
		}
	})
}

// Names that hold what the format escapes come back as they were.
func TestNamesAreEscaped(t *testing.T) {
	inv := newInventory(t, newMemory())
	name := `we"ird\name\n{},=`
	r := registration(name)
	r.UUID, r.Address, r.Cluster = "u", "a", name
	id := join(t, inv, r).Worker.ID
	report(t, inv, id, engine(name, name))
	for _, l := range find(series(t, writeMetrics(inv)), "gpustack:model_instance_status") {
		for _, k := range []string{"cluster_name", "worker_name", "model_name", "model_instance_name"} {
			if got := l.Get(k); got != name {
				t.Errorf("%s = %q, want %q", k, got, name)
			}
		}
	}
}

// Whatever a worker's labels are, the page stays legal and our own labels stay ours.
func FuzzWorkerLabels(f *testing.F) {
	f.Add("rack", "7", "worker_id", "x")
	f.Add("a.b", `"\`, "a-b", "é")
	f.Add("__name__", "x", "9", "\xff")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		inv := newInventory(t, newMemory())
		r := registration("a")
		r.Labels = map[string]string{k1: v1, k2: v2}
		if _, err := inv.Register(t.Context(), r); err != nil {
			if errors.Is(err, fleet.ErrInvalid) {
				return
			}
			t.Fatal(err)
		}
		l := find(series(t, writeMetrics(inv)), "gpustack:worker_info")
		if len(l) != 1 || l[0].Get("worker_id") != "1" || l[0].Get("worker_name") != "a" || l[0].Get("cluster_id") != "1" {
			t.Errorf("worker_info = %v", l)
		}
	})
}

// fleetOf makes a fleet of workers with ten instances each.
func fleetOf(b *testing.B, workers int) *inventory.Inventory {
	b.Helper()
	inv := newInventory(b, newMemory())
	for n := range workers {
		r := registration(fmt.Sprintf("gpu-node-%04d", n))
		r.Labels = map[string]string{"rack": strconv.Itoa(n / 8), "zone": "eu-1"}
		id := join(b, inv, r).Worker.ID
		var in []fleet.ReportedInstance
		for k := range 10 {
			in = append(in, engine(fmt.Sprintf("qwen3-32b-instruct-%04d-%d", n, k), fmt.Sprintf("qwen3-32b-instruct-%d", n%100)))
		}
		report(b, inv, id, in...)
	}
	return inv
}

func BenchmarkWriteMetrics(b *testing.B) {
	for _, workers := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("instances=%d", workers*10), func(b *testing.B) {
			if testing.Short() && workers > 1_000 {
				b.Skip("large")
			}
			inv := fleetOf(b, workers)
			var w exposition.Writer
			inv.WriteMetrics(&w)
			b.SetBytes(int64(w.Len()))
			b.ReportAllocs()
			for b.Loop() {
				w.Reset()
				inv.WriteMetrics(&w)
			}
		})
	}
}

// BenchmarkOneChange is what a change costs the next reader.
func BenchmarkOneChange(b *testing.B) {
	for name, change := range map[string]func(n int) fleet.Report{
		"generation": func(n int) fleet.Report { return fleet.Report{AppliedGeneration: int64(n)} },
		"instance": func(n int) fleet.Report {
			in := engine("extra", "m")
			in.RestartCount = n
			return fleet.Report{Instances: []fleet.ReportedInstance{in}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			inv := fleetOf(b, 1_000)
			id := join(b, inv, registration("extra")).Worker.ID
			n := 0
			for b.Loop() {
				n++
				if _, err := inv.Report(b.Context(), id, change(n)); err != nil {
					b.Fatal(err)
				}
				_ = inv.Snapshot()
			}
		})
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	inv := fleetOf(b, 100)
	var in []fleet.ReportedInstance
	for k := range 10 {
		in = append(in, engine(fmt.Sprintf("qwen3-32b-instruct-%04d-%d", 7, k), "qwen3-32b-instruct-7"))
	}
	before := &inv.Snapshot().Instances[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := inv.Report(b.Context(), 8, fleet.Report{Instances: in}); err != nil {
			b.Fatal(err)
		}
	}
	if &inv.Snapshot().Instances[0] != before {
		b.Error("this was no heartbeat")
	}
}
