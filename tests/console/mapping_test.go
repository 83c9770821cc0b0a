package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/tests/console/browser"
)

const (
	overlay = `extends: default
gpustack_metrics:
  gpustack:custom_queue_length:
    type: gauge
    description: Requests in the custom queue.
runtime_mapping:
  vLLM:
    "*":
      vllm:custom_queue_length: gpustack:custom_queue_length
`
	// nineLines is a whole document: it takes the place of the built-in one.
	nineLines = `gpustack_metrics:
  gpustack:num_requests_running:
    type: gauge
    description: Running.
runtime_mapping:
  vLLM:
    "*":
      vllm:num_requests_running: gpustack:num_requests_running

`
	editor     = ".m-edit .cm-content"
	openChange = "Control+s"
	submit     = ".mc-form button[type=submit]"
)

// TestMapping changes the mapping in the workbench, with an engine that exports a metric which nothing maps.
func TestMapping(t *testing.T) {
	skipShort(t)
	origin, _ := startWith(t, map[string]string{"chat-0": serveEngine(t)}, "--disable-builtin-observability")
	written := []browser.Step{
		{Do: "see", At: editor},
		{Do: "write", At: editor, Text: overlay},
		{Do: "press", At: editor, Text: openChange},
		{Do: "see", At: ".mc-change", Text: "1 added, 0 removed, 0 changed"},
	}
	life := append(written,
		browser.Step{Do: "click", At: ".mc-dry button[aria-label='Series of chat-0']"},
		browser.Step{Do: "see", At: ".mc-series", Text: "gpustack:custom_queue_length"},
		browser.Step{Do: "shot", Text: "tried"},
		browser.Step{Do: "click", At: submit},
		browser.Step{Do: "see", At: ".mc-hint"}, // a comment is asked for
		browser.Step{Do: "fill", At: "#mc-comment", Text: "count the custom queue"},
		browser.Step{Do: "fill", At: "#mc-author", Text: "operations"},
		browser.Step{Do: "hold", Text: "/v2/metrics/config"},
		browser.Step{Do: "click", At: submit},
		browser.Step{Do: "write", At: editor, Text: overlay + "# typed while it is sent\n"},
		browser.Step{Do: "see", At: ".mc-change", Text: "The document has changed since this dry run."},
		browser.Step{Do: "release"},
		browser.Step{Do: "see", At: ".mc-done", Text: "Generation 1 is active"},
		browser.Step{Do: "see", At: editor, Text: "# typed while it is sent"},
		browser.Step{Do: "see", At: ".m-head .f-state", Text: "Unsaved changes since generation 1"},
		browser.Step{Do: "see", At: ".mc-sum", Text: "1 of 1 worker uses generation 1"},
		browser.Step{Do: "shot", Text: "arrived"},
		browser.Step{Do: "write", At: editor, Text: strings.Replace(overlay, "Requests", "All requests", 1)},
		browser.Step{Do: "press", At: editor, Text: openChange}, // the key tries the edited text
		browser.Step{Do: "see", At: ".mc-change", Text: "No series of a live instance would change."},
		browser.Step{Do: "write", At: editor, Text: overlay},
		browser.Step{Do: "see", At: ".mc-change", Text: "The document has changed since this dry run."},
		browser.Step{Do: "see", At: submit + ":disabled"},
		browser.Step{Do: "go", Text: "/mapping?view=history"},
		browser.Step{Do: "see", At: ".mc-generations", Text: "count the custom queue"},
		browser.Step{Do: "see", At: ".mc-generations .mc-active", Text: "operations"},
		browser.Step{Do: "click", At: "button[aria-label='Open generation 1']"},
		browser.Step{Do: "see", At: ".mc-opened pre", Text: "extends: default"},
		browser.Step{Do: "click", At: "button[aria-label='Open generation 0']"},
		browser.Step{Do: "click", At: "text=Difference to the active one"},
		browser.Step{Do: "see", At: ".mc-diff", Text: "gpustack:custom_queue_length"},
		browser.Step{Do: "shot", Text: "history"},
		browser.Step{Do: "click", At: "text=Restore …"},
		browser.Step{Do: "see", At: ".mc-loss", Text: "1 series vanishes"},
		browser.Step{Do: "see", At: submit + ":disabled"},
		browser.Step{Do: "check", At: ".mc-tick input"},
		browser.Step{Do: "fill", At: "#mc-comment", Text: "not needed any more"},
		browser.Step{Do: "shot", Text: "restoring"},
		browser.Step{Do: "click", At: submit},
		browser.Step{Do: "see", At: ".mc-done", Text: "Generation 2 is active"},
		browser.Step{Do: "see", At: ".mc-sum", Text: "1 of 1 worker uses generation 2"},
		browser.Step{Do: "see", At: ".mc-generations", Text: "not needed any more"},
	)
	visits := []browser.Visit{
		{Name: "mapping-life", Path: "/mapping", Theme: "light", Width: 1440, Height: 900, Axe: true, InSight: true, Steps: life},
		{Name: "mapping-narrow", Path: "/mapping?view=history", Theme: "dark", Width: 390, Height: 844, Axe: true, Keyboard: true, Steps: []browser.Step{
			{Do: "click", At: "button[aria-label='Open generation 1']"},
			{Do: "click", At: "text=Restore …"},
			{Do: "see", At: ".mc-change", Text: "1 added, 0 removed, 0 changed"},
		}},
		{Name: "mapping-nine-lines", Path: "/mapping", Theme: "light", Width: 1440, Height: 900, Axe: true, InSight: true, Steps: []browser.Step{
			{Do: "write", At: editor, Text: nineLines},
			{Do: "press", At: editor, Text: openChange},
			{Do: "see", At: ".mc-loss strong", Text: "series vanish"},
			{Do: "fill", At: "#mc-comment", Text: "one metric"},
			{Do: "see", At: submit + ":disabled"},
			{Do: "check", At: ".mc-tick input"},
			{Do: "see", At: submit + ":enabled"},
			{Do: "click", At: ".mc-close"},
			{Do: "miss", At: ".mc-change"},
			{Do: "see", At: editor, Text: "Running."}, // the text stays
			{Do: "press", At: editor, Text: openChange},
			{Do: "see", At: ".mc-change:focus"},
			{Do: "press", Text: "Escape"},
			{Do: "miss", At: ".mc-change"},
			{Do: "press", At: editor, Text: openChange},
			{Do: "see", At: ".mc-loss strong", Text: "series vanish"},
		}},
		{Name: "mapping-two-writers", Path: "/mapping", Theme: "dark", Width: 1440, Height: 900, Axe: true, InSight: true, Steps: append(slowWriter(written),
			browser.Step{Do: "fill", At: "#mc-comment", Text: "the slower one"},
			browser.Step{Do: "click", At: submit},
			browser.Step{Do: "see", At: ".mc-alert", Text: "Another change was faster"},
			browser.Step{Do: "see", At: ".mc-alert", Text: "Generation 3 is active now"},
			browser.Step{Do: "see", At: ".mc-alert", Text: "the faster one"},
			browser.Step{Do: "click", At: ".mc-alert button[aria-expanded]"},
			browser.Step{Do: "see", At: ".mc-alert .mc-diff", Text: "faster_queue_length"},
			browser.Step{Do: "shot", Text: "conflict"},
			browser.Step{Do: "click", At: "text=Go on from generation 3 with this text"},
			browser.Step{Do: "see", At: ".mc-change", Text: "Based on generation 3"},
			browser.Step{Do: "see", At: ".mc-loss", Text: "1 series vanishes"}, // that of the faster one
			browser.Step{Do: "check", At: ".mc-tick input"},
			browser.Step{Do: "fill", At: "#mc-comment", Text: "the slower one"},
			browser.Step{Do: "click", At: submit},
			browser.Step{Do: "see", At: ".mc-done", Text: "Generation 4 is active"},
		)},
	}
	seen := browser.Open(t, origin, visits)
	for _, v := range visits {
		s := seen[v.Name]
		t.Run(v.Name, func(t *testing.T) {
			if v.Name == "mapping-two-writers" {
				expect(t, &s, "412 POST")
			}
			s.Check(t)
		})
	}
	var history struct {
		Items []struct {
			Generation   int64
			Active       bool
			Comment      string
			RestoredFrom *int64 `json:"restored_from"`
		}
	}
	if err := read(origin+"/v2/metrics/config/generations", &history); err != nil {
		t.Fatal(err)
	}
	comments := make([]string, 0, len(history.Items))
	for _, g := range history.Items {
		comments = append(comments, g.Comment)
		if g.Generation == 2 && (g.RestoredFrom == nil || *g.RestoredFrom != 0) {
			t.Errorf("generation 2 was restored from %v, not from the built-in mapping", g.RestoredFrom)
		}
		if g.Active != (g.Generation == 4) {
			t.Errorf("generation %d: active is %t", g.Generation, g.Active)
		}
	}
	if got, want := strings.Join(comments, ", "), "the slower one, the faster one, not needed any more, count the custom queue, "; got != want {
		t.Errorf("the comments are %q, not %q", got, want)
	}
}

