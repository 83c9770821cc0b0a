package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// Severities of problems, the values of the table that ranks them.
const (
	notice   = 1 // look at it some day
	warning  = 2 // it gets worse, or makes others slow
	critical = 3 // something does not work
)

// problem is a condition that somebody should do something about.
type problem struct {
	severity int
	title    string
	todo     string
	uid      string // the dashboard that shows it
	by       string // labels that tell its cases apart, besides the cluster
	global   bool   // it belongs to no cluster
	expr     string // one sample for each case
	what     string // which part: $1 is the last label of by
	how      string // how much: $1 is the value, or howOf's
	howOf    string // label
}

const (
	perCluster    = "cluster_name"
	problemWindow = "[5m]" // long enough that a moment's peak is no problem
	unwell        = `state=~"not_ready|unreachable|error"`
)

// inFleet selects a family in the chosen clusters.
func inFleet(family string, matchers ...string) string {
	return "gpustack:" + family + `{` + strings.Join(slices.Concat([]string{`cluster_name=~"$cluster_name"`}, matchers, streamed(family)), ", ") + "}"
}

// problemsExpr is the union of all problems: the value is the severity, and labels say the rest. What each problem says is taken
// apart once for all, which keeps the expression short.
func problemsExpr() string {
	var parts []string
	for _, p := range problems() {
		parts = append(parts, "  ("+p.promql()+")")
	}
	e := "\n" + strings.Join(parts, "\n  or\n") + "\n"
	split := func(label, text, from, pattern string) {
		e = fmt.Sprintf("label_replace(%s, %q, %q, %q, %q)", e, label, text, from, pattern)
	}
	for i, label := range []string{"problem", "todo", "uid"} {
		split(label, fmt.Sprintf("$%d", i+1), "say", "(.*)[|](.*)[|](.*)")
	}
	// at is what follows var-cluster_name= in the link.
	e = fmt.Sprintf(`label_join(%s, "at", "|", "uid", "cluster_name", "worker_name", "model_name")`, e)
	// An instance whose model is not known has no dashboard of its model.
	split("uid", "stackscope-mapping", "at", "gpustack-model[|].*[|].*[|]")
	split("at", "$1&var-worker_name=$2", "at", "(?:gpustack-worker|stackscope-gpus)[|](.*)[|](.*)[|].*")
	split("at", "$1&var-model_name=$2", "at", "gpustack-model[|](.*)[|].*[|](.+)")
	split("at", "$1", "at", "(?:stackscope-(?:mapping|self)|gpustack-model)[|](.+)[|].*[|].*")
	split("at", "All", "at", ".*[|][|].*[|].*")
	return "sort_desc(" + e + ")"
}

func (p problem) promql() string {
	labels := []string{perCluster}
	if p.global {
		labels = nil
	}
	if p.by != "" {
		labels = append(labels, strings.Split(p.by, ", ")...)
	}
	by := strings.Join(labels, ", ")
	var e string
	switch {
	case p.howOf != "":
		e = fmt.Sprintf("group by (%s, %s) (%s)", by, p.howOf, p.expr)
	case p.how != "":
		e = fmt.Sprintf(`group by (%[1]s, n) (count_values by (%[1]s) ("n", round(%[2]s)))`, by, p.expr)
	default:
		e = fmt.Sprintf("group by (%s) (%s)", by, p.expr)
	}
	relabel := func(label, text, from string) {
		e = fmt.Sprintf(`label_replace(%s, %q, %q, %q, "(.*)")`, e, label, text, from)
	}
	if p.how != "" {
		relabel("how", p.how, or(p.howOf, "n"))
	}
	if last := labels[len(labels)-1]; last != perCluster && last != varWorker {
		relabel("what", or(p.what, "$1"), last)
	}
	return fmt.Sprintf(`%d * label_replace(%s, "say", %q, "", "")`, p.severity, e, strings.Join([]string{p.title, p.todo, p.uid}, "|"))
}

