package worker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// A worker says itself what a server would refuse, before it touches anything.
func TestWorkerChecksWhatItIsCalled(t *testing.T) {
	labels := func(key, value string) func(*Options) {
		return func(o *Options) { o.Labels = map[string]string{"rack": "7", key: value} }
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"name":           {func(o *Options) { o.Name = "gpu-\u202e1" }, []string{"--worker-name is", "character 5 is U+202E"}},
		"space":          {func(o *Options) { o.Name = "gpu-1 " }, []string{"--worker-name", "space at its beginning or end"}},
		"long":           {func(o *Options) { o.Name = strings.Repeat("x", 254) }, []string{"--worker-name is 254 bytes long"}},
		"cluster":        {func(o *Options) { o.Cluster = "la\u200bb" }, []string{"--cluster is", "character 3 is U+200B"}},
		"key":            {labels("ra\u00adck", "1"), []string{"--worker-label: label key", "U+00AD"}},
		"value":          {labels("zone", "a\u2028b"), []string{`--worker-label: label "zone": its value`, "U+2028"}},
		"reserved":       {labels("le", "1"), []string{`--worker-label: label "le" is reserved`, "another name"}},
		"reserved, ours": {labels("worker_name", "1"), []string{`label "worker_name" is reserved`}},
		"many": {func(o *Options) {
			o.Labels = map[string]string{}
			for n := range fleet.MaxLabels + 1 {
				o.Labels[strings.Repeat("x", n+1)] = "y"
			}
		}, []string{"--worker-label is given for 65 labels"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.DataDir = filepath.Join(t.TempDir(), "data")
			c.change(&o)
			_, err := New(t.Context(), o)
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("lacks %q: %v", want, err)
				}
			}
			if _, err := os.Stat(o.DataDir); err == nil {
				t.Error("the data directory was made")
			}
		})
	}
	o := options(t)
	o.Name, o.Cluster, o.Labels, o.DisableWorkerMetrics = "通义-1", "südhaus", map[string]string{"topology.kubernetes.io/zone": "a b", "worker-name": "x"}, true
	w, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// What an engine says of itself is shown for what it is: in reports and on the page alike, and two models don't become one.
func TestModelsOfHostileEngines(t *testing.T) {
	server := newFakeServer(t)
	o := options(t)
	o.ServerURL, o.Token = server.URL, joinToken
	say := func(model string) string {
		return fakeEngine(t, map[string]string{
			"/metrics": strings.ReplaceAll(vllmPage, "qwen", "other"), "/version": `{"version":"0.11\u200b"}`, "/v1/models": `{"data":[{"id":"` + model + `"}]}`,
		})
	}
	o.Engines = []engine.Declaration{{URL: vllm(t), Instance: "well"}, {URL: say(`qwen\u200b`), Instance: "zero"}, {URL: say(`\u202eqwen `), Instance: "turned"}}
	w := run(t, o)
	var last wire.ReportRequest
	want := []string{"well qwen 0.11.0", "zero qwen<U+200B> 0.11<U+200B>", "turned <U+202E>qwen<U+0020> 0.11<U+200B>"}
	eventually(t, "a report of all", func() bool {
		last, _ = server.lastReport()
		var got []string
		for _, in := range last.Instances {
			got = append(got, in.Name+" "+in.Model+" "+in.RuntimeVersion)
		}
		return slices.Equal(got, want)
	})
	page := w.scrape(t, "/metrics")
	for _, model := range []string{"qwen", "qwen<U+200B>", "<U+202E>qwen<U+0020>"} {
		if !strings.Contains(page, `model_name="`+model+`"`) {
			t.Errorf("the page lacks the model %s", model)
		}
	}
	for _, hidden := range []string{"\u200b", "\u202e"} {
		if strings.Contains(page, hidden) {
			t.Errorf("the page has %q", hidden)
		}
	}
	if got := lines(page, "stackscope_unreported_instances{"); len(got) != 1 || !strings.HasSuffix(got[0], " 0") {
		t.Errorf("the page says %v", got)
	}
}
