package simengine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// groups are prefill/decode groups of different shapes.
var groups = map[string]GroupOptions{
	"vLLM, one of each":            {Profile: ProfileVLLM},
	"vLLM, two prefill engines":    {Profile: ProfileVLLM, Prefills: 2, FailedTransfers: .01},
	"vLLM, decode ranks":           {Profile: ProfileVLLM, Prefills: 2, Decodes: 2, DecodeRanks: 2, FailedTransfers: .05},
	"vLLM, every transfer fails":   {Profile: ProfileVLLM, FailedTransfers: 1},
	"SGLang, one of each":          {Profile: ProfileSGLang},
	"SGLang, ranks":                {Profile: ProfileSGLang, DecodeRanks: 2, Schedulers: 2, FailedTransfers: .01},
	"SGLang, several of each":      {Profile: ProfileSGLang, Prefills: 2, Decodes: 3, Schedulers: 4, FailedTransfers: .05},
	"SGLang, unknown sizes":        {Profile: ProfileSGLang, DecodeRanks: 4, UnknownSizes: true, FailedTransfers: .01},
	"SGLang, every transfer fails": {Profile: ProfileSGLang, FailedTransfers: 1},
}

// openGroup returns a group four minutes after its users came.
func openGroup(t *testing.T, o GroupOptions, seed uint64) (*Group, *clock) {
	t.Helper()
	c := &clock{t: tuesday(15)}
	o.Seed, o.Now, o.Start = seed, c.now, c.t.Add(-4*time.Minute)
	g, err := NewGroup(o)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range g.Members() {
		m.SetURL(fmt.Sprintf("http://10.0.0.%d:8000", i+1))
	}
	return g, c
}

func (m *Member) page() []byte {
	if m.engine == nil {
		return m.group.router.page()
	}
	return m.engine.page()
}

// families are those of a page.
type families = map[string]*dto.MetricFamily

// pages returns the pages of a role's engines.
func pages(t *testing.T, g *Group, role string) (all []families) {
	t.Helper()
	for _, m := range g.Members() {
		if m.Role == role {
			all = append(all, parse(t, m.page()))
		}
	}
	return all
}

// added adds a family up over pages.
func added(pages []families, name string, want ...string) (sum float64) {
	for _, p := range pages {
		sum += total(p[name], want...)
	}
	return sum
}

// once removes the series of all but the first scheduler of each data-parallel rank.
func once(t *testing.T, pages []families, schedulers int) []families {
	t.Helper()
	for _, p := range pages {
		for name, f := range p {
			byRank := map[string]string{} // labels without tp_rank and pid: the value
			f.Metric = slices.DeleteFunc(f.GetMetric(), func(m *dto.Metric) bool {
				key, tp := "", ""
				for _, l := range m.GetLabel() {
					switch l.GetName() {
					case "tp_rank":
						tp = l.GetValue()
					case "pid":
					default:
						key += l.GetName() + "=" + l.GetValue() + " "
					}
				}
				if tp == "" {
					return false
				}
				value := fmt.Sprint(m.GetCounter(), m.GetGauge(), m.GetHistogram())
				first, repeated := byRank[key]
				if repeated && first != value {
					t.Errorf("%s{%s}: scheduler %s writes %s, the first of its rank %s", name, key, tp, value, first)
				}
				byRank[key] = value
				return repeated
			})
		}
	}
	return pages
}

