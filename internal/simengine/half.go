package simengine

import (
	"math"
	"math/rand/v2"
	"slices"
)

// half is what a scheduler of a prefill/decode group has beside its sim.
type half struct {
	role string

	// Requests in the queues of the transfer. Their other requests are in sim.
	bootstrap, inflight int        // prefill: waiting for the handshake; KV is being sent
	prealloc            []*request // decode: waiting for memory
	transfer            int        // decode: KV is being received
	ready               []*request // decode: KV is there, waiting for a place in the batch

	externalQueried, externalHits uint64 // prompt tokens asked for and found at the connector
	failed                        uint64 // transfers

	// NIXL's, in seconds and bytes.
	wire, post, size, descriptors *histogram
	// SGLang's, in milliseconds, MiB and GB/s.
	latency, handshake, alloc, total, rate *histogram
	// SGLang's stages, in seconds.
	stages []stage
}

type stage struct {
	name string
	h    *histogram
}

// Buckets of NIXL's histograms: NixlPromMetrics in vLLM's nixl/stats.py.
var (
	nixlSeconds     = []float64{.001, .005, .01, .025, .05, .075, .1, .2, .3, .5, .75, 1, 5}
	nixlBytes       = exponential(2048, 4, 12)
	nixlDescriptors = []float64{10, 20, 30, 50, 75, 100, 200, 400, 1000, 2000, 4000, 10000, 20000, 50000}
)

// Buckets of SGLang's transfers: SchedulerMetricsCollector in metrics_collector.py of 0.5.18.
var (
	sglangHandshake = []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500}
	sglangLatency   = append(slices.Clip(sglangHandshake), 5000)
	sglangTotal     = []float64{1, 5, 10, 50, 100, 500, 1000, 5000, 10000}
	sglangRate      = []float64{.1, .5, 1, 5, 10, 25, 50, 100, 200, 400}
)

// SGLang's stages of a request, by the side that measures them.
const (
	stageBootstrap = iota // prefill_bootstrap, decode_prepare
	stageTransfer         // prefill_transfer_kv_cache, decode_waiting
)

func newHalf(p *profile, role string) *half {
	h := &half{role: role}
	if p.kind == ProfileVLLM {
		h.wire, h.post = newHistogram(nixlSeconds[1:]), newHistogram(nixlSeconds)
		h.size, h.descriptors = newHistogram(nixlBytes), newHistogram(nixlDescriptors)
		return h
	}
	h.latency, h.handshake, h.alloc = newHistogram(sglangLatency), newHistogram(sglangHandshake), newHistogram(sglangHandshake)
	h.total, h.rate = newHistogram(sglangTotal), newHistogram(sglangRate)
	names := [...]string{stageBootstrap: "prefill_bootstrap", stageTransfer: "prefill_transfer_kv_cache"}
	if role == RoleDecode {
		names = [...]string{stageBootstrap: "decode_prepare", stageTransfer: "decode_waiting"}
	}
	for _, name := range names {
		h.stages = append(h.stages, stage{name, newHistogram(p.buckets.stage)})
	}
	return h
}

// prefillProfile is an engine that computes prompts.
func prefillProfile(p profile) profile {
	p.accept = nil
	if p.kind == ProfileVLLM {
		p.perPrompt *= 2.5 // it has fewer cards, and a burst makes a queue
	}
	return p
}

// decodeProfile is an engine that generates.
func decodeProfile(p profile) profile {
	p.accept = nil
	p.maxSequences *= 2
	p.stepBase *= .8
	p.hostBlocks = 0
	switch p.kind {
	case ProfileVLLM:
		p.blocks = p.blocks * 5 / 2 // it has no prompts to compute and more cards
	case ProfileSGLang:
		p.blocks = p.blocks * 4 / 9 // of one of its ranks
	}
	return p
}

// The model's KV cache and the network between the engines.
const (
	vllmTokenBytes   = 2 * 64 * 8 * 128 * 2 // keys and values, layers, heads, head size, bytes: qwen3-32b in bfloat16
	vllmLayers       = 64
	sglangTokenBytes = 61 * 576 * 2 // layers, latent size, bytes: deepseek-v3.2
	bytesPerSecond   = 12e9         // of one transfer: half of what a 200 Gbit/s network carries
)

// transferOf returns what a transfer of r's prompt takes: whole blocks, the seconds to submit it, and the seconds on the wire.
func transferOf(s *sim, prompt int, rng *rand.Rand) (bytes, descriptors int, post, wire float64) {
	blocks := s.blocksFor(prompt)
	perToken := sglangTokenBytes
	if s.p.kind == ProfileVLLM {
		perToken, descriptors = vllmTokenBytes, blocks*vllmLayers
	}
	bytes = blocks * s.p.blockSize * perToken
	post = .0006 + 4e-7*float64(descriptors)
	wire = (.002 + float64(bytes)/bytesPerSecond) * (1 + .5*rng.Float64())
	return bytes, descriptors, post, wire
}

// queued returns the requests that the engine tells of as waiting. vLLM counts those whose KV is on its way among them.
func (s *sim) queued() int {
	n := len(s.waiting)
	if s.pd != nil {
		n += len(s.pd.ready)
		if s.p.kind == ProfileVLLM {
			n += len(s.pd.prealloc) + s.pd.transfer
		}
	}
	return n
}

// timer is something that happens later.
type timer struct {
	at float64
	n  int // of two at one moment the earlier made comes first
	do func()
}

type timers []timer

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	return t[i].at < t[j].at || t[i].at == t[j].at && t[i].n < t[j].n
}
func (t timers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)   { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = timer{}
	*t = (*t)[:last]
	return x
}

// forever is a patience that does not end: users of a group leave only in the middle of an answer.
var forever = math.Inf(1)
