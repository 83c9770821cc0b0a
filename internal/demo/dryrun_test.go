package demo

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
	"github.com/stackscope/stackscope/tests/programs"
)

// frozen answers with the first metrics page that its engine gave, so that whatever changes is the mapping's work.
type frozen struct {
	http.Handler
	mu    sync.Mutex
	pages map[string]*httptest.ResponseRecorder // by path
}

func (f *frozen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := f.pages[r.URL.Path]
	if page == nil {
		page = httptest.NewRecorder()
		f.Handler.ServeHTTP(page, r)
		if page.Code == http.StatusOK && strings.Contains(r.URL.Path, "metrics") {
			f.pages[r.URL.Path] = page
		}
	}
	maps.Copy(w.Header(), page.Header())
	w.WriteHeader(page.Code)
	_, _ = w.Write(page.Body.Bytes())
}

// other returns the built-in document with a change of each kind.
func other(t *testing.T) []byte {
	t.Helper()
	text := string(mustDefault(t))
	for _, change := range [][2]string{
		{`"gpustack_metrics":{`, `"gpustack_metrics":{"gpustack:demo_preemptions":{"type":"counter","description":"Preemptions."},`},
		{`"vllm:num_preemptions":"gpustack:request_preemptions"`, `"vllm:num_preemptions":"gpustack:demo_preemptions"`},
		{`"vllm:num_requests_running":"gpustack:num_requests_running"`, `"vllm:num_requests_running":{"to":"gpustack:num_requests_running","add":{"demo":"yes"}}`},
		{`"vllm:prompt_tokens":"gpustack:prompt_tokens"`, `"vllm:prompt_tokens":{"to":"gpustack:prompt_tokens","scale":2}`},
		{`"npu_cache_usage_perc":"gpustack:kv_cache_usage_ratio"`, `"npu_cache_usage_perc":{"to":"gpustack:kv_cache_usage_ratio","rename":{"model_name":"served"}}`},
		{`"sglang:token_usage"`, `"sglang:nothing_of_that_name"`},
		{`"request_prompt_tokens":"gpustack:request_prompt_tokens"`, `"request_prompt_tokens":{"to":"gpustack:request_prompt_tokens","scale":3}`},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the built-in mapping has no %s: change another thing", change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	return []byte(text)
}

// unified returns the series of the engines on the worker's page, with their values.
func unified(t *testing.T, url string, families map[string]bool) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(get(t, url)) {
		name := line[:max(strings.IndexAny(line, "{ "), 0)]
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && families[base] {
				at := strings.LastIndexByte(line, ' ')
				found[line[:at]] = strings.TrimSpace(line[at+1:])
			}
		}
	}
	return found
}

// changes is what a dry run says, or what is found to have happened: a series with its values before and after.
type changes map[string][2]string

func between(before, after map[string]string) changes {
	c := changes{}
	for series, value := range before {
		if after[series] != value {
			c[series] = [2]string{value, after[series]}
		}
	}
	for series, value := range after {
		if _, there := before[series]; !there {
			c[series] = [2]string{"", value}
		}
	}
	return c
}

func (c changes) count() (added, removed, changed int) {
	for _, values := range c {
		switch {
		case values[0] == "":
			added++
		case values[1] == "":
			removed++
		default:
			changed++
		}
	}
	return added, removed, changed
}