// What pages say adds up to what the group has done: at any moment, and exactly when the last request has ended.
func TestGroupAgreesWithItsPages(t *testing.T) {
	for name, o := range groups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, c := openGroup(t, o, 7)
			before := map[string][]families{}
			check := func() Truth {
				truth := g.Truth()
				for _, role := range []string{RolePrefill, RoleDecode, RoleRouter} {
					now := once(t, pages(t, g, role), o.Schedulers)
					for i := range now {
						if was := before[role]; was != nil {
							cumulative(t, was[i], now[i])
						}
					}
					before[role] = now
				}
				moment(t, g, truth, before)
				books(t, g)
				return truth
			}
			queued := map[string]int{}
			for i := range 12 {
				c.add(1700 * time.Millisecond)
				if i == 4 {
					g.Burst(150)
				}
				for place, n := range check().Queues {
					queued[place] = max(queued[place], n)
				}
				if t.Failed() {
					t.FailNow()
				}
			}
			if waited := queued[RolePrefill] + queued["bootstrap"] + queued["prealloc"]; waited < 30 || queued["transfer"] == 0 {
				t.Errorf("after a burst of 150 requests at most these have waited: %v", queued)
			}
			g.SetIdle(true)
			c.add(15 * time.Minute)
			truth := check()
			if truth.InFlight != 0 || truth.Requests < 500 || truth.Requests != truth.Completed+truth.Aborted+truth.Failed {
				t.Fatalf("after the last request: %+v", truth)
			}
			for place, n := range truth.Queues {
				if n != 0 {
					t.Errorf("%d requests at %s for ever", n, place)
				}
			}
			end(t, g, truth, before)
		})
	}
}

// moment compares what is running and waiting now.
func moment(t *testing.T, g *Group, truth Truth, pages map[string][]families) {
	t.Helper()
	equal := func(what string, got float64, want int) {
		t.Helper()
		if got != float64(want) {
			t.Errorf("%s: the pages say %v, it is %d", what, got, want)
		}
	}
	q := truth.Queues
	for _, role := range []string{RolePrefill, RoleDecode} {
		if g.o.Profile == ProfileVLLM {
			equal(role+" running", added(pages[role], "vllm:num_requests_running"), truth.Running[role])
			waiting := q[role]
			if role == RoleDecode {
				waiting += q["prealloc"] + q["transfer"]
				equal("deferred", added(pages[role], "vllm:num_requests_waiting_by_reason", "reason=deferred"), q["transfer"])
			}
			equal(role+" waiting", added(pages[role], "vllm:num_requests_waiting"), waiting)
			continue
		}
		equal(role+" running", added(pages[role], "sglang:num_running_reqs"), truth.Running[role])
		equal(role+" waiting", added(pages[role], "sglang:num_queue_reqs"), q[role])
	}
	if g.o.Profile == ProfileSGLang {
		for place, name := range map[string]string{
			"bootstrap": "sglang:num_prefill_bootstrap_queue_reqs", "inflight": "sglang:num_prefill_inflight_queue_reqs",
			"prealloc": "sglang:num_decode_prealloc_queue_reqs", "transfer": "sglang:num_decode_transfer_queue_reqs",
		} {
			equal(place, added(pages[RolePrefill], name)+added(pages[RoleDecode], name), q[place])
		}
	}
}

// books looks into the schedulers.
func books(t *testing.T, g *Group) {
	t.Helper()
	g.eachSim(func(s *sim) {
		blocks := s.held
		for _, r := range slices.Concat(s.running, s.pd.ready) {
			blocks += r.blocks
		}
		if blocks != s.blocksUsed || s.blocksUsed < 0 || s.blocksUsed > s.p.blocks || s.held < 0 {
			t.Errorf("%s: %d blocks used of %d, %d by requests, of them %d that do not run", s.pd.role, s.blocksUsed, s.p.blocks, blocks, s.held)
		}
	})
}

