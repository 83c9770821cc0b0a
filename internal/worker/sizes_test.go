package worker

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/enginepages"
	"github.com/stackscope/stackscope/internal/simengine"
)

const sizingPage = "../../docs/sizing.md"

// TestSizes holds the tables of docs/sizing.md: how many series a worker exports of an engine and of a GPU.
func TestSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a worker for each recorded page")
	}
	t.Run("engines", func(t *testing.T) { holdTable(t, "engines", engineSizes(t, ownSources(t))) })
	t.Run("gpus", func(t *testing.T) { holdTable(t, "gpus", gpuSizes(t)) })
	t.Run("recorded", func(t *testing.T) {
		var sources []sizedEngine
		for _, p := range enginepages.Recorded(t) {
			if p.Runtime != "" {
				sources = append(sources, sizedEngine{title: p.Name, runtime: p.Runtime, version: p.Version, url: servePage(t, p)})
			}
		}
		holdTable(t, "recorded", engineSizes(t, sources))
	})
}

// sizedEngine is an engine whose series are counted.
type sizedEngine struct {
	title, runtime, version, url string
}

// ownSources are the simulated engines and gateway. The pages of engines in the repository are parts of pages.
func ownSources(t *testing.T) (sources []sizedEngine) {
	t.Helper()
	gateway := &simengine.Gateway{}
	for _, e := range []struct {
		title, profile, runtime string
		ranks                   int
	}{
		{"vLLM, simulated", simengine.ProfileVLLM, "vLLM", 1},
		{"vLLM with 8 data-parallel ranks, simulated", simengine.ProfileVLLM, "vLLM", 8},
		{"SGLang, simulated", simengine.ProfileSGLang, "SGLang", 1},
		{"MindIE, simulated", simengine.ProfileMindIE, "MindIE", 1},
	} {
		start := time.Now() // every run has the same history
		sim, err := simengine.New(simengine.Options{
			Profile: e.profile, Ranks: e.ranks, Start: start.Add(-time.Hour), LoadAt: time.Date(2026, time.March, 3, 13, 0, 0, 0, time.UTC), Gateway: gateway,
			Now: func() time.Time { return start },
		})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(sim.Handler())
		t.Cleanup(srv.Close)
		sources = append(sources, sizedEngine{title: e.title, runtime: e.runtime, url: srv.URL})
	}
	srv := httptest.NewServer(gateway.Handler())
	t.Cleanup(srv.Close)
	sources = append(sources, sizedEngine{title: "LiteLLM, simulated, with the users of these engines", runtime: "LiteLLM", url: srv.URL})
	return sources
}

func servePage(t *testing.T, p enginepages.Page) string {
	t.Helper()
	return fakeEngine(t, map[string]string{"/metrics": string(p.Text)})
}

var instanceLabel = regexp.MustCompile(`model_instance_name="e(\d+)e`)

// engineSizes returns a table of the series of each engine on a worker's page: those under unified names, and those about the engine.
func engineSizes(t *testing.T, sources []sizedEngine) string {
	t.Helper()
	o := options(t)
	for i, s := range sources {
		// An engine with several models has instances whose names begin with its own.
		o.Engines = append(o.Engines, engine.Declaration{URL: s.url, Path: "/metrics", Instance: fmt.Sprintf("e%de", i), Runtime: s.runtime, Version: s.version})
	}
	w := run(t, o)
	var before, counts []int
	eventually(t, "pages with the same number of series twice", func() bool {
		page := w.scrape(t, "/metrics")
		before, counts = counts, make([]int, len(sources))
		for line := range strings.Lines(page) {
			if m := instanceLabel.FindStringSubmatch(line); m != nil && line[0] != '#' {
				var i int
				if _, err := fmt.Sscan(m[1], &i); err != nil {
					t.Fatal(err)
				}
				counts[i]++
			}
		}
		time.Sleep(50 * time.Millisecond)
		return slices.Equal(before, counts) && len(lines(page, "gpustack:runtime_scrape_success{")) >= len(sources) && strings.Count(page, "\ngpustack:model_instance_no_metrics{") == 0
	})
	var b strings.Builder
	b.WriteString("| engine | series |\n|---|---:|\n")
	for i, s := range sources {
		fmt.Fprintf(&b, "| %s | %d |\n", s.title, counts[i])
	}
	return b.String()
}

// recordedGPU is what a recorded page has of each of its GPUs.
type recordedGPU struct {
	series int
	on     string
}

// gpuSizes returns a table of the series of a GPU in the pages that the vendors' tests compare with.
func gpuSizes(t *testing.T) string {
	t.Helper()
	pages, err := filepath.Glob("../collector/gpu/*/testdata/*.golden")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no recorded pages of GPUs: %v", err)
	}
	var b strings.Builder
	b.WriteString("| vendor | most series a GPU | recorded on |\n|---|---:|---|\n")
	most := map[string]recordedGPU{}
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		series, gpus := 0, 0
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") && strings.Contains(line, "{") {
				series++
			}
			if strings.HasPrefix(line, "gpustack:worker_node_gpu_info{") {
				gpus++
			}
		}
		vendor := filepath.Base(filepath.Dir(filepath.Dir(path)))
		if gpus > 0 && (series+gpus-1)/gpus > most[vendor].series {
			most[vendor] = recordedGPU{series: (series + gpus - 1) / gpus, on: strings.TrimSuffix(filepath.Base(path), ".golden")}
		}
	}
	for _, vendor := range slices.Sorted(maps.Keys(most)) {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", vendor, most[vendor].series, most[vendor].on)
	}
	return b.String()
}

// holdTable compares a table of the page with what it should be.
func holdTable(t *testing.T, subject, want string) {
	t.Helper()
	text, err := os.ReadFile(sizingPage)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- sizes of "+subject+": written by `go test ./internal/worker -run TestSizes -update` -->\n", "<!-- sizes of "+subject+" end -->"
	head, rest, found := strings.Cut(string(text), begin)
	old, tail, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatalf("%s has no %q", sizingPage, begin)
	case *update:
		if err := os.WriteFile(sizingPage, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	case old != want:
		t.Errorf("%s is not up to date: run go test ./internal/worker -run TestSizes -update, and compare the page's text with it. The table is\n%s", sizingPage, want)
	}
}
