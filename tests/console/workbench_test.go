package console

import (
	"testing"

	"github.com/stackscope/stackscope/tests/console/browser"
)

// TestWorkbench edits the mapping and looks at what it makes of a live instance's page. Nothing is activated.
func TestWorkbench(t *testing.T) {
	skipShort(t)
	origin, _ := startWith(t, map[string]string{"chat-0": serveEngine(t)}, "--disable-builtin-observability")
	const faulty = "extends: default\ngpustack_metrics:\n  gpustack:custom_queue_length:\n    type: spiral\n"
	visits := []browser.Visit{
		{Name: "workbench", Path: "/mapping", Theme: "light", Width: 1440, Height: 900, Axe: true, InSight: true, Steps: []browser.Step{
			{Do: "see", At: editor, Text: "# Example: a metric of chat-0"}, // made of the unmapped one
			{Do: "see", At: editor, Text: "vllm:custom_queue_length: gpustack:custom_queue_length"},
			{Do: "type", At: editor, Text: "extends: default"}, // a browser that styles what it replaces breaks the Content-Security-Policy
			{Do: "see", At: ".m-faults", Text: "No fault."},
			{Do: "write", At: editor, Text: faulty},
			{Do: "see", At: ".m-faults li", Text: "line 4"},
			{Do: "click", At: ".m-faults li button"},
			{Do: "shot", Text: "fault"},
			{Do: "write", At: editor, Text: overlay},
			{Do: "see", At: ".m-faults", Text: "No fault."},
			{Do: "see", At: ".m-counts", Text: "1 added, 0 removed, 0 changed"},
			{Do: "click", At: ".f-chip:has-text('changed')"},
			{Do: "click", At: "#m-native-0"},
			{Do: "see", At: ".m-detail", Text: "becomes gpustack:custom_queue_length"},
			{Do: "see", At: ".m-side.unified .m-line.added.related", Text: "gpustack:custom_queue_length{"},
			{Do: "press", At: ".m-side.unified .m-pane", Text: "End"},
			{Do: "see", At: ".m-detail", Text: "comes from vllm:custom_queue_length"},
			{Do: "shot", Text: "preview"},
			{Do: "click", At: "text=Built-in document"},
			{Do: "see", At: ".m-built-in .cm-content", Text: "gpustack:num_requests_running"},
			{Do: "type", At: ".m-built-in .cm-content", Text: "spiral"},
			{Do: "miss", At: ".m-built-in .cm-content", Text: "spiral"},
			{Do: "go", Text: "/workers"},
			{Do: "go", Text: "/mapping"},
			{Do: "see", At: ".m-head", Text: "Unsaved changes"},
			{Do: "see", At: editor, Text: "vllm:custom_queue_length"},
			{Do: "click", At: "text=Discard the changes"},
			{Do: "miss", At: ".m-head", Text: "Unsaved changes"},
		}},
		{Name: "workbench-narrow", Path: "/mapping", Theme: "dark", Width: 390, Height: 844, Axe: true, Language: "zh-CN", Steps: []browser.Step{
			{Do: "see", At: ".m-side.native .m-line.unmapped", Text: "vllm:custom_queue_length"},
			{Do: "fill", At: ".m-tools input", Text: "custom_queue"},
			{Do: "press", At: ".m-side.native .m-pane", Text: "End"},
			{Do: "press", At: ".m-side.native .m-pane", Text: "Enter"},
			{Do: "see", At: editor, Text: "vllm:custom_queue_length: gpustack:custom_queue_length"},
			{Do: "see", At: ".m-counts", Text: "新增 1"},
			{Do: "click", At: ".m-tabs button:nth-child(2)"},
			{Do: "see", At: ".m-side.unified .m-line.added", Text: "gpustack:custom_queue_length{"},
		}},
	}
	seen := browser.Open(t, origin, visits)
	for _, v := range visits {
		s := seen[v.Name]
		t.Run(v.Name, func(t *testing.T) {
			if v.Name == "workbench" {
				expect(t, &s, "422 POST")
			}
			s.Check(t)
		})
	}
}