// end compares counters after the last request.
func end(t *testing.T, g *Group, truth Truth, pages map[string][]families) {
	t.Helper()
	prefill, decode, router := pages[RolePrefill], pages[RoleDecode], pages[RoleRouter]
	equal := func(what string, got float64, want int) {
		t.Helper()
		if math.Abs(got-float64(want)) > 1e-9*float64(want) {
			t.Errorf("%s: the pages say %v, it is %d", what, got, want)
		}
	}
	sum := func(pages []families, name string) (sum float64) {
		for _, p := range pages {
			sum += histogramSum(p[name])
		}
		return sum
	}
	equal("transfers that failed", added(decode, "vllm:nixl_num_failed_transfers_total")+added(decode, "sglang:num_transfer_failed_reqs_total"), truth.FailedTransfers)
	if g.o.Profile == ProfileVLLM {
		equal("requests at prefill", added(prefill, "vllm:request_success_total"), truth.Requests)
		equal("requests at decode", added(decode, "vllm:request_success_total"), truth.Requests)
		equal("aborted", added(decode, "vllm:request_success_total", "finished_reason=abort"), truth.Aborted)
		equal("failed", added(decode, "vllm:request_success_total", "finished_reason=error"), truth.Failed)
		equal("prompt tokens at prefill", added(prefill, "vllm:prompt_tokens_total"), truth.PromptTokens)
		equal("prompt tokens at decode", added(decode, "vllm:prompt_tokens_total"), truth.PromptTokens)
		equal("cached prompt tokens", added(prefill, "vllm:prompt_tokens_by_source_total", "source=local_cache_hit"), truth.CachedTokens)
		equal("one token of each prompt at prefill", added(prefill, "vllm:generation_tokens_total"), truth.Requests)
		equal("generated tokens", added(decode, "vllm:generation_tokens_total"), truth.GeneratedTokens)
		equal("transfers", added(decode, "vllm:nixl_xfer_time_seconds"), truth.Transfers)
		equal("bytes", sum(decode, "vllm:nixl_bytes_transferred"), truth.TransferBytes)
		equal("transfers at prefill", added(prefill, "vllm:nixl_bytes_transferred"), 0)
		// All but the last token of each prompt that was sent.
		external := added(decode, "vllm:prompt_tokens_by_source_total", "source=external_kv_transfer")
		if external > float64(truth.PromptTokens-truth.Transfers) || truth.FailedTransfers == 0 && external != float64(truth.PromptTokens-truth.Transfers) {
			t.Errorf("%v tokens came over the wire, of %d in %d transfers", external, truth.PromptTokens, truth.Transfers)
		}
		equal("external hits", added(decode, "vllm:external_prefix_cache_hits_total"), int(external))
		equal("cached at decode", added(decode, "vllm:prompt_tokens_cached_total"), int(external))
		equal("routed", added(router, "vllm_router_pd_requests_total"), truth.Requests)
		equal("routed to prefill", added(router, "vllm_router_pd_prefill_requests_total"), truth.Requests)
		equal("routed to decode", added(router, "vllm_router_pd_decode_requests_total"), truth.Requests)
		equal("router's errors", added(router, "vllm_router_pd_decode_errors_total"), truth.Failed)
		equal("router's durations", added(router, "vllm_router_pd_request_duration_seconds"), truth.Requests)
		firstToken(t, g, truth, "vllm:time_to_first_token_seconds", prefill, decode)
		return
	}
	lost := truth.FailedTransfers
	equal("requests at prefill", added(prefill, "sglang:num_requests_total"), truth.Requests-lost)
	equal("requests at decode", added(decode, "sglang:num_requests_total"), truth.Completed)
	equal("prompt tokens at prefill", added(prefill, "sglang:prompt_tokens_total"), truth.TransferredPromptTokens)
	equal("first tokens at prefill", added(prefill, "sglang:time_to_first_token_seconds"), 0)
	equal("aborted at decode", added(decode, "sglang:num_aborted_requests_total"), truth.Aborted+truth.Failed)
	equal("prompt tokens at decode", added(decode, "sglang:prompt_tokens_total"), truth.CompletedPromptTokens)
	equal("generated tokens at decode", added(decode, "sglang:generation_tokens_total"), truth.CompletedGeneratedTokens)
	equal("computed prompt tokens", added(prefill, "sglang:prefill_effective_tokens_total"), truth.PromptTokens)
	equal("all generated tokens", added(decode, "sglang:realtime_tokens_total", "mode=decode"), truth.GeneratedTokens)
	equal("routed", added(router, "smg_router_requests_total"), truth.Requests)
	equal("selections of prefill engines", added(router, "smg_worker_selection_total", "worker_type=prefill"), truth.Requests)
	equal("in flight", added(router, "smg_worker_requests_active"), 0)
	equal("router's errors", added(router, "smg_router_request_errors_total"), truth.Failed)
	if g.o.UnknownSizes {
		for name := range prefill[0] {
			if strings.HasPrefix(name, "sglang:kv_transfer_") {
				t.Errorf("a prefill engine without sizes has %s", name)
			}
		}
	} else {
		equal("transfers", added(prefill, "sglang:kv_transfer_latency_ms"), truth.Transfers)
		equal("bytes", sum(prefill, "sglang:kv_transfer_total_mb")*(1<<20), truth.TransferBytes)
	}
	equal("handshakes", added(decode, "sglang:kv_transfer_bootstrap_ms"), truth.Requests)
	firstToken(t, g, truth, "sglang:time_to_first_token_seconds", nil, decode)
}

