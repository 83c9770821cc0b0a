package dashboards

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// What fits the table's columns on a laptop.
const (
	longestTitle = 23
	longestTodo  = 66
)

func TestProblems(t *testing.T) {
	titles := map[string]bool{}
	for _, p := range problems() {
		if titles[p.title] {
			t.Errorf("%q is there twice", p.title)
		}
		titles[p.title] = true
		if len(p.title) > longestTitle || len(p.todo) > longestTodo || p.todo == "" {
			t.Errorf("%q: its title or %q is longer than the table is wide, or empty", p.title, p.todo)
		}
		if strings.ContainsAny(p.title+p.todo, "|$\\") {
			t.Errorf("%q, %q: |, $ and \\ have a meaning in label_replace", p.title, p.todo)
		}
		if p.severity < notice || p.severity > critical {
			t.Errorf("%q: severity %d", p.title, p.severity)
		}
		target, ok := byUID(p.uid)
		if !ok {
			t.Errorf("%q leads to dashboard %q, which does not exist", p.title, p.uid)
		}
		wants := map[string]string{"gpustack-worker": varWorker, "stackscope-gpus": varWorker, "gpustack-model": varModel}[p.uid]
		if wants != "" && (!target.declares(wants) || !strings.Contains(p.by, wants)) {
			t.Errorf("%q: its link sets %s, which %s or the problem's labels %q lack", p.title, wants, p.uid, p.by)
		}
	}
}

