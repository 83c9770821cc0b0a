package simengine

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// gatewayVersion is the version of LiteLLM that a Gateway plays.
const gatewayVersion = "1.80.0"

// Gateway plays LiteLLM's proxy in front of simulated engines: every request of theirs came through it and belongs to
// somebody. Engines join it with Options.Gateway; the zero value is ready for them.
type Gateway struct {
	mu       sync.Mutex
	engines  []*Engine
	accounts map[accountKey]*account
	perToken map[string]*histogram // by model
}

type accountKey struct{ person, model int }

// account is what one person has used of one model.
type account struct {
	person                    person
	model                     string
	ends                      [4]uint64 // by index of gatewayStatuses
	prompt, cached, generated uint64
	firstToken, duration      *histogram
}

// gatewayStatuses are the HTTP statuses of answers: complete, the client left, refused for going too fast, failed.
var gatewayStatuses = [...]string{"200", "499", "429", "500"}

const (
	answered = iota
	left
	refused
	broken
)

// person is somebody who uses the models.
type person struct{ name, team string }

var people = [...]person{
	{"ana", "research"}, {"bao", "search"}, {"chidi", "research"}, {"dina", "support"}, {"emil", "search"}, {"fatou", "support"}, {"goran", "platform"}, {"hana", "research"},
}

// shares are how much of a model's requests its users send, the heaviest first.
var shares = [...]float64{.45, .25, .15, .1, .05}

// gatewayBuckets are LiteLLM's bounds of latencies, in seconds.
var gatewayBuckets = func() []float64 {
	b := []float64{.005, .00625, .0125, .025, .05, .1}
	for v := .5; v <= 10; v += .5 {
		b = append(b, v)
	}
	return append(b, 15, 20, 25, 30, 60, 120, 180, 240, 300)
}()

func (g *Gateway) join(e *Engine) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.engines = append(g.engines, e)
}

// chance returns a number from 0 to 1 that a request has, whatever happens to it.
func (r *request) chance() float64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], math.Float64bits(r.arrived))
	h := fnv.New64a()
	_, _ = h.Write(b[:])
	sum := h.Sum64()
	sum ^= sum >> 31 // FNV's low bits hardly reach the high ones
	return float64(sum*0x9e3779b97f4a7c15>>11) / (1 << 53)
}

// finished counts a request that an engine is done with.
func (g *Gateway) finished(model string, r *request, why reason, now float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	chance := r.chance()
	a := g.account(model, chance)
	if chance < shares[0]/30 {
		a.ends[refused]++ // and was sent again
	}
	switch why {
	case aborted:
		a.ends[left]++
		return
	case failed:
		a.ends[broken]++
		return
	}
	a.ends[answered]++
	a.prompt += uint64(r.prompt)
	a.cached += uint64(r.cached)
	a.generated += uint64(r.generated)
	took := now - r.arrived
	if r.stream {
		a.firstToken.observe(r.first - r.arrived)
	}
	a.duration.observe(took + .004)
	if g.perToken == nil {
		g.perToken = map[string]*histogram{}
	}
	if g.perToken[model] == nil {
		g.perToken[model] = newHistogram(gatewayBuckets)
	}
	g.perToken[model].observe(took / float64(max(1, r.generated)))
}

// account returns the account of a request's user, as chance has it. The caller holds g.mu.
func (g *Gateway) account(model string, chance float64) *account {
	h := fnv.New32a()
	_, _ = h.Write([]byte(model))
	i := 0
	for i < len(shares)-1 && chance >= shares[i] {
		chance -= shares[i]
		i++
	}
	first := int(h.Sum32() % uint32(len(people)))
	key := accountKey{(first + i) % len(people), int(h.Sum32())}
	a := g.accounts[key]
	if a == nil {
		a = &account{person: people[key.person], model: model, firstToken: newHistogram(gatewayBuckets), duration: newHistogram(gatewayBuckets)}
		if g.accounts == nil {
			g.accounts = map[accountKey]*account{}
		}
		g.accounts[key] = a
	}
	return a
}

// inFlight brings the engines to the present and returns the requests that they have. The caller must not hold g.mu.
func (g *Gateway) inFlight() (n int) {
	g.mu.Lock()
	engines := slices.Clone(g.engines)
	g.mu.Unlock()
	for _, e := range engines {
		e.mu.Lock()
		e.catchUp()
		for _, s := range e.ranks {
			n += len(s.running) + len(s.waiting) + len(s.swapped)
		}
		e.mu.Unlock()
	}
	return n
}

