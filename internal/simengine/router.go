package simengine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// router is vllm-router or smg.
type router struct {
	member   *Member
	group    *Group
	duration *histogram
	streamed [2]uint64 // requests for whole and for streamed answers
}

// routerBuckets are the bounds of durations of both routers, in seconds: start_prometheus in metrics.rs.
var routerBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 45, 60, 90, 120, 180, 240}

func newRouter(g *Group) *router {
	return &router{member: &Member{Role: RoleRouter, group: g}, group: g, duration: newHistogram(routerBuckets)}
}

func (r *router) began(u *pdRequest) {
	if u.stream {
		r.streamed[1]++
	} else {
		r.streamed[0]++
	}
}

func (r *router) ended(u *pdRequest, now float64) {
	r.duration.observe(now + hop - u.arrived)
}

// rustPage writes what the Rust crate metrics-exporter-prometheus does: labels in the order in which they were given, whole numbers without
// decimals, _sum before _count, and an empty line behind each family. A family without an event is not there.
type rustPage struct{ page }

func appendRust(b []byte, v float64) []byte { return strconv.AppendFloat(b, v, 'f', -1, 64) }

func (p *rustPage) write(name, typ, help string, samples ...value) {
	if len(samples) == 0 {
		return
	}
	p.family(name, typ, help)
	for _, s := range samples {
		p.sample(name, "", s.l, s.v)
	}
	p.b = append(p.b, '\n')
}

func (p *rustPage) histogram(name, help string, l labels, h *histogram) {
	if h.count == 0 {
		return
	}
	p.family(name, "histogram", help)
	p.buckets(name, l, h)
	p.sample(name, "_sum", l, h.sum)
	p.sample(name, "_count", l, float64(h.count))
	p.b = append(p.b, '\n')
}

// page returns the metrics page of this moment.
func (r *router) page() []byte {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	r.group.catchUp()
	p := &rustPage{page{number: appendRust}}
	if r.group.o.Profile == ProfileVLLM {
		r.renderVLLM(p)
	} else {
		r.renderSMG(p)
	}
	return p.b
}

// each returns a sample of each engine in members, labelled with its URL, without those for which of says that there is none.
func each(members []*Member, of func(*Member) (float64, bool)) (samples []value) {
	for _, m := range members {
		if v, there := of(m); there {
			samples = append(samples, value{givenLabels(pair{"worker", m.url}), v})
		}
	}
	return samples
}

func (r *router) engines() []*Member {
	return append(append([]*Member{}, r.group.prefills...), r.group.decodes...)
}

func sent(m *Member) (float64, bool)   { return float64(m.sent), m.sent > 0 }
func faults(m *Member) (float64, bool) { return float64(m.failed), m.failed > 0 }
func busy(m *Member) (float64, bool)   { return float64(m.busy), true }
func healthy(*Member) (float64, bool)  { return 1, true }
func closed(*Member) (float64, bool)   { return 0, true }

// renderVLLM writes vllm-router's page: src/metrics.rs of vllm-project/router. It names no model.
func (r *router) renderVLLM(p *rustPage) {
	g := r.group
	route := givenLabels(pair{"route", "/v1/chat/completions"})
	if g.truth.requests > 0 {
		p.write("vllm_router_pd_requests_total", "counter", "Two-stage requests by route.", value{route, float64(g.truth.requests)})
	}
	p.write("vllm_router_pd_prefill_requests_total", "counter", "Prefill requests by worker.", each(g.prefills, sent)...)
	p.write("vllm_router_pd_decode_requests_total", "counter", "Decode requests by worker.", each(g.decodes, sent)...)
	p.write("vllm_router_pd_decode_errors_total", "counter", "Decode errors by worker.", each(g.decodes, faults)...)
	p.write("vllm_router_processed_requests_total", "counter", "Requests by worker.", each(r.engines(), sent)...)
	p.write("vllm_router_active_workers", "gauge", "Workers.", value{v: 0}) // 0 while it serves, in group mode
	p.write("vllm_router_worker_health", "gauge", "Whether a worker is healthy.", each(r.engines(), healthy)...)
	p.write("vllm_router_running_requests", "gauge", "Requests in flight by worker.", each(r.engines(), busy)...)
	p.write("vllm_router_cb_state", "gauge", "State of a worker's circuit breaker.", each(r.engines(), closed)...)
	p.histogram("vllm_router_pd_request_duration_seconds", "Duration of two-stage requests by route.", route, r.duration)
}

