package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

// A request for a page is answered with the worker's membership, also where there is no page.
func TestPageIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		at := time.Now()
		read := func(ctx context.Context, instance string, deadline time.Time) (exporter.InstancePage, string) {
			if left := time.Until(deadline); instance != "qwen-0" || left != 8*time.Second {
				t.Errorf("asked for %q with %s left", instance, left)
			}
			return exporter.InstancePage{
				Instance: exporter.Instance{Name: "qwen-0", Runtime: "vLLM", Version: "0.11.0"}, FetchedAt: at, ContentType: "text/plain", Bytes: 9,
				Native: "vllm:x 1\n", Unified: "gpustack:x 1\n", HasCoverage: true, Fed: 1, Countable: 28,
				Reports: []translate.NativeReport{{Name: "vllm:x", Samples: 1, Outcomes: []translate.Outcome{{Family: "gpustack:x", Samples: 1}}}, {Name: "vllm:y", Why: "unmapped"}},
			}, "http://10.0.0.7:8000/metrics"
		}
		fails := func(context.Context, string, time.Time) (exporter.InstancePage, string) {
			return exporter.InstancePage{FetchedAt: at, Native: "<html>", Err: errors.New(strings.Repeat("long\n", 1000))}, ""
		}
		for name, c := range map[string]struct {
			read PageFunc
			want wire.InstancePage
		}{
			"works": {read, wire.InstancePage{
				URL: "http://10.0.0.7:8000/metrics", Runtime: "vLLM", RuntimeVersion: "0.11.0", FetchedAt: at.UTC(), ContentType: "text/plain", Bytes: 9,
				Native: "vllm:x 1\n", Unified: "gpustack:x 1\n", Coverage: &wire.Coverage{Families: 1, Of: 28},
				Metrics: []wire.NativeReport{{Name: "vllm:x", Samples: 1, Outcomes: []wire.NativeOutcome{{Family: "gpustack:x", Samples: 1}}}, {Name: "vllm:y", Why: "unmapped"}},
			}},
			"fails":           {fails, wire.InstancePage{FetchedAt: at.UTC(), Native: "<html>", Metrics: []wire.NativeReport{}, Error: strings.Repeat("long; ", 86)[:maxErrorBytes] + "..."}},
			"without metrics": {nil, wire.InstancePage{FetchedAt: at.UTC(), Metrics: []wire.NativeReport{}, Error: errNoMetrics.Error()}},
		} {
			at = time.Now()
			c.want.FetchedAt = at.UTC()
			_, log, end := connect(t, r, func(o *Options) { o.Page = c.read })
			r.pages <- wire.PageEvent{ID: name, Instance: "qwen-0", TimeoutMillis: 10_000}
			synctest.Wait()
			r.set(func(r *remote) {
				if diff := cmp.Diff(c.want, r.sentPages[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s\n%s", name, diff, log)
				}
				if m := r.members[len(r.members)-1]; m != (Membership{7, credential}) {
					t.Errorf("%s: answered as %+v", name, m)
				}
			})
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Pages beyond the slots are skipped, and the end of the session waits for no engine.
func TestPageSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		_, log, end := connect(t, r, func(o *Options) {
			o.Page = func(ctx context.Context, _ string, _ time.Time) (exporter.InstancePage, string) {
				<-ctx.Done()
				return exporter.InstancePage{Err: ctx.Err()}, ""
			}
		})
		for i := range maxPages + 2 {
			r.pages <- wire.PageEvent{ID: fmt.Sprint(i), Instance: "a", TimeoutMillis: 8000}
		}
		time.Sleep(9 * time.Second)
		if n := strings.Count(log.String(), "page is not read"); n != 2 {
			t.Errorf("%d were skipped, want 2:\n%s", n, log)
		}
		r.pages <- wire.PageEvent{ID: "last", Instance: "a", TimeoutMillis: 60_000}
		began := time.Now()
		if err := end(); err != nil || time.Since(began) != 0 {
			t.Errorf("it took %s: %v", time.Since(began), err)
		}
	})
}

// What does not fit into an answer is left out and counted.
func TestPageIsBounded(t *testing.T) {
	p := exporter.InstancePage{ContentType: strings.Repeat("c", 1000)}
	for range 1000 {
		p.Reports = append(p.Reports, translate.NativeReport{Name: strings.Repeat("<", 1000)})
	}
	out := wirePage(&p, strings.Repeat("u", 3000))
	if len(out.Metrics) == 0 || len(out.Metrics)+out.MetricsLeftOut != 1000 || len(out.URL) > 2048 || len(out.ContentType) > 256 {
		t.Errorf("%d metrics, %d left out, %d bytes of url, %d of content type", len(out.Metrics), out.MetricsLeftOut, len(out.URL), len(out.ContentType))
	}
	if data, _ := json.Marshal(out.Metrics); len(data) > maxReportBytes+2 {
		t.Errorf("the reports have %d bytes", len(data))
	}
}

// An instance that is reported under another name than its own is found by both, and a GPU's report has the reported one.
func TestPageOfAnInstanceWithABadName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		var asked []string
		w, _, _ := connect(t, r, func(o *Options) {
			o.Page = func(_ context.Context, instance string, _ time.Time) (exporter.InstancePage, string) {
				asked = append(asked, instance)
				return exporter.InstancePage{}, ""
			}
			o.GPUs = func() []fleet.ReportedGPU {
				return []fleet.ReportedGPU{{Vendor: "nvidia", State: fleet.GPUPresent, Instances: "bad\u200bname\ngood", InstancesKnown: true}}
			}
		})
		w.set(good("bad\u200bname"), good("good"))
		w.session.Changed()
		time.Sleep(time.Second)
		r.set(func(r *remote) {
			last := r.reports[len(r.reports)-1]
			if names := last.GPUs[0].Instances; len(names) != 2 || names[0] != last.Instances[0].Name || last.Instances[0].Name == "bad\u200bname" {
				t.Errorf("used by %q, reported are %+v", names, last.Instances)
			}
			name := last.Instances[0].Name
			go func() { r.pages <- wire.PageEvent{ID: "1", Instance: name, TimeoutMillis: 1000} }()
		})
		synctest.Wait()
		r.pages <- wire.PageEvent{ID: "2", Instance: "good", TimeoutMillis: 1000}
		synctest.Wait()
		if len(asked) != 2 || asked[0] != "bad\u200bname" || asked[1] != "good" {
			t.Errorf("asked for %q", asked)
		}
	})
}