// problems lists what is looked for. What is absent, such as the health of GPUs that cannot tell it, is no problem.
func problems() []problem {
	var all []problem
	for _, group := range [][]problem{workerProblems(), gpuProblems(), instanceProblems(), ownProblems()} {
		all = append(all, group...)
	}
	return all
}

func workerProblems() []problem {
	const uid = "gpustack-worker"
	return []problem{
		{
			severity: critical, title: "Worker not ready", uid: uid, by: varWorker, how: "$1", howOf: "state",
			todo: "See that the node is up and reaches the server; read its log",
			expr: inFleet("worker_status", unwell),
		},
		{
			severity: critical, title: "Target down", uid: "stackscope-mapping", by: "instance",
			todo: "See that it runs, and that Prometheus reaches its metrics port",
			expr: `up{job=~"gpustack-.*", cluster_name=~"$cluster_name"} == 0`,
		},
		{
			severity: warning, title: "Disk almost full", uid: uid, by: "worker_name, mountpoint", how: "$1 %",
			todo: "Delete models, images or logs that are not needed",
			expr: inFleet("worker_node_filesystem_utilization_rate") + " > 90",
		},
		{
			severity: warning, title: "Memory almost full", uid: uid, by: varWorker, how: "$1 %",
			todo: "Find the process that grows, before the kernel kills an engine",
			expr: inFleet("worker_node_memory_utilization_rate") + " > 95",
		},
		{
			severity: warning, title: "Collector fails", uid: "stackscope-mapping", by: "worker_name, collector",
			todo: "The worker's log says why; what it collects is missing meanwhile",
			expr: inFleet("collector_success") + " == 0",
		},
	}
}

func gpuProblems() []problem {
	const (
		uid  = "stackscope-gpus"
		gpu  = "worker_name, gpu_index"
		what = "GPU $1"
	)
	// A GPU that is to be reset, drained or replaced says so once, by its recommended action.
	unlessAdvised := " unless on (cluster_name, " + gpu + ") " + inFleet("gpu_recommended_action", `action!~"none|restart_app"`)
	advice := func(severity int, title, actions, todo string) problem {
		return problem{
			severity: severity, title: title, uid: uid, by: gpu, what: what, todo: todo, how: "$1", howOf: "reason",
			expr: inFleet("gpu_recommended_action", `action=~"`+actions+`"`),
		}
	}
	restart := inFleet("gpu_recommended_action", `action="restart_app"`)
	tenants := inFleet("model_instance_gpu_memory_used_bytes")
	vendors := "worker_name, vendor"
	perVendor := func(family string) string {
		return "max by (cluster_name, " + vendors + ") (" + inFleet(family) + ")"
	}
	return []problem{
		{
			severity: critical, title: "GPU driver hangs", uid: uid, by: vendors,
			todo: "See the kernel's log; a hung driver mostly needs a reboot",
			expr: inFleet("gpu_driver_responsive") + " == 0",
		},
		{
			severity: critical, title: "GPUs missing", uid: uid, by: vendors, how: "$1 missing",
			todo: "Reboot the node; if it stays missing, reseat or replace the GPU",
			expr: perVendor("gpu_expected") + " - " + perVendor("gpu_present") + " > 0",
		},
		advice(critical, "Replace GPU", "replace", "Take the node out of service and have the GPU replaced"),
		advice(critical, "Reboot or drain node", "reboot|drain", "Move its instances away, then reboot the node"),
		advice(warning, "Reset GPU", "reset", "Stop what runs on the GPU at a quiet time and reset it"),
		{
			severity: notice, title: "Restart the instance", uid: uid, by: "worker_name, model_instance_name", how: "$1", howOf: "reason",
			todo: "A driver error on its GPU hit it: restart it",
			// A board's chips may differ in their reasons; one is enough.
			expr: "group by (cluster_name, " + gpu + ", model_instance_name) (" + tenants + ") * on (cluster_name, " + gpu + ") group_left (reason) topk by (cluster_name, " + gpu + ") (1, " + restart + ")",
		},
		{
			severity: notice, title: "Restart the program", uid: uid, by: gpu, what: what, how: "$1", howOf: "reason",
			todo: "A driver error hit what runs on this GPU: restart it",
			expr: restart + " unless on (cluster_name, " + gpu + ") " + tenants,
		},
		{
			severity: critical, title: "Uncorrected ECC errors", uid: uid, by: gpu, what: what, how: "$1 in an hour",
			todo: "Results may be wrong: restart the instance, reset the GPU",
			expr: "sum by (cluster_name, " + gpu + ") (increase(" + inFleet("gpu_ecc_errors_total", `kind="uncorrected"`) + "[1h])) > 0" + unlessAdvised,
		},
		{
			severity: critical, title: "Row remap failed", uid: uid, by: gpu, what: what,
			todo: "The GPU has no spare rows left: have it replaced",
			expr: inFleet("gpu_row_remap_failed") + " == 1" + unlessAdvised,
		},
		{
			severity: warning, title: "GPU throttled", uid: uid, by: gpu, what: what, how: "$1 % of time",
			todo: "Too hot or short of power: look at fans, air flow and power supply",
			expr: "100 * max by (cluster_name, " + gpu + ") (rate(" + inFleet("gpu_throttled_seconds_total", `reason=~"thermal.*|power_brake|hw_slowdown"`) + problemWindow + ")) > 10",
		},
		{
			severity: warning, title: "GPU link down", uid: uid, by: gpu, what: what, how: "$1 down",
			todo: "Tensor parallelism gets slow: reseat the bridge, or reset the GPU",
			expr: "count by (cluster_name, " + gpu + ") (max by (cluster_name, " + gpu + ", link_type, link) (" + inFleet("gpu_link_up") + ") == 0)",
		},
	}
}