// TestMappingNeedsToken: the token is asked for when the change is tried, and the viewer goes on where they were.
func TestMappingNeedsToken(t *testing.T) {
	skipShort(t)
	origin, data := startWith(t, map[string]string{"chat-0": serveEngine(t)}, "--disable-builtin-observability", "--no-trust-loopback")
	token, err := os.ReadFile(filepath.Join(data, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	steps := []browser.Step{
		{Do: "write", At: editor, Text: overlay},
		{Do: "press", At: editor, Text: openChange},
		{Do: "see", At: ".token-dialog"},
		{Do: "press", Text: "Escape"},
		{Do: "see", At: ".mc-alert", Text: "nothing is lost"},
		{Do: "click", At: ".mc-alert button"},
		{Do: "fill", At: "#token-input", Text: strings.TrimSpace(string(token))},
		{Do: "click", At: ".token-dialog button[type=submit]"},
		{Do: "see", At: ".mc-change", Text: "1 added, 0 removed, 0 changed"},
		{Do: "fill", At: "#mc-comment", Text: "with the token"},
		{Do: "click", At: submit},
		{Do: "see", At: ".mc-done", Text: "Generation 1 is active"},
	}
	s := browser.Open(t, origin, []browser.Visit{{Name: "mapping-token", Path: "/mapping", Theme: "light", Width: 1440, Height: 900, Axe: true, InSight: true, Steps: steps}})["mapping-token"]
	expect(t, &s, "401 POST")
	s.Check(t)
}

// slowWriter opens a change in the first tab, and makes another one in a second tab meanwhile.
func slowWriter(written []browser.Step) []browser.Step {
	steps := append([]browser.Step(nil), written...)
	for _, s := range written {
		s.Page = 1
		s.Text = strings.ReplaceAll(s.Text, "gpustack:custom_queue_length", "gpustack:faster_queue_length")
		steps = append(steps, s)
	}
	return append(steps,
		browser.Step{Page: 1, Do: "fill", At: "#mc-comment", Text: "the faster one"},
		browser.Step{Page: 1, Do: "click", At: submit},
		browser.Step{Page: 1, Do: "see", At: ".mc-done", Text: "Generation 3 is active"},
	)
}
