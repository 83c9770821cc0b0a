package dashboards

import (
	"fmt"
	"strings"
)

// What the dashboards about GPUs have in common.
const (
	gpuBy       = "worker_name, gpu_index, gpu_chip_index" // tells GPUs of a cluster apart
	gpuLegend   = "{{worker_name}} {{gpu_index}}.{{gpu_chip_index}}"
	gpuSelector = `cluster_name="$cluster_name", worker_name=~"$worker_name"`
	// worstGPUs is how many lines a panel about single GPUs shows, so that it stays readable with hundreds of GPUs.
	worstGPUs = 12
)

// GPUs selects a family of the chosen workers. More matchers may follow.
func gpus(family string, more ...string) string {
	return "gpustack:" + family + "{" + listed(gpuSelector, more) + "}"
}

// listed puts more entries behind a list.
func listed(list string, more []string) string {
	return strings.Join(append([]string{list}, more...), ", ")
}

// byGPU is the family with one sample for each GPU, and for each value of the further labels.
func byGPU(series string, more ...string) string {
	return fmt.Sprintf("max by (%s) (%s)", listed(gpuBy, more), series)
}

// worst keeps of what expr says about GPUs the few with the highest score over the whole range, so that a line doesn't come and
// go. The score must be fixed at the range's end by "@ end()". More labels tell several lines of a GPU apart.
func worst(expr, score string, more ...string) string {
	return fmt.Sprintf("(%s) and on (%s) topk(%d, %s)", expr, listed(gpuBy, more), worstGPUs, score)
}

// highest is the worst of a gauge: those with the highest value in the range.
func highest(series string, more ...string) string {
	return worst(byGPU(series, more...), byGPU("max_over_time("+series+"[$__range] @ end())", more...), more...)
}

// above0 scores those alone that have anything, or all where none has: a dozen lines at 0 would hide the one that is not.
func above0(score string) string {
	return fmt.Sprintf("((%[1]s) > 0 or ((%[1]s) unless on () (%[1]s) > 0))", score)
}

// thin draws single lines, without the fill that turns to mud where many overlap.
func thin() Override {
	return Override{Matching: ".*", Properties: map[string]any{"custom.fillOpacity": 0}}
}

// stairs draws what changes by single events.
func stairs() Override {
	return Override{Matching: ".*", Properties: map[string]any{"custom.fillOpacity": 0, "custom.lineInterpolation": "stepAfter", "custom.axisSoftMax": 4}}
}

// rare draws what should be 0, with an axis that doesn't make 0 look like little.
func rare() Override {
	return Override{Matching: ".*", Properties: map[string]any{"custom.fillOpacity": 0, "custom.axisSoftMax": 1}}
}

// matrixCells colours the cells of a matrix, but not its first column, by their thresholds.
func matrixCells() Override {
	return Override{Matching: "^(?!Metric).*", Properties: map[string]any{"custom.cellOptions": object{"type": "color-text"}, "custom.align": "center"}}
}

// toWorker leads from a row of a table to its worker.
func toWorker() *Link {
	return To("gpustack-worker", "Worker ${__data.fields.worker_name}", varCluster, "${"+varCluster+"}", varWorker, "${__data.fields.worker_name}")
}

// lineToWorker leads from a line to its worker.
func lineToWorker() []Link {
	return []Link{*To("gpustack-worker", "Worker ${__field.labels.worker_name}", varCluster, "${"+varCluster+"}", varWorker, "${__field.labels.worker_name}")}
}

// gpuColumns begin a table about GPUs.
func gpuColumns(more ...Column) []Column {
	return append([]Column{
		{Title: "Worker", Label: "worker_name", Link: toWorker()},
		{Title: "GPU", Label: "gpu_index", Width: 52},
		{Title: "Chip", Label: "gpu_chip_index", Width: 52},
	}, more...)
}

// bad turns red from the given value on.
func bad(from float64) []Threshold { return []Threshold{{Color: "green"}, {Color: "red", From: from}} }

// limits turn orange, then red.
func limits(orange, red float64) []Threshold {
	return []Threshold{{Color: "green"}, {Color: "orange", From: orange}, {Color: "red", From: red}}
}