func instanceProblems() []problem {
	const (
		uid      = "gpustack-model"
		instance = "worker_name, model_name, model_instance_name"
	)
	status := func(states string) string { return inFleet("model_instance_status", states) }
	windowed := func(family string) string {
		return "sum by (cluster_name, " + instance + ") (avg_over_time(" + inFleet(family) + problemWindow + "))"
	}
	notRunningItself := " unless on (cluster_name, worker_name, model_instance_name) " + status(`state!="running"`)
	notRunning := " unless on (cluster_name, model_name) " + status(`state!="running"`)
	return []problem{
		{
			severity: critical, title: "Instance stalled", uid: uid, by: instance,
			todo: "It has work and makes no progress: see its log, restart it",
			expr: inFleet("model_instance_stalled") + " == 1",
		},
		{
			severity: critical, title: "Instance down", uid: uid, by: instance, how: "$1", howOf: "state",
			todo: "Read the engine's log and start it again",
			// Those of a worker that is away are its own problem, which has a row.
			expr: status(`state=~"error|unreachable"`) + " unless on (cluster_name, worker_name) " + inFleet("worker_status", unwell),
		},
		{
			severity: warning, title: "Instance does not start", uid: uid, by: instance, how: "$1", howOf: "state",
			todo: "Not running for 10 minutes: read the engine's log",
			expr: status(`state!~"running|error|unreachable"`) + " and " + status(`state!~"running|error|unreachable"`) + " offset 10m",
		},
		{
			severity: notice, title: "Instance not ready yet", uid: uid, by: instance, how: "$1", howOf: "state",
			todo: "Wait: loading a model takes minutes",
			expr: status(`state!~"running|error|unreachable"`) + " unless " + status(`state!~"running|error|unreachable"`) + " offset 10m",
		},
		{
			severity: warning, title: "Instances missing", uid: uid, by: varModel, how: "$1 missing",
			todo: "Start the missing ones, or delete them where the model is managed",
			expr: "max by (cluster_name, model_name) (" + inFleet("model_desired_instances") + ") - max by (cluster_name, model_name) (" + inFleet("model_running_instances") + ") > 0" + notRunning,
		},
		{
			severity: warning, title: "Engine gives no metrics", uid: "stackscope-mapping", by: instance, how: "$1", howOf: "reason",
			todo: "It runs and shows nothing; stackscope status says what to do",
			// One that does not run has a row for its state.
			expr: inFleet("model_instance_no_metrics") + " == 1" + notRunningItself,
		},
		{
			severity: warning, title: "Engine page unreadable", uid: "stackscope-mapping", by: instance,
			todo: "The worker's log says why; open the engine's /metrics there",
			expr: inFleet("runtime_scrape_success") + " == 0" + notRunningItself +
				" unless on (cluster_name, worker_name, model_instance_name) " + inFleet("model_instance_no_metrics"),
		},
		{
			severity: warning, title: "Queue grows", uid: uid, by: instance, how: "$1 waiting",
			todo: "More requests wait than run: add an instance, or limit the load",
			expr: windowed("num_requests_waiting") + " > clamp_min(" + windowed("num_requests_running") + ", 1)",
		},
		{
			severity: warning, title: "KV cache full", uid: uid, by: instance, how: "$1 %",
			todo: "Preemptions are near: fewer or shorter requests, or more memory",
			expr: "100 * max by (cluster_name, " + instance + ") (avg_over_time(" + inFleet("kv_cache_usage_ratio") + problemWindow + ")) > 95",
		},
		{
			severity: notice, title: "TTFT above top bucket", uid: uid, by: instance, how: "$1 % of requests",
			todo: "The p99 is cut off: look at the queue, raise the engine's buckets",
			expr: fmt.Sprintf(`100 * (1 - sum by (cluster_name, %[1]s) (max without (le) (rate(%[2]s[5m]))) / sum by (cluster_name, %[1]s) (rate(%[3]s[5m]) > 0)) > 1`,
				instance, inFleet("time_to_first_token_seconds_bucket", `le!="+Inf"`), inFleet("time_to_first_token_seconds_count")),
		},
		{
			severity: notice, title: "Instance restarted", uid: uid, by: instance, how: "$1 min ago",
			todo: "If it was not intended, read the engine's log from before",
			expr: "(time() - max by (cluster_name, " + instance + ") (" + inFleet("model_instance_latest_restart_time") + ")) / 60 < 60",
		},
	}
}

