package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

const (
	workerSelector = gpuSelector
	byWorker       = "worker_name"
)

func workers() Dashboard {
	return Dashboard{
		UID: "gpustack-worker", Title: "GPUStack Worker",
		Description: "Nodes and their GPUs: load, memory, temperature and the instances that use them. It replaces GPUStack's dashboard of the same name; links to that one keep working.",
		Variables:   []Variable{datasource(), cluster(), worker()},
		Rows: []Row{
			{Panels: slices.Concat(workerCounts(), workerGauges())},
			{Title: "Workers", Panels: []Panel{workerTable()}},
			{Title: "GPUs", Panels: []Panel{gpuTable()}},
			{Title: "GPUs over time", Panels: gpusOverTime()},
			{Title: "GPU memory and who uses it", Panels: gpuMemory()},
			{Title: "Nodes over time", Panels: nodesOverTime()},
			{Title: "Disks", Collapsed: true, Panels: nodeDisks()},
			{Title: "Network", Collapsed: true, Panels: nodeNetwork()},
			{Title: "InfiniBand and RoCE", Collapsed: true, Panels: nodeInfiniBand()},
			{Title: "Systems, collectors and drivers", Collapsed: true, Panels: workerSystems()},
		},
	}
}

// onWorkers is a family's selector for the workers that were chosen, with more matchers where given.
func onWorkers(family string, matchers ...string) string {
	return family + "{" + strings.Join(append([]string{workerSelector}, matchers...), ", ") + "}"
}

func workerCounts() []Panel {
	count := func(title, description, unit, expr string) Panel {
		return Panel{Kind: Stat, W: 3, Title: title, Description: description, Unit: unit, Queries: []Query{{Expr: expr, Legend: title}}}
	}
	notReady := count("Not ready", "Workers that the server knows and that are not in state ready. The table below has each one's state and the age of its last heartbeat; a worker in maintenance counts, too.", "none",
		`count(max by (worker_name) (`+onWorkers("gpustack:worker_info")+`) unless on (worker_name) `+onWorkers("gpustack:worker_status", `state="ready"`)+`) or 0 * count(`+onWorkers("gpustack:worker_info")+`)`)
	notReady.Thresholds = bad(1)
	notReady.NoValue = "no server scraped"
	act := count("GPUs to act on", "GPUs with a recommended action: restart the application, reset, drain, reboot or replace. The dashboard GPU health has the reason of each.", "none",
		`count(max by (`+gpuBy+`) (`+onWorkers("gpustack:gpu_recommended_action", `action!="none"`)+`)) or 0 * count(`+onWorkers("gpustack:gpu_up")+`)`)
	act.Thresholds = limits(1, 8)
	act.NoValue = "not evaluated"
	act.Links = []Link{*To("stackscope-gpus", "GPU health", varCluster, "$cluster_name")}
	present := count("GPUs", "GPUs that can be read now; of boards with several chips each chip. If there are fewer than before, the dashboard GPU health names the lost ones.", "none", `count(count by (`+gpuBy+`) (`+onWorkers("gpustack:worker_node_gram_total_bytes")+` or `+onWorkers("gpustack:worker_node_gpu_cores")+`))`)
	present.NoValue = "no GPUs"
	vram := count("VRAM", "Memory of all GPUs together. It shrinks when a GPU is lost.", "bytes", `sum(max by (`+gpuBy+`) (`+onWorkers("gpustack:worker_node_gram_total_bytes")+`))`)
	vram.NoValue = "no GPUs"
	power := count("Power", "Power that all GPUs draw now. The dashboard Power and tokens per joule has its cost.", "watt", `sum(max by (`+gpuBy+`) (`+onWorkers("gpustack:worker_node_gpu_power_used_watts")+`))`)
	power.NoValue = "not measured"
	power.Links = []Link{*To("stackscope-power", "Power and tokens per joule", varCluster, "$cluster_name")}
	return []Panel{
		count("Workers", "Workers whose metrics arrive. Fewer than expected: look at Not ready, and at whether Prometheus reaches port 10151 of each.", "none", `count(max by (worker_name) (`+onWorkers("gpustack:worker_node_os_info")+`))`),
		notReady, present, act,
		count("CPU cores", "Logical cores of the workers together. A GPU needs two or more cores; the gauge below shows how busy they are.", "none", `sum(max by (worker_name) (`+onWorkers("gpustack:worker_node_cpu_cores")+`))`),
		count("Memory", "Memory of the workers together, without that of GPUs.", "bytes", `sum(max by (worker_name) (`+onWorkers("gpustack:worker_node_memory_total_bytes")+`))`),
		vram, power,
	}
}