// page returns the metrics page of this moment. Labels are those of LiteLLM's litellm/types/integrations/prometheus.py.
func (g *Gateway) page() []byte {
	n := g.inFlight()
	g.mu.Lock()
	defer g.mu.Unlock()
	accounts := slices.Collect(func(yield func(*account) bool) {
		for _, a := range g.accounts {
			if !yield(a) {
				return
			}
		}
	})
	slices.SortFunc(accounts, func(a, b *account) int {
		return cmp.Or(strings.Compare(a.model, b.model), strings.Compare(a.person.name, b.person.name))
	})
	p := &page{number: appendPython}
	p.counters("litellm_proxy_total_requests_metric", "Requests made to the proxy.", accounts, func(a *account, write func(float64, ...pair)) {
		for i, count := range a.ends {
			if count > 0 {
				write(float64(count), pair{"client_ip", "None"}, pair{"route", "/chat/completions"}, pair{"status_code", gatewayStatuses[i]}, pair{"user_agent", "None"})
			}
		}
	})
	tokens := func(name, help string, of func(*account) uint64) {
		p.counters(name, help, accounts, func(a *account, write func(float64, ...pair)) {
			write(float64(of(a)), pair{"model", "hosted_vllm/" + a.model})
		})
	}
	tokens("litellm_input_tokens_metric", "Input tokens.", func(a *account) uint64 { return a.prompt })
	tokens("litellm_output_tokens_metric", "Output tokens.", func(a *account) uint64 { return a.generated })
	tokens("litellm_input_cached_tokens_metric", "Input tokens that the provider had cached.", func(a *account) uint64 { return a.cached })
	times := func(name, help string, of func(*account) *histogram) {
		p.family(name, "histogram", help)
		for _, a := range accounts {
			p.histogram(name, sortedLabels(a.labels(pair{"model", "hosted_vllm/" + a.model})...), of(a))
		}
	}
	times("litellm_llm_api_time_to_first_token_metric", "Time to the first token of streamed answers.", func(a *account) *histogram { return a.firstToken })
	times("litellm_request_total_latency_metric", "Latency of requests to the proxy.", func(a *account) *histogram { return a.duration })
	const perToken = "litellm_deployment_latency_per_output_token"
	p.family(perToken, "histogram", "Latency for each output token of a deployment.")
	models := make([]string, 0, len(g.perToken))
	for model := range g.perToken {
		models = append(models, model)
	}
	slices.Sort(models)
	for _, model := range models {
		p.histogram(perToken, sortedLabels(pair{"api_provider", "hosted_vllm"}, pair{"litellm_model_name", model}, pair{"model_id", "deployment-" + model}), g.perToken[model])
	}
	p.gauge("litellm_in_flight_requests", "HTTP requests in flight.", labels{}, float64(n))
	return p.b
}

// labels are those of all families of an account.
func (a *account) labels(more ...pair) []pair {
	return append(more,
		pair{"api_key_alias", a.person.name + "-laptop"}, pair{"end_user", "None"}, pair{"hashed_api_key", fmt.Sprintf("%016x", hashOf(a.person.name))},
		pair{"model_id", "deployment-" + a.model}, pair{"requested_model", a.model}, pair{"team", "team-" + a.person.team}, pair{"team_alias", a.person.team},
		pair{"user", a.person.name}, pair{"user_email", a.person.name + "@example.com"})
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

func (p *page) counters(name, help string, accounts []*account, values func(a *account, write func(float64, ...pair))) {
	p.family(name+"_total", "counter", help)
	for _, a := range accounts {
		values(a, func(v float64, more ...pair) { p.sample(name, "_total", sortedLabels(a.labels(more...)...), v) })
	}
}

func (p *page) histogram(name string, l labels, h *histogram) {
	p.buckets(name, l, h)
	p.sample(name, "_count", l, float64(h.count))
	p.sample(name, "_sum", l, h.sum)
}

// Handler serves the gateway's HTTP surface: /metrics/, the models of its engines, and where it tells its version.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/metrics/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("GET /metrics/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(g.page()) // the client is gone if this fails
	})
	mux.HandleFunc("GET /health/readiness", reply(map[string]any{"status": "healthy", "litellm_version": gatewayVersion}))
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		list := []any{}
		for _, e := range g.engines {
			for _, m := range e.models {
				list = append(list, map[string]any{"id": m, "object": "model", "owned_by": "openai"})
			}
		}
		g.mu.Unlock()
		reply(map[string]any{"object": "list", "data": list})(w, r)
	})
	return mux
}