// firstToken compares the mean time to the first token. With vLLM users wait for the prefill engine's answer and then for the decode engine's
// first token, with SGLang for the decode engine alone, to which the router sends their requests at once.
func firstToken(t *testing.T, g *Group, truth Truth, name string, stages ...[]families) {
	t.Helper()
	mean, users, labels := 4*hop, truth.FirstToken, []string(nil)
	if g.o.Profile == ProfileSGLang { // for whole answers it measures the time to the last token
		mean, users, labels = 2*hop, truth.StreamedFirstToken, []string{"is_streaming=true"}
	}
	for _, pages := range stages {
		sum, n := 0., 0.
		for _, p := range pages {
			sum, n = sum+histogramSum(p[name], labels...), n+total(p[name], labels...)
		}
		if n > 0 {
			mean += sum / n
		}
	}
	if users.Count == 0 {
		return
	}
	real := users.Sum / float64(users.Count)
	if math.Abs(mean-real) > 1e-6*real {
		t.Errorf("time to first token: %v by the pages, %v for the users", mean, real)
	}
}

func TestGroupSameSeedSameBytes(t *testing.T) {
	for name, o := range groups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			often, c1 := openGroup(t, o, 42)
			seldom, c2 := openGroup(t, o, 42)
			other, c3 := openGroup(t, o, 43)
			for i := range 150 {
				c1.add(407 * time.Millisecond)
				often.Members()[i%len(often.Members())].page()
			}
			c2.add(150 * 407 * time.Millisecond)
			c3.add(150 * 407 * time.Millisecond)
			for i, m := range seldom.Members() {
				want := m.page()
				if got := often.Members()[i].page(); !bytes.Equal(got, want) {
					t.Fatalf("%s that was looked at often shows another page:\n%s", m.Role, firstDifference(got, want))
				}
				if bytes.Equal(other.Members()[i].page(), want) {
					t.Fatalf("another seed shows the same page of %s", m.Role)
				}
			}
		})
	}
}

