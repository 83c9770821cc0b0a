package bench

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/translate"
)

// modelPages are Pages of so many models instead of ranks, as on a page of Ray.
func modelPages(models int) [][]byte {
	pages := Pages(models, true)
	for i := range pages {
		for k := range models {
			rank := fmt.Appendf(nil, `engine="%d",`, k)
			var out []byte
			for line := range bytes.Lines(pages[i]) {
				if bytes.Contains(line, rank) {
					line = bytes.Replace(line, []byte(modelLabel), fmt.Appendf(nil, `model_name="Qwen/Qwen3-%d"`, k), 1)
				}
				out = append(out, line...)
			}
			pages[i] = out
		}
	}
	return pages
}

// splitSource are the labels of a page of so many models; 0: of a page of one.
func splitSource(models int) *translate.Source {
	labels := func(model string) []translate.Label {
		return []translate.Label{
			{Name: catalog.LabelClusterID, Value: "1"},
			{Name: catalog.LabelClusterName, Value: "default"},
			{Name: catalog.LabelWorkerID, Value: "7"},
			{Name: catalog.LabelWorkerName, Value: "node-1"},
			{Name: catalog.LabelModelID, Value: "3"},
			{Name: catalog.LabelModelName, Value: model},
			{Name: catalog.LabelModelInstanceID, Value: "12"},
			{Name: catalog.LabelModelInstanceName, Value: "ray" + model},
			{Name: catalog.LabelRuntime, Value: "vLLM"},
		}
	}
	if models == 0 {
		return translate.NewSource(labels("Qwen/Qwen3-32B"))
	}
	split := translate.Split{By: []string{"model_name", "model", "served_model"}, Models: map[string][]translate.Label{}}
	for k := range models {
		name := fmt.Sprintf("Qwen/Qwen3-%d", k)
		split.Models[name] = labels(name)
	}
	return translate.NewSplitSource(labels(""), split)
}

// BenchmarkModels translates a page of several models beside one of as many ranks of one model.
func BenchmarkModels(b *testing.B) {
	plan := compiled(b).Plan("vLLM", "")
	for _, c := range []struct {
		name   string
		pages  [][]byte
		source *translate.Source
	}{
		{"1 model, 9 ranks", Pages(9, true), splitSource(0)},
		{"9 models", modelPages(9), splitSource(9)},
		{"1 model, 32 ranks", Pages(32, true), splitSource(0)},
		{"32 models", modelPages(32), splitSource(32)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var r translate.Result
			for range 3 {
				for _, page := range c.pages {
					r.Translate(page, translate.Text, plan, c.source)
				}
			}
			b.SetBytes(int64(len(c.pages[0])))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Translate(c.pages[i%len(c.pages)], translate.Text, plan, c.source)
			}
		})
	}
}

// A page of several models costs no allocation either.
func TestModelsAllocateNothing(t *testing.T) {
	plan, pages, source := compiled(t).Plan("vLLM", ""), modelPages(9), splitSource(9)
	var r translate.Result
	for range 3 {
		for _, page := range pages {
			r.Translate(page, translate.Text, plan, source)
		}
	}
	i := 0
	if n := testing.AllocsPerRun(50, func() {
		i++
		r.Translate(pages[i%len(pages)], translate.Text, plan, source)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
