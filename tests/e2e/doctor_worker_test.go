package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/wire"
)

// joinFake joins a worker that only speaks the protocol: its clock is ahead, it has one engine, and it applies no mapping.
func joinFake(t *testing.T, s doctorServer, name string, ahead time.Duration) {
	t.Helper()
	c, err := client.New(client.Options{BaseURL: s.base, Token: s.token})
	if err != nil {
		t.Fatal(err)
	}
	var page atomic.Pointer[string]
	page.Store(new(string))
	address, err := url.Parse(serve(t, pageOf(&page)))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	joined, err := c.Register(t.Context(), wire.RegisterRequest{UUID: name, Name: name, Address: address.Hostname(), MetricsPort: port})
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithToken(joined.Credential)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	worker := fmt.Sprintf(`cluster_id="%d",cluster_name=%q,worker_id="%d",worker_name=%q`, joined.ClusterID, joined.ClusterName, joined.WorkerID, name)
	running.Go(func() {
		for ctx.Err() == nil {
			ids, err := c.Report(ctx, joined.WorkerID, wire.ReportRequest{Instances: []wire.InstanceReport{{
				Name: name + "-0", Model: "qwen3-8b", URL: "http://127.0.0.1:8000", Runtime: "vLLM", RuntimeVersion: "0.11.0", State: fleet.InstanceRunning, Since: time.Now().Add(-time.Hour).Unix(),
			}}})
			if err == nil && len(ids.Instances) == 1 {
				labels := fmt.Sprintf("{%s,model_id=\"%d\",model_name=\"qwen3-8b\",model_instance_id=\"%d\",model_instance_name=\"%s-0\",runtime=\"vLLM\"} 1\n",
					worker, ids.Instances[0].ModelID, ids.Instances[0].InstanceID, name)
				page.Store(new("gpustack:num_requests_running" + labels + "gpustack:runtime_scrape_success" + labels))
			}
			backoff.Sleep(ctx, 2*time.Second)
		}
	})
	now := func() time.Time { return time.Now().Add(ahead).UTC() }
	running.Go(func() {
		for ctx.Err() == nil {
			_ = c.Watch(ctx, joined.WorkerID, -1, client.Events{
				Mapping: func(wire.MappingEvent) error { return nil },
				Check: func(ev wire.CheckEvent) error {
					return c.AnswerCheck(ctx, joined.WorkerID, ev.ID, wire.WorkerCheck{Now: now(), PageSeconds: 0.01, PageBytes: len(*page.Load()), PageSeries: 1})
				},
				Page: func(ev wire.PageEvent) error {
					return c.AnswerPage(ctx, joined.WorkerID, ev.ID, wire.InstancePage{
						URL: "http://127.0.0.1:8000/metrics", Runtime: "vLLM", RuntimeVersion: "0.11.0", FetchedAt: now(), ContentType: "text/plain", Bytes: 28,
						Native: "vllm:num_requests_running 1\n", Unified: *page.Load(), Coverage: &wire.Coverage{Families: 1, Of: 28},
						Metrics: []wire.NativeReport{{Name: "vllm:num_requests_running", Samples: 1, Outcomes: []wire.NativeOutcome{{Family: "gpustack:num_requests_running", Samples: 1}}}},
					})
				},
			})
			backoff.Sleep(ctx, time.Second)
		}
	})
}

// pageOf serves a page that changes.
func pageOf(text *atomic.Pointer[string]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { textPage(*text.Load())(w, r) }
}