func TestNewGroupRefuses(t *testing.T) {
	now := func() time.Time { return tuesday(15) }
	for want, o := range map[string]GroupOptions{
		`of profile "mindie": use vllm or sglang`: {Profile: ProfileMindIE},
		`of profile ""`:                   {},
		"use 1 to 16":                     {Profile: ProfileVLLM, Prefills: 17},
		"use 1 to 16 ":                    {Profile: ProfileVLLM, Decodes: -1},
		"only sglang repeats values":      {Profile: ProfileVLLM, Schedulers: 2},
		"is not within the last 24h0m0s":  {Profile: ProfileVLLM, Start: tuesday(15).Add(-25 * time.Hour)},
		"speed -1: use a number above 0":  {Profile: ProfileVLLM, Speed: -1},
		"a share of 1.5 failed transfers": {Profile: ProfileVLLM, FailedTransfers: 1.5},
		"a share of NaN failed transfers": {Profile: ProfileVLLM, FailedTransfers: math.NaN()},
	} {
		o.Now = now
		if g, err := NewGroup(o); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) || g != nil {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The router shows what the group has really done, and lets a test stop the users.
func TestGroupSimulation(t *testing.T) {
	g, c := openGroup(t, GroupOptions{Profile: ProfileSGLang}, 5)
	members := g.Members()
	h := members[len(members)-1].Handler()
	ask := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
		return w.Code, w.Body.String()
	}
	truth := func() (v Truth) {
		status, body := ask(http.MethodGet, "/simulation")
		if err := json.Unmarshal([]byte(body), &v); err != nil || status != http.StatusOK {
			t.Fatal(status, body, err)
		}
		return v
	}
	if got := truth(); got.Requests < 300 {
		t.Errorf("%+v", got)
	}
	if status, _ := ask(http.MethodPut, "/simulation?idle=true"); status != http.StatusNoContent {
		t.Error(status)
	}
	was := truth().Requests
	c.add(5 * time.Minute)
	if got := truth(); got.Requests != was || got.InFlight != 0 {
		t.Errorf("after five idle minutes %+v, before %d requests", got, was)
	}
	if status, _ := ask(http.MethodPut, "/simulation?idle=false"); status != http.StatusNoContent {
		t.Error(status)
	}
	c.add(time.Minute)
	if got := truth(); got.Requests <= was {
		t.Errorf("nobody comes back: %+v", got)
	}
	was = truth().Requests
	if status, _ := ask(http.MethodPut, "/simulation?speed=60"); status != http.StatusNoContent {
		t.Error(status)
	}
	if got := truth(); got.Requests != was {
		t.Errorf("%d requests came when the speed was set", got.Requests-was)
	}
	c.add(time.Second)
	if got := truth().Requests - was; got < 60 {
		t.Errorf("%d requests in a minute", got)
	}
	for request, want := range map[string]int{
		"PUT /simulation": http.StatusBadRequest, "PUT /simulation?speed=0": http.StatusBadRequest, "PUT /simulation?speed=fast": http.StatusBadRequest,
		"PUT /simulation?burst=many": http.StatusBadRequest, "PUT /simulation?burst=0": http.StatusBadRequest, "PUT /simulation?burst=20": http.StatusNoContent,
		"PUT /simulation?hang=shown": http.StatusBadRequest, "PUT /simulation?speed=NaN": http.StatusBadRequest, "PUT /simulation?idle=1": http.StatusBadRequest, "POST /simulation?idle=true": http.StatusMethodNotAllowed,
		"GET /health": http.StatusOK, "GET /metrics": http.StatusOK, "GET /v1/models": http.StatusOK, "GET /": http.StatusNotFound,
	} {
		method, path, _ := strings.Cut(request, " ")
		if status, _ := ask(method, path); status != want {
			t.Errorf("%s: status %d, want %d", request, status, want)
		}
	}
	if status, body, _ := get(t, members[0].Handler(), "/simulation"); status != http.StatusNotFound {
		t.Errorf("an engine answers /simulation: %d %s", status, body)
	}
}

// A machine that slept does not have to simulate the night.
func TestGroupSkipsALongSleep(t *testing.T) {
	g, c := openGroup(t, GroupOptions{Profile: ProfileVLLM}, 5)
	was := g.Truth().Requests
	c.add(40 * 24 * time.Hour)
	if got := g.Truth().Requests - was; got < 100 || got > 40_000 {
		t.Errorf("%d requests in the hour before the end of a sleep of 40 days", got)
	}
}

func TestGroupConcurrentUse(t *testing.T) {
	g, c := openGroup(t, GroupOptions{Profile: ProfileVLLM, Prefills: 2}, 5)
	var wg sync.WaitGroup
	for _, m := range g.Members() {
		wg.Go(func() {
			for range 20 {
				c.add(100 * time.Millisecond)
				m.page()
				g.Truth()
				m.SetURL("http://127.0.0.1:1")
			}
		})
	}
	wg.Go(func() { g.Burst(20) })
	wg.Go(func() { g.SetIdle(true) })
	wg.Wait()
}

// BenchmarkGroupHour: how long an hour of a group takes.
func BenchmarkGroupHour(b *testing.B) {
	for _, profile := range []string{ProfileVLLM, ProfileSGLang} {
		b.Run(profile, func(b *testing.B) {
			for range b.N {
				now := tuesday(15)
				if _, err := NewGroup(GroupOptions{Profile: profile, Prefills: 2, Start: now.Add(-time.Hour), Now: func() time.Time { return now }}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