// sick is a fleet in which everything is wrong that can be, beside things that look like it and are in order.
const sick = `load 1m
	gpustack:cluster_info{cluster_name="a"} 1x120
	gpustack:worker_status{cluster_name="a", worker_name="w1", state="ready"} 1x120
	gpustack:worker_status{cluster_name="a", worker_name="w2", state="unreachable"} 1x120
	gpustack:worker_status{cluster_name="a", worker_name="w2", state="unreachable", instance="second server"} 1x120
	gpustack:worker_status{cluster_name="a", worker_name="w3", state="maintenance"} 1x120
	up{job="gpustack-worker-discovery", cluster_name="a", instance="w2:10151"} 0x120
	up{job="gpustack-worker-discovery", cluster_name="a", instance="w1:10151"} 1x120
	up{job="of somebody else", instance="x"} 0x120
	gpustack:worker_node_filesystem_utilization_rate{cluster_name="a", worker_name="w1", mountpoint="/models"} 97.6x120
	gpustack:worker_node_filesystem_utilization_rate{cluster_name="a", worker_name="w1", mountpoint="/"} 60x120
	gpustack:worker_node_memory_utilization_rate{cluster_name="a", worker_name="w1"} 98x120
	gpustack:collector_success{cluster_name="a", worker_name="w1", collector="disk"} 0x120
	gpustack:gpu_driver_responsive{cluster_name="a", worker_name="w1", vendor="ascend"} 0x120
	gpustack:gpu_expected{cluster_name="a", worker_name="w1", vendor="nvidia"} 8x120
	gpustack:gpu_present{cluster_name="a", worker_name="w1", vendor="nvidia"} 6x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="0", action="none"} 1x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="1", action="replace", reason="broken"} 1x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="2", action="drain", reason="driver recommends it"} 1x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="3", action="reset", reason="rows"} 1x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="4", action="restart_app", reason="xid 31"} 1x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="6", action="restart_app", reason="xid 31"} 1x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="7", chip_index="0", action="restart_app", reason="xid 31"} 1x120
	gpustack:gpu_recommended_action{cluster_name="a", worker_name="w1", gpu_index="7", chip_index="1", action="restart_app", reason="xid 43"} 1x120
	gpustack:model_instance_gpu_memory_used_bytes{cluster_name="a", worker_name="w1", gpu_index="4", model_name="m", model_instance_name="m-0"} 1x120
	gpustack:model_instance_gpu_memory_used_bytes{cluster_name="a", worker_name="w1", gpu_index="6", model_name="m", model_instance_name="m-0"} 1x120
	gpustack:gpu_ecc_errors_total{cluster_name="a", worker_name="w1", gpu_index="3", kind="uncorrected", location="dram"} 0x110 4x10
	gpustack:gpu_ecc_errors_total{cluster_name="a", worker_name="w1", gpu_index="4", kind="uncorrected", location="dram"} 0x70 4x50
	gpustack:gpu_ecc_errors_total{cluster_name="a", worker_name="w1", gpu_index="5", kind="corrected", location="dram"} 0+9x120
	gpustack:gpu_row_remap_failed{cluster_name="a", worker_name="w1", gpu_index="1"} 1x120
	gpustack:gpu_row_remap_failed{cluster_name="a", worker_name="w1", gpu_index="5"} 1x120
	gpustack:gpu_throttled_seconds_total{cluster_name="a", worker_name="w1", gpu_index="0", reason="thermal_hw"} 0+30x120
	gpustack:gpu_throttled_seconds_total{cluster_name="a", worker_name="w1", gpu_index="0", reason="power_cap"} 0+60x120
	gpustack:gpu_throttled_seconds_total{cluster_name="a", worker_name="w1", gpu_index="1", reason="power_cap"} 0+60x120
	gpustack:gpu_link_up{cluster_name="a", worker_name="w1", gpu_index="0", link_type="nvlink", link="0"} 0x120
	gpustack:gpu_link_up{cluster_name="a", worker_name="w1", gpu_index="0", link_type="nvlink", link="1"} 0x120
	gpustack:gpu_link_up{cluster_name="a", worker_name="w1", gpu_index="0", link_type="nvlink", link="2"} 1x120
	gpustack:model_instance_stalled{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 1x120
	gpustack:model_instance_status{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", state="running"} 1x120
	gpustack:model_instance_status{cluster_name="a", worker_name="w2", model_name="m", model_instance_name="m-1", state="unreachable"} 1x120
	gpustack:model_instance_status{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-4", state="error"} 1x120
	gpustack:model_instance_status{cluster_name="a", worker_name="w1", model_instance_name="no-model", state="error"} 1x120
	gpustack:model_instance_no_metrics{cluster_name="a", worker_name="w1", model_instance_name="no-model", reason="unauthorized"} 1x120
	gpustack:runtime_scrape_success{cluster_name="a", worker_name="w1", model_instance_name="no-model"} 0x120
	gpustack:model_instance_status{cluster_name="a", worker_name="w1", model_instance_name="hangs", state="starting"} _x118 1x2
	gpustack:model_instance_status{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-2", state="initializing"} 1x120
	gpustack:model_instance_status{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-3", state="starting"} _x118 1x2
	gpustack:model_desired_instances{cluster_name="a", model_name="m"} 4x120
	gpustack:model_running_instances{cluster_name="a", model_name="m"} 1x120
	gpustack:model_desired_instances{cluster_name="a", model_name="n"} 3x120
	gpustack:model_running_instances{cluster_name="a", model_name="n"} 1x120
	gpustack:runtime_scrape_success{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 0x120
	gpustack:runtime_scrape_success{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-2"} 0x120
	gpustack:model_instance_no_metrics{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-5", reason="empty_page"} 1x120
	gpustack:model_instance_status{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-5", state="running"} 1x120
	gpustack:model_instance_no_metrics{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-4", reason="not_found"} 1x120
	gpustack:num_requests_waiting{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", engine="0"} 20x120
	gpustack:num_requests_waiting{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", engine="1"} 13x120
	gpustack:num_requests_running{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", engine="0"} 16x120
	gpustack:num_requests_running{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", engine="1"} 16x120
	gpustack:kv_cache_usage_ratio{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", engine="0"} 0.5x120
	gpustack:kv_cache_usage_ratio{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", engine="1"} 0.99x120
	gpustack:time_to_first_token_seconds_bucket{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", le="1"} 0+5x120
	gpustack:time_to_first_token_seconds_bucket{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", le="10"} 0+9x120
	gpustack:time_to_first_token_seconds_bucket{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", le="+Inf"} 0+10x120
	gpustack:time_to_first_token_seconds_count{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 0+10x120
	gpustack:model_instance_latest_restart_time{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 6900x120
	gpustack:model_instance_latest_restart_time{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-2"} 0x120
	gpustack:metrics_config_generation 7x120
	gpustack:metrics_config_applied_generation{cluster_name="a", worker_name="w1"} 6x120
	gpustack:metrics_config_applied_generation{cluster_name="a", worker_name="w3"} 7x120
	stackscope_grafana_up{instance="s:10161"} 0x120
	prometheus_tsdb_compactions_failed_total{instance="s:10161"} 0x110 3x10
	prometheus_tsdb_wal_corruptions_total{instance="s:10161"} 0x110 1x10
`