// renderSMG writes smg's page: model_gateway/src/observability/metrics.rs of SGLang's gateway.
func (r *router) renderSMG(p *rustPage) {
	g := r.group
	model := pair{"model", g.o.Model}
	with := func(more ...pair) labels {
		return givenLabels(append([]pair{{"router_type", "http"}, {"backend_type", "pd"}, {"connection_mode", "http"}, model, {"endpoint", "chat"}}, more...)...)
	}
	var requests, selections []value
	for i, streaming := range [...]string{"false", "true"} {
		if n := r.streamed[i]; n > 0 {
			requests = append(requests, value{with(pair{"streaming", streaming}), float64(n)})
		}
	}
	for _, side := range [...][]*Member{g.prefills, g.decodes} {
		n := uint64(0)
		for _, m := range side {
			n += m.sent
		}
		if n > 0 {
			selections = append(selections, value{
				givenLabels(pair{"worker_type", side[0].Role}, pair{"connection_mode", "http"}, model, pair{"policy", "cache_aware"}), float64(n),
			})
		}
	}
	lost := uint64(0)
	for _, m := range g.decodes {
		lost += m.failed
	}
	if g.truth.requests > 0 {
		p.write("smg_http_requests_total", "counter", "HTTP requests by method and path.",
			value{givenLabels(pair{"method", "POST"}, pair{"path", "/v1/chat/completions"}), float64(g.truth.requests)})
	}
	p.write("smg_router_requests_total", "counter", "Routed requests.", requests...)
	if lost > 0 {
		p.write("smg_router_request_errors_total", "counter", "Router errors.", value{with(pair{"error_type", "backend_error"}), float64(lost)})
	}
	p.write("smg_worker_selection_total", "counter", "Selections of a worker.", selections...)
	p.write("smg_worker_pool_size", "gauge", "Workers by type.",
		value{givenLabels(pair{"worker_type", RolePrefill}, pair{"connection_mode", "http"}, model), float64(len(g.prefills))},
		value{givenLabels(pair{"worker_type", RoleDecode}, pair{"connection_mode", "http"}, model), float64(len(g.decodes))})
	p.write("smg_worker_requests_active", "gauge", "Requests in flight by worker.", each(r.engines(), busy)...)
	p.write("smg_worker_health", "gauge", "Whether a worker is healthy.", each(r.engines(), healthy)...)
	p.write("smg_worker_cb_state", "gauge", "State of a worker's circuit breaker.", each(r.engines(), closed)...)
	p.histogram("smg_router_request_duration_seconds", "Duration of routed requests.", with(), r.duration)
}

// Handler serves the member's HTTP surface. That of a router has also what the group has really done, for tests and for who wants to compare:
// GET /simulation returns a Truth. PUT /simulation?idle=true stops the users, idle=false lets them come again, burst=100 lets so many come at once,
// and speed=60 lets a minute pass in a second.
func (m *Member) Handler() http.Handler {
	if m.engine != nil {
		return m.engine.Handler()
	}
	r := m.group.router
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(r.page()) // the client is gone if this fails
	})
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/models", reply(m.group.prefills[0].engine.modelList("router", nil)))
	mux.HandleFunc("GET /simulation", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m.group.Truth()) // the client is gone if this fails
	})
	// PUT, which a web page of another origin cannot send.
	mux.HandleFunc("PUT /simulation", func(w http.ResponseWriter, req *http.Request) {
		query := req.URL.Query()
		if len(query) == 0 {
			http.Error(w, "no setting: use burst, idle or speed", http.StatusBadRequest)
			return
		}
		for name, values := range query {
			if err := m.group.control(name, values[0]); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (g *Group) control(name, value string) error {
	switch name {
	case "burst":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxBurst {
			return fmt.Errorf("burst=%q: use 1 to %d", value, maxBurst)
		}
		g.Burst(n)
		return nil
	case "idle":
		if value != "true" && value != "false" {
			return fmt.Errorf("idle=%q: use true or false", value)
		}
		g.SetIdle(value == "true")
		return nil
	case "speed":
		speed, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("speed=%q: use a number above 0 and up to %d", value, maxSpeed)
		}
		return g.SetSpeed(speed)
	}
	return fmt.Errorf("%q is no setting: use burst, idle or speed", name)
}