func said(t *testing.T, run wire.MappingDryRun) changes {
	t.Helper()
	if len(run.Workers) != 1 || run.Workers[0].State != wire.DryRunAnswered || len(run.Workers[0].Instances) != 5 {
		t.Fatalf("the dry run doesn't have a worker's four engines and gateway: %+v", run)
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	c := changes{}
	for _, in := range run.Workers[0].Instances {
		if in.Error != "" || in.SeriesLeftOut > 0 || in.FamiliesLeftOut > 0 {
			t.Errorf("%s: %q, %d series and %d families are left out", in.Name, in.Error, in.SeriesLeftOut, in.FamiliesLeftOut)
		}
		var of [3]int
		for _, f := range in.Families {
			of[0], of[1], of[2] = of[0]+f.Added, of[1]+f.Removed, of[2]+f.Changed
		}
		if of != [3]int{in.Added, in.Removed, in.Changed} {
			t.Errorf("%s: counts by family add up to %v: %+v", in.Name, of, in)
		}
		for _, s := range in.Series {
			c[s.Series] = [2]string{text(s.Before), text(s.After)}
		}
	}
	return c
}

// TestDryRun: a dry run says of the demo's fleet exactly what then happens.
func TestDryRun(t *testing.T) {
	o := DefaultOptions()
	o.Port, o.MetricsPort, o.WorkerMetricsPort, o.NoGrafana, o.Logger = 0, 0, 0, true, slog.New(slog.DiscardHandler)
	s := summary{dataDir: t.TempDir(), noGrafana: true}
	f := &fleet{logger: o.Logger}
	defer f.close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := f.open(ctx, &o, &s); err != nil {
		t.Fatal(err)
	}
	for _, e := range f.engines {
		e.handler = &frozen{Handler: e.handler, pages: map[string]*httptest.ResponseRecorder{}}
	}
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- f.run(ctx, func(ctx context.Context) error {
			if err := f.ready(ctx); err != nil {
				return err
			}
			close(ready)
			return nil
		})
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the demo ended: %v", err)
	}
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	document := other(t)
	families := map[string]bool{}
	for _, data := range [][]byte{mustDefault(t), document} {
		doc, err := mapping.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := mapping.Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range compiled.Families() {
			families[family.WireName] = true
		}
	}
	page := s.workerMetrics + "/metrics"
	var before map[string]string
	programs.Eventually(t, 20*time.Second*slowness, "the demo", func() error {
		was := before
		before = unified(t, page, families)
		for series := range before {
			if !strings.Contains(series, "model_instance_id=") {
				return fmt.Errorf("%s has no id yet", series)
			}
		}
		if len(before) < 100 || !cmp.Equal(was, before) {
			return fmt.Errorf("%d series, some of which come and go", len(before))
		}
		return nil
	})
	admin, err := client.New(client.Options{BaseURL: s.api})
	if err != nil {
		t.Fatal(err)
	}

	forth, err := admin.TryConfig(t.Context(), document, client.Change{}, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if now := unified(t, page, families); !cmp.Equal(before, now) {
		t.Errorf("the dry run itself changed series:\n%s", cmp.Diff(before, now))
	}
	set, err := admin.SetConfig(t.Context(), document, client.Change{})
	if err != nil || set.Generation != 1 {
		t.Fatalf("%+v, %v", set, err)
	}
	applied := func(generation int64) {
		t.Helper()
		programs.Eventually(t, 10*time.Second, "the demo", func() error {
			if !appliedOn(get(t, page), generation) {
				return fmt.Errorf("generation %d is not in force on the worker", generation)
			}
			return nil
		})
	}
	applied(1)
	after := unified(t, page, families)
	happened := between(before, after)
	if diff := cmp.Diff(happened, said(t, forth)); diff != "" {
		t.Errorf("what happened and what the dry run said (-happened +said):\n%s", diff)
	}
	added, removed, changed := happened.count()
	if added != forth.Added || removed != forth.Removed || changed != forth.Changed || min(added, removed, changed) == 0 {
		t.Errorf("happened: %d added, %d removed, %d changed; said: %d, %d, %d", added, removed, changed, forth.Added, forth.Removed, forth.Changed)
	}
	t.Logf("%d series added, %d removed, %d changed of %d", added, removed, changed, len(before))

	// And back.
	back, err := admin.TryConfig(t.Context(), nil, client.Change{IfGeneration: 1}, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ResetConfig(t.Context(), client.Change{IfGeneration: 1}); err != nil {
		t.Fatal(err)
	}
	applied(2)
	if diff := cmp.Diff(between(after, unified(t, page, families)), said(t, back)); diff != "" {
		t.Errorf("on the way back (-happened +said):\n%s", diff)
	}
	if same, err := admin.TryConfig(t.Context(), nil, client.Change{IfGeneration: 2}, 30*time.Second); err != nil || !same.Unchanged || len(said(t, same)) != 0 {
		t.Errorf("a mapping that is in force: %+v, %v", same, err)
	}
	if _, err := admin.TryConfig(t.Context(), document, client.Change{IfGeneration: 1}, 30*time.Second); err == nil || !strings.Contains(err.Error(), "412") {
		t.Errorf("with a generation that has passed: %v", err)
	}
}

func mustDefault(t *testing.T) []byte {
	t.Helper()
	data, err := mapping.Default().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// appliedOn reports whether a worker's page says that a generation is in force.
func appliedOn(page string, generation int64) bool {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "gpustack:metrics_config_applied_generation{") {
			return strings.HasSuffix(line, fmt.Sprintf("} %d\n", generation))
		}
	}
	return false
}
