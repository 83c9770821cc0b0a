package dashboards

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Series of one fleet whose values a limit is about. now is 120 minutes after their first sample.
const (
	limitWorker   = `cluster_name="a", worker_name="w1"`
	limitGPU      = limitWorker + `, gpu_index="0"`
	limitInstance = limitWorker + `, model_name="m", model_instance_name="m-0"`
)

func gauge(family, labels string, value any) string {
	return fmt.Sprintf("gpustack:%s{%s} %vx120\n", family, labels, value)
}

// grows is a counter that grows by step in each minute.
func grows(family, labels string, step any) string {
	return fmt.Sprintf("gpustack:%s{%s} 0+%vx120\n", family, labels, step)
}

// jumps is a counter that grew by one so many minutes ago.
func jumps(family, labels string, minutes int) string {
	return fmt.Sprintf("%s{%s} 0x%d 1x%d\n", family, labels, 120-minutes, minutes)
}

// lately is a series that began so many minutes ago.
func lately(family, labels string, minutes int) string {
	return fmt.Sprintf("gpustack:%s{%s} _x%d 1x%d\n", family, labels, 120-minutes, minutes)
}

// peak is a gauge that is high in its last two samples and low before.
func peak(family, labels string, low, high any) string {
	return fmt.Sprintf("gpustack:%s{%s} %vx118 %v %v\n", family, labels, low, high, high)
}