const well = `load 1m
	gpustack:cluster_info{cluster_name="a"} 1x120
	gpustack:worker_status{cluster_name="a", worker_name="w1", state="ready"} 1x120
	gpustack:num_requests_waiting{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 0x120
	gpustack:num_requests_running{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 0x120
	gpustack:time_to_first_token_seconds_bucket{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", le="1"} 5x120
	gpustack:time_to_first_token_seconds_bucket{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0", le="+Inf"} 10x120
	gpustack:time_to_first_token_seconds_count{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 10x120
	gpustack:model_instance_latest_restart_time{cluster_name="a", worker_name="w1", model_name="m", model_instance_name="m-0"} 0x120
`

// answer returns what PromQL makes of an expression at a time, on series that begin at 0.
func answer(t *testing.T, series, expr string, at time.Time) promql.Vector {
	t.Helper()
	storage := promqltest.LoadedStorage(t, series)
	defer func() { _ = storage.Close() }()
	query, err := promqltest.NewTestEngine(t, false, 0, 1e6).
		NewInstantQuery(context.WithoutCancel(t.Context()), storage, promql.NewPrometheusQueryOpts(false, 0), expr, at)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	rows, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(rows)
}

// found returns what the table shows two hours after the series' first samples, a row a line.
func found(t *testing.T, series, cluster string) []string {
	t.Helper()
	rows := answer(t, series, strings.ReplaceAll(problemsExpr(), "$"+varCluster, cluster), time.Unix(7200, 0))
	if !slices.IsSortedFunc(rows, func(a, b promql.Sample) int { return cmp.Compare(b.F, a.F) }) {
		t.Error("the worst doesn't come first")
	}
	var lines []string
	for _, row := range rows {
		l := row.Metric
		severity := map[float64]string{critical: "critical", warning: "warning", notice: "notice"}[row.F]
		lines = append(lines, strings.Join([]string{severity, l.Get("problem"), l.Get(varWorker), l.Get("what"), l.Get("how"), l.Get("uid") + "?" + l.Get("at")}, "; "))
	}
	slices.Sort(lines)
	return lines
}

