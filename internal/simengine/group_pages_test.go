package simengine

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/enginepages"
)

// TestGroupLikeRecordedPages compares names, types, labels and buckets with pages of real engines. The families of transfers are empty there:
// their labels and buckets are those of the engines' source.
func TestGroupLikeRecordedPages(t *testing.T) {
	recorded := map[string]map[string]family{}
	for _, p := range enginepages.Recorded(t) {
		recorded[p.Name] = outline(p.Text)
	}
	nixl := func(bounds ...string) family {
		return family{typ: "histogram", labels: "engine model_name", bounds: append(bounds, "+Inf")}
	}
	counter := family{typ: "counter", labels: "engine model_name"}
	known := map[string]family{
		"vllm:nixl_xfer_time_seconds": nixl("0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.2", "0.3", "0.5", "0.75", "1.0", "5.0"),
		"vllm:nixl_post_time_seconds": nixl("0.001", "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.2", "0.3", "0.5", "0.75", "1.0", "5.0"),
		"vllm:nixl_bytes_transferred": nixl("2048.0", "8192.0", "32768.0", "131072.0", "524288.0", "2.097152e+06", "8.388608e+06", "3.3554432e+07",
			"1.34217728e+08", "5.36870912e+08", "2.147483648e+09", "8.589934592e+09"),
		"vllm:nixl_num_descriptors": nixl("10.0", "20.0", "30.0", "50.0", "75.0", "100.0", "200.0", "400.0", "1000.0", "2000.0", "4000.0", "10000.0",
			"20000.0", "50000.0"),
		"vllm:nixl_num_failed_transfers_total": counter, "vllm:nixl_num_failed_notifications_total": counter, "vllm:nixl_num_kv_expired_reqs_total": counter,
	}
	for name := range maps.Clone(known) {
		known[strings.TrimSuffix(name, "_total")+"_created"] = family{typ: "gauge", labels: "engine model_name"}
	}
	for profile, file := range map[string]string{ProfileVLLM: "vllm-0.23.0-generated", ProfileSGLang: "sglang-0.5.18-generated"} {
		real := recorded[file]
		if real == nil {
			t.Fatalf("there is no recorded page %s", file)
		}
		g, c := openGroup(t, GroupOptions{Profile: profile, DecodeRanks: 2, FailedTransfers: .05}, 3)
		c.add(time.Minute)
		plain, pc := open(t, profile, 3, tuesday(15))
		pc.add(time.Minute)
		own := outline(plain.page()) // which TestLikeRecordedPages holds against the same page
		for _, m := range g.Members() {
			if m.Role == RoleRouter {
				continue
			}
			got := outline(m.page())
			for name, f := range got {
				want, there := own[name]
				if !there {
					want, there = known[name]
				}
				if !there {
					want, there = real[name]
					want.labels, want.bounds = "engine_type model_name moe_ep_rank pp_rank tp_rank", f.bounds
				}
				if m.Role == RoleDecode && profile == ProfileSGLang && strings.Contains(want.labels, "moe_ep_rank") {
					want.labels = "dp_rank " + want.labels
				}
				if !there || f.typ != want.typ || f.labels != want.labels {
					t.Errorf("%s of %s: %s with %q, want %s with %q (there: %v)", name, m.Role, f.typ, f.labels, want.typ, want.labels, there)
				}
				if diff := cmp.Diff(want.bounds, f.bounds); diff != "" {
					t.Errorf("%s of %s: buckets (-real +simulated):\n%s", name, m.Role, diff)
				}
			}
			for name := range own {
				// No drafts, and no prompts at decode.
				_, there := got[name]
				// It generates one token of each request, which SGLang does not measure there.
				one := m.Role == RolePrefill && (strings.Contains(name, "inter_token") || strings.Contains(name, "time_to_first_token"))
				if !there && !one && !strings.Contains(name, "spec_decode") && !strings.Contains(name, "aborted") {
					t.Errorf("%s has no %s", m.Role, name)
				}
			}
			if page := string(m.page()); profile == ProfileSGLang && !strings.Contains(page, `engine_type="`+m.Role+`"`) {
				t.Errorf("a page of %s without its engine_type", m.Role)
			}
		}
	}
}

// TestRouterPages holds the routers' names, types and labels, in their order.
func TestRouterPages(t *testing.T) {
	const route = "vllm_router_pd_request_duration_seconds histogram route"
	for profile, want := range map[string]string{
		ProfileVLLM: `vllm_router_active_workers gauge
vllm_router_cb_state gauge worker
vllm_router_pd_decode_errors_total counter worker
vllm_router_pd_decode_requests_total counter worker
vllm_router_pd_prefill_requests_total counter worker
` + route + `
vllm_router_pd_requests_total counter route
vllm_router_processed_requests_total counter worker
vllm_router_running_requests gauge worker
vllm_router_worker_health gauge worker`,
		ProfileSGLang: `smg_http_requests_total counter method path
smg_router_request_duration_seconds histogram router_type backend_type connection_mode model endpoint
smg_router_request_errors_total counter router_type backend_type connection_mode model endpoint error_type
smg_router_requests_total counter router_type backend_type connection_mode model endpoint streaming
smg_worker_cb_state gauge worker
smg_worker_health gauge worker
smg_worker_pool_size gauge worker_type connection_mode model
smg_worker_requests_active gauge worker
smg_worker_selection_total counter worker_type connection_mode model policy`,
	} {
		g, _ := openGroup(t, GroupOptions{Profile: profile, Prefills: 2, FailedTransfers: .02}, 3)
		members := g.Members()
		page := members[len(members)-1].page()
		parse(t, page)
		var lines []string
		for name, f := range outline(page) {
			lines = append(lines, strings.TrimSpace(name+" "+f.typ+" "+f.labels))
		}
		slices.Sort(lines)
		if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", profile, diff)
		}
		for _, m := range members[:3] {
			if !bytes.Contains(page, []byte(`{worker="`+m.url+`"} `)) {
				t.Errorf("%s: the router does not name %s", profile, m.url)
			}
		}
	}
}
