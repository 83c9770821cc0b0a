package translate_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
)

// modelLabels are the native labels that name a model.
var modelLabels = []string{"model_name", "model", "served_model"}

// splitLabels are the labels of a model's samples on the pages below, and with an empty model those of the whole page.
func splitLabels(model string) []translate.Label {
	labels := []translate.Label{{Name: "worker_id", Value: "7"}, {Name: "model_name", Value: model}}
	if model == "" {
		return append(labels, translate.Label{Name: "model_instance_name", Value: "ray"})
	}
	return append(labels, translate.Label{Name: "model_instance_name", Value: "ray-" + model})
}

func splitSource(other bool, models ...string) *translate.Source {
	s := translate.Split{By: modelLabels, Models: map[string][]translate.Label{}}
	for _, m := range models {
		s.Models[m] = splitLabels(m)
	}
	if other {
		s.Other = splitLabels("other")
	}
	return translate.NewSplitSource(splitLabels(""), s)
}

// TestSplitOfRaysPage reads shared/field/06, a page of Ray with two models, in the shape of Ray 2.52: replicas of a model add up to it.
func TestSplitOfRaysPage(t *testing.T) {
	const line = `ray_vllm_%s{WorkerId="%s",ReplicaId="%s",engine="0"%s,model_name="%s"} %s` + "\n"
	var page strings.Builder
	for _, r := range []struct{ worker, replica, model, running, prompt, output, reason, success string }{
		{"w1", "qq7rz5ag", "qwen-0.5b", "3.0", "4116.0", "116.0", "stop", "40.0"},
		{"w2", "2on12ut3", "llama-8b", "5.0", "900.0", "90.0", "length", "9.0"},
		{"w3", "9x2", "llama-8b", "1.0", "100.0", "10.0", "length", "1.0"},
	} {
		fmt.Fprintf(&page, line, "num_requests_running", r.worker, r.replica, "", r.model, r.running)
		fmt.Fprintf(&page, line, "prompt_tokens", r.worker, r.replica, "", r.model, r.prompt)
		fmt.Fprintf(&page, line, "generation_tokens", r.worker, r.replica, "", r.model, r.output)
		fmt.Fprintf(&page, line, "request_success", r.worker, r.replica, `,finished_reason="`+r.reason+`"`, r.model, r.success)
	}
	plan := defaultMapping(t).Plan("vLLM", "")
	var r translate.Result
	r.Translate([]byte(page.String()), translate.Text, plan, splitSource(false, "qwen-0.5b", "llama-8b"))
	got := sumBy(t, unified(plan, &r), "model_name", "model_instance_name")
	if diff := cmp.Diff(map[string]string{
		"gpustack:num_requests_running qwen-0.5b ray-qwen-0.5b":    "3",
		"gpustack:num_requests_running llama-8b ray-llama-8b":      "6",
		"gpustack:prompt_tokens_total qwen-0.5b ray-qwen-0.5b":     "4116",
		"gpustack:prompt_tokens_total llama-8b ray-llama-8b":       "1000",
		"gpustack:generation_tokens_total qwen-0.5b ray-qwen-0.5b": "116",
		"gpustack:generation_tokens_total llama-8b ray-llama-8b":   "100",
		"gpustack:request_success_total qwen-0.5b ray-qwen-0.5b":   "40",
		"gpustack:request_success_total llama-8b ray-llama-8b":     "10",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := unified(plan, &r); strings.Contains(text, "exported_") {
		t.Errorf("a label is there twice:\n%s", text)
	}
}

// sumBy adds up the samples of a page by name and labels.
func sumBy(t *testing.T, page string, labels ...string) map[string]string {
	t.Helper()
	sums := map[string]float64{}
	for line := range strings.Lines(page) {
		var s exposition.Sample
		if strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.Parse([]byte(strings.TrimSpace(line))); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var key strings.Builder
		key.WriteString(string(s.Name))
		for _, name := range labels {
			i := slices.IndexFunc(s.Labels, func(l exposition.Label) bool { return string(l.Name) == name })
			if i < 0 {
				key.WriteString(" -")
				continue
			}
			key.WriteString(" " + string(s.Labels[i].Value))
		}
		v, _ := exposition.ParseNumber(s.Value)
		sums[key.String()] += v
	}
	out := map[string]string{}
	for key, v := range sums {
		out[key] = fmt.Sprint(v)
	}
	return out
}

// TestFieldPageOfRay reads the page itself, where the machine has it.
func TestFieldPageOfRay(t *testing.T) {
	page, err := os.ReadFile("../../../shared/field/06-ray-two-models-no-total.prom")
	if err != nil {
		t.Skip("the page is not there")
	}
	plan := defaultMapping(t).Plan("vLLM", "")
	var r translate.Result
	r.Translate(page, translate.Text, plan, splitSource(false, "qwen-0.5b", "llama-8b"))
	if diff := cmp.Diff(map[string]string{
		"gpustack:num_requests_running qwen-0.5b":    "3",
		"gpustack:num_requests_running llama-8b":     "5",
		"gpustack:prompt_tokens_total qwen-0.5b":     "4116",
		"gpustack:prompt_tokens_total llama-8b":      "900",
		"gpustack:generation_tokens_total qwen-0.5b": "116",
		"gpustack:generation_tokens_total llama-8b":  "90",
		"gpustack:request_success_total qwen-0.5b":   "40",
		"gpustack:request_success_total llama-8b":    "9",
	}, sumBy(t, unified(plan, &r), "model_name")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSplitKinds says for each way in which a page may name models what becomes of its samples.
func TestSplitKinds(t *testing.T) {
	for _, c := range []struct {
		name, runtime string
		source        *translate.Source
		page, want    string
	}{
		{
			"Dynamo's frontend keeps its label model", "Dynamo", splitSource(false, "a", "b"),
			"dynamo_frontend_queued_requests{model=\"a\"} 1\ndynamo_frontend_queued_requests{model=\"b\"} 2\n",
			`gpustack:num_requests_waiting{worker_id="7",model_name="a",model_instance_name="ray-a",model="a"} 1
gpustack:num_requests_waiting{worker_id="7",model_name="b",model_instance_name="ray-b",model="b"} 2
`,
		},
		{
			"Triton with two plain models", "Triton", splitSource(false, "a", "b"),
			"nv_inference_request_failure{model=\"a\",version=\"1\"} 1\nnv_inference_request_failure{model=\"b\",version=\"1\"} 2\nnv_inference_request_failure{model=\"b\",version=\"2\"} 3\n",
			`gpustack:request_failed_total{worker_id="7",model_name="a",model_instance_name="ray-a",model="a",version="1"} 1
gpustack:request_failed_total{worker_id="7",model_name="b",model_instance_name="ray-b",model="b",version="1"} 2
gpustack:request_failed_total{worker_id="7",model_name="b",model_instance_name="ray-b",model="b",version="2"} 3
`,
		},
		{
			"a sample without the label belongs to no model", "vLLM", splitSource(false, "a", "b"),
			"vllm:num_requests_running{model_name=\"a\"} 1\nvllm:num_requests_running{engine=\"0\"} 2\nvllm:num_requests_running 3\n",
			`gpustack:num_requests_running{worker_id="7",model_name="a",model_instance_name="ray-a"} 1
gpustack:num_requests_running{worker_id="7",model_instance_name="ray",engine="0"} 2
gpustack:num_requests_running{worker_id="7",model_instance_name="ray"} 3
`,
		},
		{
			"a name that is not known yet keeps its label", "vLLM", splitSource(false, "a", "b"),
			"vllm:num_requests_running{model_name=\"new\"} 1\n",
			"gpustack:num_requests_running{worker_id=\"7\",model_instance_name=\"ray\",model_name=\"new\"} 1\n",
		},
		{
			"beyond the limit the native name stays", "vLLM", splitSource(true, "a", "b"),
			"vllm:num_requests_running{model_name=\"m33\"} 1\nvllm:num_requests_running{model_name=\"m34\"} 2\n",
			`gpustack:num_requests_running{worker_id="7",model_name="other",model_instance_name="ray-other",exported_model_name="m33"} 1
gpustack:num_requests_running{worker_id="7",model_name="other",model_instance_name="ray-other",exported_model_name="m34"} 2
`,
		},
		{
			"a name with escapes", "vLLM", splitSource(false, `a"b`, `c\d`),
			"vllm:num_requests_running{model_name=\"a\\\"b\"} 1\nvllm:num_requests_running{model_name=\"c\\\\d\"} 2\n",
			`gpustack:num_requests_running{worker_id="7",model_name="a\"b",model_instance_name="ray-a\"b"} 1
gpustack:num_requests_running{worker_id="7",model_name="c\\d",model_instance_name="ray-c\\d"} 2
`,
		},
		{
			"a series of one model that comes twice", "vLLM", splitSource(false, "a", "b"),
			"vllm:num_requests_running{model_name=\"a\"} 1\nvllm:num_requests_running{model_name=\"b\"} 2\nvllm:num_requests_running{model_name=\"a\"} 3\n",
			`gpustack:num_requests_running{worker_id="7",model_name="a",model_instance_name="ray-a"} 1
gpustack:num_requests_running{worker_id="7",model_name="b",model_instance_name="ray-b"} 2
`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := defaultMapping(t).Plan(c.runtime, "")
			var r translate.Result
			for range 3 { // the third by the template of the second
				r.Translate([]byte(c.page), translate.Text, plan, c.source)
				if diff := cmp.Diff(c.want, withoutComments(unified(plan, &r))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

func withoutComments(page string) string {
	var b strings.Builder
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestSplitIsEachModelAlone puts two models on every page of testdata and on every recorded one: the result is what each model's lines
// give alone.
func TestSplitIsEachModelAlone(t *testing.T) {
	for _, p := range pageFiles(t) {
		t.Run(p.name, func(t *testing.T) { splitAsAlone(t, p.page, p.format, p.plan) })
	}
	t.Run("engines", func(t *testing.T) {
		enginepages.Each(t, func(t *testing.T, p enginepages.Page) { //nolint:thelper // the body of a test: its own lines are wanted
			splitAsAlone(t, p.Text, translate.DetectFormat("", p.Text), defaultMapping(t).Plan(p.Runtime, p.Version))
		})
	})
}

func splitAsAlone(t *testing.T, text []byte, format translate.Format, plan *mapping.Plan) {
	t.Helper()
	models := []string{"one", "two"}
	var both []byte
	alone := make([][]byte, len(models))
	for i, model := range models {
		alone[i] = ofModel(text, format, model)
		both = append(both, alone[i]...)
	}
	translated := func(page []byte, source *translate.Source) (unifiedLines, rawLines []string) {
		var r translate.Result
		var raw translate.Raw
		for range 3 { // the third by the template of the second
			r.Translate(page, translate.Text, plan, source)
		}
		raw.Collect(page, translate.Text, source)
		return sampleLines(unified(plan, &r)), sampleLines(string(mergeRaw(&raw)))
	}
	got, gotRaw := translated(both, splitSource(false, models...))
	var want, wantRaw []string
	for i, model := range models {
		lines, rawLines := translated(alone[i], translate.NewSource(splitLabels(model)))
		want, wantRaw = append(want, lines...), append(wantRaw, rawLines...)
	}
	slices.Sort(want)
	slices.Sort(wantRaw)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-alone +together):\n%s", diff)
	}
	if diff := cmp.Diff(wantRaw, gotRaw); diff != "" {
		t.Errorf("native names (-alone +together):\n%s", diff)
	}
}

// ofModel returns a page's lines with the model's name in label model_name, without other labels that name one.
func ofModel(page []byte, f translate.Format, model string) []byte {
	var out []byte
	lines := exposition.NewScanner(page, f)
	for lines.Scan() {
		var s exposition.Sample
		if lines.Kind() != exposition.SampleLine || s.Parse(lines.Line()) != nil {
			continue
		}
		pairs := []string{"model_name", model}
		for _, l := range s.Labels {
			if !slices.Contains(modelLabels, string(l.Name)) {
				pairs = append(pairs, string(l.Name), string(exposition.Unescape(nil, l.Value)))
			}
		}
		out = fmt.Appendf(out, "%s{%s} %s\n", s.Name, exposition.RenderLabels(pairs...), s.Value)
	}
	return out
}

// sampleLines returns the lines of samples, sorted.
func sampleLines(page string) []string {
	return slices.Sorted(strings.Lines(withoutComments(page)))
}