func TestProblemsOfASickFleet(t *testing.T) {
	want := strings.Split(strings.TrimSpace(`
critical; GPU driver hangs; w1; ascend; ; stackscope-gpus?a&var-worker_name=w1
critical; GPUs missing; w1; nvidia; 2 missing; stackscope-gpus?a&var-worker_name=w1
critical; Instance down; w1; m-4; error; gpustack-model?a&var-model_name=m
critical; Instance down; w1; no-model; error; stackscope-mapping?a
critical; Instance stalled; w1; m-0; ; gpustack-model?a&var-model_name=m
critical; Reboot or drain node; w1; GPU 2; driver recommends it; stackscope-gpus?a&var-worker_name=w1
critical; Replace GPU; w1; GPU 1; broken; stackscope-gpus?a&var-worker_name=w1
critical; Row remap failed; w1; GPU 5; ; stackscope-gpus?a&var-worker_name=w1
critical; Samples are lost; ; s:10161; ; stackscope-self?All
critical; Target down; ; w2:10151; ; stackscope-mapping?a
critical; Uncorrected ECC errors; w1; GPU 4; 4 in an hour; stackscope-gpus?a&var-worker_name=w1
critical; Worker not ready; w2; ; unreachable; gpustack-worker?a&var-worker_name=w2
notice; Instance not ready yet; w1; hangs; starting; stackscope-mapping?a
notice; Instance not ready yet; w1; m-3; starting; gpustack-model?a&var-model_name=m
notice; Instance restarted; w1; m-0; 5 min ago; gpustack-model?a&var-model_name=m
notice; Restart the instance; w1; m-0; xid 31; stackscope-gpus?a&var-worker_name=w1
notice; Restart the program; w1; GPU 7; xid 31; stackscope-gpus?a&var-worker_name=w1
notice; Restart the program; w1; GPU 7; xid 43; stackscope-gpus?a&var-worker_name=w1
notice; TTFT above top bucket; w1; m-0; 10 % of requests; gpustack-model?a&var-model_name=m
warning; Another mapping applied; w1; ; ; stackscope-mapping?a
warning; Collector fails; w1; disk; ; stackscope-mapping?a
warning; Compactions fail; ; s:10161; 3 in an hour; stackscope-self?All
warning; Disk almost full; w1; /models; 98 %; gpustack-worker?a&var-worker_name=w1
warning; Engine gives no metrics; w1; m-5; empty_page; stackscope-mapping?a
warning; Engine page unreadable; w1; m-0; ; stackscope-mapping?a
warning; GPU link down; w1; GPU 0; 2 down; stackscope-gpus?a&var-worker_name=w1
warning; GPU throttled; w1; GPU 0; 50 % of time; stackscope-gpus?a&var-worker_name=w1
warning; Grafana does not answer; ; s:10161; ; stackscope-self?All
warning; Instance does not start; w1; m-2; initializing; gpustack-model?a&var-model_name=m
warning; Instances missing; ; n; 2 missing; gpustack-model?a&var-model_name=n
warning; KV cache full; w1; m-0; 99 %; gpustack-model?a&var-model_name=m
warning; Memory almost full; w1; ; 98 %; gpustack-worker?a&var-worker_name=w1
warning; Queue grows; w1; m-0; 33 waiting; gpustack-model?a&var-model_name=m
warning; Reset GPU; w1; GPU 3; rows; stackscope-gpus?a&var-worker_name=w1
`), "\n")
	got := found(t, sick, ".*")
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("rows of the table (-want +got):\n%s", diff)
	}
	// Each problem has its row, but for the one that is the absence of all others' source.
	for _, p := range problems() {
		if p.title != "No inventory" && !slices.ContainsFunc(got, func(row string) bool { return strings.Contains(row, "; "+p.title+"; ") }) {
			t.Errorf("nothing in this test shows %q", p.title)
		}
	}
}

func TestProblemsOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		series, cluster string
		want            []string
	}{
		"nothing is wrong": {well, ".*", nil},
		"nothing at all":   {"load 1m\n\tother 1x120", ".*", []string{"critical; No inventory; ; ; ; stackscope-mapping?All"}},
		"another cluster": {sick, "b", []string{
			"critical; No inventory; ; ; ; stackscope-mapping?All",
			"critical; Samples are lost; ; s:10161; ; stackscope-self?All",
			"warning; Compactions fail; ; s:10161; 3 in an hour; stackscope-self?All",
			"warning; Grafana does not answer; ; s:10161; ; stackscope-self?All",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := gocmp.Diff(test.want, found(t, test.series, test.cluster)); diff != "" {
				t.Errorf("rows of the table (-want +got):\n%s", diff)
			}
		})
	}
}