func workerGauges() []Panel {
	gauge := func(title, description, unit, expr, absent string, t []Threshold) Panel {
		return Panel{
			Kind: BarGauge, W: 4, H: 3, Title: title, Description: description, Unit: unit, Decimals: new(0), Min: new(0.0), Max: new(100.0),
			Thresholds: t, NoValue: absent, Queries: []Query{{Expr: expr, Legend: title}},
		}
	}
	ratio := func(used, total, by string) string {
		return fmt.Sprintf("100 * sum(max by (%[1]s) (%[2]s) and on (%[1]s) %[3]s) / sum(max by (%[1]s) (%[3]s))", by, onWorkers(used), onWorkers(total))
	}
	calm := []Threshold{{Color: "blue"}}
	return []Panel{
		gauge("CPU busy", "Share of all workers' cores that worked. Red from 95 %: tokenizing, scheduling and sampling wait, and GPUs wait for them.", "percent",
			`sum(max by (worker_name) (`+onWorkers("gpustack:worker_node_cpu_utilization_rate")+`) * on (worker_name) max by (worker_name) (`+onWorkers("gpustack:worker_node_cpu_cores")+`)) / sum(max by (worker_name) (`+onWorkers("gpustack:worker_node_cpu_cores")+`))`, "", limits(80, 95)),
		gauge("Memory used", "Share of all workers' memory in use. Red from 95 %: the kernel begins to kill; the table of workers says whose memory is full.", "percent",
			ratio("gpustack:worker_node_memory_used_bytes", "gpustack:worker_node_memory_total_bytes", byWorker), "", limits(85, 95)),
		gauge("GPU busy", "Mean utilization of all GPUs, as drivers report it: the share of time with any work, not how much of the GPU worked. No value is wrong by itself, so it has no colour.", "percent",
			`avg(max by (`+gpuBy+`) (`+onWorkers("gpustack:worker_node_gpu_utilization_rate")+`))`, "not measured", calm),
		gauge("VRAM used", "Share of all GPUs' memory in use. Engines reserve most of it at their start, so high is normal; no colour.", "percent",
			ratio("gpustack:worker_node_gram_used_bytes", "gpustack:worker_node_gram_total_bytes", gpuBy), "not measured", calm),
		gauge("Hottest GPU", "Temperature of the hottest GPU. Orange from 80, where many GPUs begin to lower their clocks, red from 90: see to its cooling, or drain it.", "celsius",
			`max(`+onWorkers("gpustack:worker_node_gpu_temperature_celsius")+`)`, "not measured", limits(80, 90)),
		gauge("Share of power limit", "Power that GPUs draw as a share of their limits. At 100 % they are throttled; that does no harm, but a higher limit makes them faster.", "percent",
			ratio("gpustack:worker_node_gpu_power_used_watts", "gpustack:worker_node_gpu_power_limit_watts", gpuBy), "no limit known", limits(90, 99)),
	}
}

func workerTable() Panel {
	most := func(family string) string { return `max by (worker_name) (` + onWorkers(family) + `)` }
	return Panel{
		Kind: Table, H: 7, Title: "State and load of each worker", SortBy: "CPU",
		Description: "One row per worker. Load is the mean of five minutes for each core: above 1, processes wait for a core. Fullest disk is the fullest filesystem: models are downloaded there; above 90 % clear it. A heartbeat older than 150 s makes a worker not ready: look at its log and at the network between it and the server. A click on the name shows that worker alone.",
		Queries: []Query{
			{Expr: `max by (worker_name, state) (` + onWorkers("gpustack:worker_status") + `)`},
			{Expr: `max by (worker_name) (` + onWorkers("gpustack:worker_heartbeat_age_seconds") + `)`},
			{Expr: most("gpustack:worker_node_cpu_utilization_rate")},
			{Expr: most("gpustack:worker_node_cpu_cores")},
			{Expr: most("gpustack:worker_node_load5") + ` / ` + most("gpustack:worker_node_cpu_cores")},
			{Expr: most("gpustack:worker_node_memory_utilization_rate")},
			{Expr: most("gpustack:worker_node_memory_total_bytes")},
			{Expr: most("gpustack:worker_node_filesystem_utilization_rate")},
			{Expr: `count by (worker_name) (count by (` + gpuBy + `) (` + onWorkers("gpustack:worker_node_gram_total_bytes") + `))`},
			{Expr: `sum by (worker_name) (max by (` + gpuBy + `) (` + onWorkers("gpustack:worker_node_gpu_power_used_watts") + `))`},
			{Expr: `count by (worker_name) (count by (worker_name, model_instance_name) (` + onWorkers("gpustack:runtime_scrape_success") + `))`},
			{Expr: most("gpustack:worker_node_uptime_seconds")},
		},
		Columns: []Column{
			{Title: "Worker", Label: "worker_name", Link: toWorker()},
			{Title: "State", Label: "state", Width: 100},
			{Title: "Heartbeat", Query: 2, Unit: "s", Decimals: new(0), Thresholds: limits(60, 150), Width: 90},
			{Title: "CPU", Query: 3, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 140, Thresholds: limits(80, 95)},
			{Title: "Cores", Query: 4, Width: 65},
			{Title: "Load/core", Query: 5, Decimals: new(2), Thresholds: limits(1, 2), Width: 85},
			{Title: "Memory", Query: 6, Unit: "percent", Decimals: new(0), Bar: true, Max: 100, Width: 140, Thresholds: limits(85, 95)},
			{Title: "of", Query: 7, Unit: "bytes", Decimals: new(0), Width: 80},
			{Title: "Fullest disk", Query: 8, Unit: "percent", Decimals: new(0), Thresholds: limits(80, 90), Width: 95},
			{Title: "GPUs", Query: 9, Width: 65},
			{Title: "Power", Query: 10, Unit: "watt", Decimals: new(0), Width: 80},
			{Title: "Instances", Query: 11, Width: 85},
			{Title: "Up for", Query: 12, Unit: "s", Decimals: new(0), Width: 85},
		},
		Overrides: []Override{states("ready", "green", "maintenance provisioning initializing pending", "blue", "not_ready deleting", "orange", "unreachable error", "red")},
	}
}