// ownProblems are those of stackscope and its parts.
func ownProblems() []problem {
	// differs is true of the workers that apply another generation than the server's, which it told them of up to a minute ago.
	differs := func(offset string) string {
		return inFleet("metrics_config_applied_generation") + " != on () group_left () max(gpustack:metrics_config_generation" + offset + ")"
	}
	return []problem{
		{
			severity: critical, title: "No inventory", uid: "stackscope-mapping",
			todo: "Nothing comes from the server: scrape its metrics port, 10161",
			expr: "absent(" + inFleet("cluster_info") + ")",
		},
		{
			severity: warning, title: "Another mapping applied", uid: "stackscope-mapping", by: varWorker,
			todo: "See that it reaches the server; its log says why it refused",
			expr: differs("") + " and " + differs(" offset 1m"),
		},
		{
			severity: warning, title: "Grafana does not answer", uid: "stackscope-self", by: "instance", global: true,
			todo: "The server starts it again; its log lines are in the server's",
			expr: "stackscope_grafana_up == 0",
		},
		{
			severity: warning, title: "Compactions fail", uid: "stackscope-self", by: "instance", global: true, how: "$1 in an hour",
			todo: "Look at space and health of the disk with Prometheus' data",
			expr: "increase(prometheus_tsdb_compactions_failed_total[1h]) > 0",
		},
		{
			severity: critical, title: "Samples are lost", uid: "stackscope-self", by: "instance", global: true,
			todo: "The write-ahead log is damaged: see to the disk, then restart",
			expr: "increase(prometheus_tsdb_wal_corruptions_total[1h]) > 0",
		},
	}
}