// TestProblemsBeginAtTheirLimits looks at both sides of what tells a problem from what is in order.
func TestProblemsBeginAtTheirLimits(t *testing.T) {
	const (
		rows    = "time_to_first_token_seconds_bucket"
		count   = "time_to_first_token_seconds_count"
		waiting = "num_requests_waiting"
		running = "num_requests_running"
	)
	vendor := limitWorker + `, vendor="nvidia"`
	missing := func(family, other, labels string, have, want int) string {
		return gauge(family, labels, want) + gauge(other, labels, have)
	}
	gpus := func(present int) string { return missing("gpu_expected", "gpu_present", vendor, present, 8) }
	model := `cluster_name="a", model_name="m"`
	instances := func(have int) string {
		return missing("model_desired_instances", "model_running_instances", model, have, 3)
	}
	queue := func(waits, runs any) string {
		return gauge(waiting, limitInstance, waits) + gauge(running, limitInstance, runs)
	}
	above := func(share float64) string {
		return grows(rows, limitInstance+`, le="10"`, 1000*(1-share)) + grows(rows, limitInstance+`, le="+Inf"`, 1000) + grows(count, limitInstance, 1000)
	}
	links := func(up ...int) (series string) {
		for i, v := range up {
			series += gauge("gpu_link_up", fmt.Sprintf(`%s, link_type="nvlink", link="%d"`, limitGPU, i), v)
		}
		return series
	}
	action := func(name string) string {
		return gauge("gpu_recommended_action", limitGPU+`, reason="x", action="`+name+`"`, 1)
	}
	throttled := func(reason string, seconds float64) string {
		return grows("gpu_throttled_seconds_total", limitGPU+`, reason="`+reason+`"`, seconds)
	}
	worker := func(state string) string {
		return gauge("worker_status", limitWorker+`, state="`+state+`"`, 1)
	}
	instance := func(state string) string {
		return gauge("model_instance_status", limitInstance+`, state="`+state+`"`, 1)
	}
	noMetrics := func(reason string) string {
		return gauge("model_instance_no_metrics", limitInstance+`, reason="`+reason+`"`, 1)
	}
	const generation = "gpustack:metrics_config_generation "
	ecc := "gpustack:gpu_ecc_errors_total"
	uncorrected := limitGPU + `, kind="uncorrected"`

	for _, c := range []struct{ name, series, want string }{
		{"disk at 90 %", gauge("worker_node_filesystem_utilization_rate", limitWorker+`, mountpoint="/"`, 90), ""},
		{"disk above 90 %", gauge("worker_node_filesystem_utilization_rate", limitWorker+`, mountpoint="/"`, 90.6), "Disk almost full; 91 %"},
		{"memory at 60 %", gauge("worker_node_memory_utilization_rate", limitWorker, 60), ""},
		{"memory at 95 %", gauge("worker_node_memory_utilization_rate", limitWorker, 95), ""},
		{"memory above 95 %", gauge("worker_node_memory_utilization_rate", limitWorker, 95.6), "Memory almost full; 96 %"},
		{"worker ready", worker("ready"), ""},
		{"worker pending", worker("pending"), ""},
		{"worker in maintenance", worker("maintenance"), ""},
		{"worker not ready", worker("not_ready"), "Worker not ready; not_ready"},
		{"worker unreachable", worker("unreachable"), "Worker not ready; unreachable"},
		{"worker in error", worker("error"), "Worker not ready; error"},
		{"collector works", gauge("collector_success", limitWorker+`, collector="disk"`, 1), ""},
		{"target up", "up{job=\"gpustack-server\", cluster_name=\"a\", instance=\"x\"} 1x120\n", ""},

		{"all GPUs there", gpus(8), ""},
		{"more GPUs than expected", gpus(9), ""},
		{"one GPU missing", gpus(7), "GPUs missing; 1 missing"},
		{"driver answers", gauge("gpu_driver_responsive", vendor, 1), ""},
		{"action none", action("none"), ""},
		{"action restart_app", action("restart_app"), "Restart the program; x"},
		{"action restart_app where an instance is", action("restart_app") + gauge("model_instance_gpu_memory_used_bytes", limitInstance+`, gpu_index="0"`, 1), "Restart the instance; x"},
		{"action reset", action("reset"), "Reset GPU; x"},
		{"action drain", action("drain"), "Reboot or drain node; x"},
		{"action reboot", action("reboot"), "Reboot or drain node; x"},
		{"action replace", action("replace"), "Replace GPU; x"},
		{"ECC error an hour ago", jumps(ecc, uncorrected, 62), ""},
		{"ECC error within the hour", jumps(ecc, uncorrected, 58), "Uncorrected ECC errors; 1 in an hour"},
		{"corrected ECC error", jumps(ecc, limitGPU+`, kind="corrected"`, 10), ""},
		{"ECC error and restart_app", jumps(ecc, uncorrected, 58) + action("restart_app"), "Restart the program; x\nUncorrected ECC errors; 1 in an hour"},
		{"ECC error and reset", jumps(ecc, uncorrected, 58) + action("reset"), "Reset GPU; x"},
		{"rows remapped", gauge("gpu_row_remap_failed", limitGPU, 0), ""},
		{"hot for a tenth of the time", throttled("thermal_sw", 5.9), ""},
		{"hot for more than a tenth", throttled("thermal_sw", 6.6), "GPU throttled; 11 % of time"},
		{"power brake", throttled("power_brake", 30), "GPU throttled; 50 % of time"},
		{"slowdown by hardware", throttled("hw_slowdown", 30), "GPU throttled; 50 % of time"},
		{"power cap", throttled("power_cap", 60), ""},
		{"all links up", links(1, 1), ""},
		{"one link down", links(1, 0, 1), "GPU link down; 1 down"},

		{"instance makes progress", gauge("model_instance_stalled", limitInstance, 0), ""},
		{"instance running", instance("running"), ""},
		{"instance in error", instance("error"), "Instance down; error"},
		{"instance unreachable", instance("unreachable"), "Instance down; unreachable"},
		{"instance and worker unreachable", instance("unreachable") + worker("unreachable"), "Worker not ready; unreachable"},
		{"instance unreachable, worker ready", instance("unreachable") + worker("ready"), "Instance down; unreachable"},
		{"instance starts since 9 minutes", lately("model_instance_status", limitInstance+`, state="starting"`, 9), "Instance not ready yet; starting"},
		{"instance starts since 11 minutes", lately("model_instance_status", limitInstance+`, state="starting"`, 11), "Instance does not start; starting"},
		{"all instances there", instances(3), ""},
		{"more instances than desired", instances(4), ""},
		{"one instance missing", instances(2), "Instances missing; 1 missing"},
		{"page readable", gauge("runtime_scrape_success", limitInstance, 1), ""},
		{"page of a starting instance", gauge("runtime_scrape_success", limitInstance, 0) + lately("model_instance_status", limitInstance+`, state="starting"`, 9), "Instance not ready yet; starting"},
		{"page without metrics", noMetrics("unmapped"), "Engine gives no metrics; unmapped"},
		{"page without metrics of a running instance", noMetrics("no_engine_metrics") + instance("running") + gauge("runtime_scrape_success", limitInstance, 1), "Engine gives no metrics; no_engine_metrics"},
		{"page unreadable of an instance that the server does not know", noMetrics("refused") + gauge("runtime_scrape_success", limitInstance, 0), "Engine gives no metrics; refused"},
		{"page unreadable", gauge("runtime_scrape_success", limitInstance, 0) + instance("running"), "Engine page unreadable; "},
		{"page without metrics of an instance in error", noMetrics("tls") + instance("error") + gauge("runtime_scrape_success", limitInstance, 0), "Instance down; error"},
		{"page without metrics of an instance that is unreachable", noMetrics("process_ended") + instance("unreachable"), "Instance down; unreachable"},
		{"page that has metrics again", fmt.Sprintf("gpustack:model_instance_no_metrics{%s, reason=\"empty_page\"} 1x110 _x10\n", limitInstance) + instance("running"), ""},
		{"as many wait as run", queue(16, 16), ""},
		{"more wait than run", queue(17, 16), "Queue grows; 17 waiting"},
		{"one waits and none runs", queue(1, 0), ""},
		{"two wait and none runs", queue(2, 0), "Queue grows; 2 waiting"},
		{"a moment's queue", peak(waiting, limitInstance, 0, 20) + gauge(running, limitInstance, 16), ""},
		{"KV cache at 95 %", gauge("kv_cache_usage_ratio", limitInstance, 0.949), ""},
		{"KV cache above 95 %", gauge("kv_cache_usage_ratio", limitInstance, 0.96), "KV cache full; 96 %"},
		{"KV cache full for a moment", peak("kv_cache_usage_ratio", limitInstance, 0.9, 1), ""},
		{"one request in a hundred above the top bucket", above(0.009), ""},
		{"more than one in a hundred", above(0.016), "TTFT above top bucket; 2 % of requests"},
		{"restarted an hour ago", gauge("model_instance_latest_restart_time", limitInstance, 7200-61*60), ""},
		{"restarted within the hour", gauge("model_instance_latest_restart_time", limitInstance, 7200-59*60), "Instance restarted; 59 min ago"},
		{"never restarted", gauge("model_instance_latest_restart_time", limitInstance, 0), ""},

		{"same mapping", generation + "7x120\n" + gauge("metrics_config_applied_generation", limitWorker, 7), ""},
		{"mapping older", generation + "7x120\n" + gauge("metrics_config_applied_generation", limitWorker, 6), "Another mapping applied; "},
		{"mapping newer", generation + "7x120\n" + gauge("metrics_config_applied_generation", limitWorker, 8), "Another mapping applied; "},
		{"mapping changed half a minute ago", gauge("metrics_config_applied_generation", limitWorker, 6) + "\nload 10s\n" + generation + "6x716 7x10\n", ""},
		{"mapping changed two minutes ago", generation + "6x117 7x3\n" + gauge("metrics_config_applied_generation", limitWorker, 6), "Another mapping applied; "},
		{"Grafana up", "stackscope_grafana_up{instance=\"s\"} 1x120\n", ""},
		{"compaction failed an hour ago", jumps("prometheus_tsdb_compactions_failed_total", `instance="s"`, 62), ""},
		{"compaction failed", jumps("prometheus_tsdb_compactions_failed_total", `instance="s"`, 58), "Compactions fail; 1 in an hour"},
		{"log damaged an hour ago", jumps("prometheus_tsdb_wal_corruptions_total", `instance="s"`, 62), ""},
		{"log damaged", jumps("prometheus_tsdb_wal_corruptions_total", `instance="s"`, 58), "Samples are lost; "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, row := range found(t, "load 1m\n"+gauge("cluster_info", `cluster_name="a"`, 1)+c.series, ".*") {
				cells := strings.Split(row, "; ")
				got = append(got, cells[1]+"; "+cells[4])
			}
			slices.Sort(got)
			if got := strings.Join(got, "\n"); got != c.want {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}
