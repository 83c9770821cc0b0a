//go:build linux

package attack

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// churner is an engine whose pages have n series, each time with other values of a label.
func churner(t *testing.T, n int, write func(b *bytes.Buffer, id string)) string {
	t.Helper()
	var turn atomic.Int64
	return listen(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			switch path := asked(r); path {
			case "":
				return
			case "/metrics":
				round := turn.Add(1)
				var b bytes.Buffer
				b.WriteString("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"m\"} 3\n")
				for i := range n {
					write(&b, fmt.Sprintf("%d-%d", round, i))
				}
				for i := range 10 {
					fmt.Fprintf(&b, "vllm:time_to_first_token_seconds_bucket{model_name=\"m\",le=\"%d\"} 1\n", i)
				}
				b.WriteString("vllm:time_to_first_token_seconds_bucket{model_name=\"m\",le=\"+Inf\"} 1\n")
				b.WriteString("vllm:time_to_first_token_seconds_sum{model_name=\"m\"} 1\nvllm:time_to_first_token_seconds_count{model_name=\"m\"} 1\n")
				answer(conn, b.Bytes())
			default:
				fmt.Fprint(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
}

// A label whose values are new in every scrape does not make the worker pass on new series without end, and its other families
// and engines stay whole.
func TestChurningEngine(t *testing.T) {
	const n, limit = 45_000, 50_000
	families := []string{"vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:num_requests_waiting", "vllm:gpu_cache_usage_perc", "vllm:num_preemptions_total"}
	for name, c := range map[string]struct {
		n      int
		write  func(b *bytes.Buffer, id string)
		family string
		label  string
	}{
		"one family": {n, func(b *bytes.Buffer, id string) {
			fmt.Fprintf(b, "vllm:prompt_tokens_total{model_name=\"m\",request_id=\"%s\"} 1\n", id)
		}, "gpustack:prompt_tokens_total", "request_id"},
		"all families": {n / len(families), func(b *bytes.Buffer, id string) {
			for _, f := range families {
				fmt.Fprintf(b, "%s{model_name=\"m-%s\"} 1\n", f, id)
			}
		}, "gpustack:prompt_tokens_total", "exported_model_name"},
		"histograms": {n / 18, func(b *bytes.Buffer, id string) {
			for i := range 15 {
				fmt.Fprintf(b, "vllm:e2e_request_latency_seconds_bucket{request_id=\"%s\",le=\"%d\"} 1\n", id, i)
			}
			fmt.Fprintf(b, "vllm:e2e_request_latency_seconds_bucket{request_id=\"%[1]s\",le=\"+Inf\"} 1\nvllm:e2e_request_latency_seconds_sum{request_id=\"%[1]s\"} 1\nvllm:e2e_request_latency_seconds_count{request_id=\"%[1]s\"} 1\n", id)
		}, "gpustack:e2e_request_latency_seconds", "request_id"},
	} {
		t.Run(name, func(t *testing.T) {
			a := work(t, map[string]string{"churner": churner(t, c.n, c.write), "good": goodEngine(t, 20)})
			rest, _ := memory(a.Program)
			resetPeak(t, a.Program)
			for _, path := range []string{"/metrics", "/metrics/raw"} {
				series := map[string]bool{}
				rounds := count(24, 6)
				var last string
				for round := range rounds {
					page, _ := a.scrape(t, path, 10*time.Second)
					whole, good := 0, 0
					histograms := map[string]int{}
					for line := range strings.Lines(page) {
						s := line[:max(0, strings.LastIndexByte(line, ' '))]
						switch {
						case line[0] == '#':
						case strings.Contains(s, `model_instance_name="good"`) && strings.Contains(s, ":num_requests_running{"):
							good++
						case !strings.Contains(s, `model_instance_name="churner"`), strings.HasPrefix(s, "gpustack:runtime_"):
						default:
							series[s] = true
							if strings.Contains(s, ":time_to_first_token_seconds") || strings.Contains(s, ":num_requests_running{") {
								whole++
							}
							if _, id, ok := strings.Cut(s, `request_id="`); ok && strings.Contains(s, "latency_seconds") {
								id, _, _ = strings.Cut(id, `"`)
								histograms[id]++
							}
						}
					}
					if whole != 14 || good != 20 {
						t.Errorf("%s, round %d: %d of 14 series of the families that do not churn, %d of 20 of the other engine", path, round, whole, good)
					}
					for id, lines := range histograms {
						if lines != 18 {
							t.Errorf("%s: histogram %s has %d of 18 lines", path, id, lines)
						}
					}
					last = page
				}
				_, peak := memory(a.Program)
				t.Logf("| %s %s | %d scrapes | %d series passed on | +%d MiB |", t.Name(), path, rounds, len(series), (peak-rest)>>20)
				if len(series) > limit+1000 {
					t.Errorf("%s: %d series in %d scrapes, want at most about %d an hour", path, len(series), rounds, limit)
				}
				if path != "/metrics" {
					continue
				}
				want := `family=` + strconv.Quote(c.family) + `,label=` + strconv.Quote(c.label)
				if !strings.Contains(last, "gpustack:runtime_new_series_left_out_total{") || !strings.Contains(last, want) {
					t.Errorf("no metric says %s", want)
				}
				if log := a.Output(); !strings.Contains(log, "new series of an engine are left out") || !strings.Contains(log, c.label) {
					t.Error("the log does not say what churns")
				}
			}
		})
	}
}
