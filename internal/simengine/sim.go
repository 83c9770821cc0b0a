package simengine

import (
	"math/rand/v2"
	"time"
)

// sim is the engine itself: a continuous-batching scheduler that is stepped through simulated time. What it does until a
// moment depends on its seed and on that moment alone, not on how often somebody looked before.
type sim struct {
	p      profile
	users  *rand.Rand // what requests are like
	server *rand.Rand // how long steps take, which draft tokens are accepted
	load   *load
	cache  cache
	st     stats

	clock     float64 // end of the last step, seconds since load began
	stepEnd   float64 // of the step in progress; 0: none
	stepStart float64
	waiting   []*request
	running   []*request
	swapped   []*request
	spare     []*request
	// onEnd is told of requests that have ended; nil: nobody is.
	onEnd func(r *request, why reason, now float64)
	// onFirst is told of requests that have their first token; nil: nobody is.
	onFirst func(r *request, now float64)
	// keeps is asked about requests that have all their tokens. One that it keeps stays in memory until release; nil: none is kept.
	keeps      func(r *request) bool
	pd         *half // of an engine that is half of a prefill/decode group
	blocksUsed int
	held       int // of blocksUsed: blocks of requests that do not run, because their KV is on its way to or from another engine
	hostUsed   int
}

func newSim(p profile, start time.Time, seed uint64) *sim {
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	s := &sim{p: p, users: stream(2), server: stream(3)}
	s.st = newStats(&s.p)
	s.load = newLoad(&s.p, start, stream(1))
	s.cache = newCache(&s.p, stream(4))
	return s
}

// advance runs the engine until t.
func (s *sim) advance(t float64) {
	for {
		if s.stepEnd == 0 && !s.beginStep() {
			next := s.load.peek()
			if next > t {
				if s.load.closed() {
					s.clock = max(s.clock, t)
				}
				return
			}
			s.clock = next
			s.st.window.since = next
			s.arrivals(next)
			continue
		}
		if s.stepEnd > t {
			s.arrivals(t)
			return
		}
		s.arrivals(s.stepEnd)
		s.endStep()
	}
}

// arrivals queues what has arrived until t.
func (s *sim) arrivals(t float64) {
	for s.load.peek() <= t {
		s.arrive(s.load.pop())
	}
}

// beginStep decides what the engine computes next and how long that takes. It says false when there is nothing to do.
func (s *sim) beginStep() bool {
	s.expire()
	if len(s.running)+len(s.waiting)+len(s.swapped) == 0 {
		return false
	}
	budget := s.p.maxBatchTokens
	decoding, preempted := s.decoders(&budget)
	prefill := 0
	for _, r := range s.running {
		if r.remaining > 0 {
			r.chunk = min(r.remaining, budget)
			budget -= r.chunk
			prefill += r.chunk
		}
	}
	if !preempted {
		decoding += s.swapIn()
		if len(s.swapped) == 0 {
			prefill += s.admit(budget)
		}
	}
	if len(s.running) == 0 {
		return false // everybody gave up
	}
	cost := s.p.stepBase + s.p.perSequence*float64(decoding)*float64(1+len(s.p.accept)) +
		s.p.perPrompt*float64(prefill) + s.p.perKV*float64(s.blocksUsed*s.p.blockSize)
	cost *= 1 + .06*s.server.Float64()
	if s.server.Float64() < .0004 {
		cost += .05 + .2*s.server.Float64() // garbage collection, a page fault, a noisy neighbour
	}
	s.stepStart, s.stepEnd = s.clock, s.clock+cost
	return true
}

// decoders gives each request that generates room for its next tokens, at the expense of the youngest when memory is short.
func (s *sim) decoders(budget *int) (decoding int, preempted bool) {
	perStep := 1 + len(s.p.accept)
	for i := 0; i < len(s.running); i++ {
		r := s.running[i]
		if r.remaining > 0 {
			continue
		}
		need := s.blocksFor(r.tokens+perStep) - r.blocks
		for need > s.p.blocks-s.blocksUsed {
			preempted = true
			youngest := s.running[len(s.running)-1]
			s.preempt(youngest)
			if youngest == r {
				break
			}
		}
		if i < len(s.running) {
			s.allocate(r, need, 0)
			*budget -= perStep
			decoding++
		}
	}
	*budget = max(0, *budget)
	return decoding, preempted
}

// admit starts waiting requests as long as there is room for their prompts.
func (s *sim) admit(budget int) (prefill int) {
	reserve := s.p.blocks / 100
	if s.p.swaps {
		reserve = 0 // swapping is cheap: such an engine fills its memory to the brim
	}
	for len(s.waiting) > 0 && budget > 0 && len(s.running) < s.p.maxSequences {
		r := s.waiting[0]
		need := s.blocksFor(r.prompt + r.generated)
		if len(s.running)+s.held > 0 && s.blocksUsed+need > s.p.blocks-reserve {
			return prefill
		}
		s.waiting = s.waiting[1:]
		cached, fromHost := s.lookUp(r)
		if !r.retracted {
			r.scheduled, r.cached, r.cachedHost = s.clock, cached, fromHost
			s.st.admitted(r)
		}
		s.st.hitShare = float64(cached) / float64(r.prompt+r.generated)
		s.st.prefillCached += uint64(cached)
		r.tokens, r.remaining = cached, r.prompt+r.generated-cached
		s.allocate(r, need, cached)
		r.chunk = min(r.remaining, budget)
		budget -= r.chunk
		prefill += r.chunk
		s.running = append(s.running, r)
	}
	return prefill
}

// swapIn brings swapped requests back, oldest first.
func (s *sim) swapIn() (decoding int) {
	reserve := s.p.blocks / 10 // else what was just swapped in is the next to be swapped out
	for len(s.swapped) > 0 && len(s.running) < s.p.maxSequences {
		r := s.swapped[0]
		need := s.blocksFor(r.tokens + 1)
		if len(s.running) > 0 && s.blocksUsed+need > s.p.blocks-reserve {
			break
		}
		s.swapped = s.swapped[1:]
		s.hostUsed -= r.blocks
		r.blocks = 0
		s.allocate(r, need, r.tokens)
		s.running = append(s.running, r)
		decoding++
	}
	return decoding
}

// preempt takes the youngest running request's memory away.
func (s *sim) preempt(r *request) {
	s.running = s.running[:len(s.running)-1]
	s.st.preemptions++
	s.blocksUsed -= r.blocks
	if s.p.swaps && r.remaining == 0 && s.hostUsed+r.blocks <= s.p.hostBlocks {
		s.hostUsed += r.blocks
		s.swapped = append(s.swapped, r)
		return
	}
	s.st.retractedIn += uint64(r.prompt)
	s.st.retractedOut += uint64(r.generated)
	// Its blocks are the freshest ones in the cache: it finds most of them again when it returns soon.
	r.talk = conversation{tokens: r.tokens, group: r.group, stamp: s.cache.written}
	r.blocks, r.chunk, r.tokens, r.retracted = 0, 0, 0, true
	if r.generated == 0 {
		r.received = 0 // it computes all of its prompt itself
	}
	r.remaining = r.prompt + r.generated
	s.waiting = append(s.waiting, nil)
	copy(s.waiting[1:], s.waiting)
	s.waiting[0] = r
}

// expire lets those go who have waited too long for their first token.
func (s *sim) expire() {
	kept := s.waiting[:0]
	for _, r := range s.waiting {
		if r.generated == 0 && s.clock > r.gaveUpAt {
			s.finish(r, aborted)
			continue
		}
		kept = append(kept, r)
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

// endStep carries out the step in progress.
func (s *sim) endStep() {
	s.clock = s.stepEnd
	s.stepEnd = 0
	prefill, emitted := 0, 0
	kept := s.running[:0]
	for _, r := range s.running {
		n := 0
		switch {
		case r.chunk > 0:
			prefill += r.chunk
			r.remaining -= r.chunk
			r.tokens += r.chunk
			r.chunk = 0
			if r.remaining == 0 {
				n = 1
			}
		case r.remaining == 0:
			n = 1 + s.draft()
		}
		if n > 0 {
			n = min(n, r.output-r.generated)
			emitted += n
			s.emit(r, n)
			if why, over := r.over(); over {
				if s.keeps == nil || !s.keeps(r) {
					s.finish(r, why)
				}
				continue
			}
		}
		kept = append(kept, r)
	}
	clear(s.running[len(kept):])
	s.running = kept
	s.st.stepped(s.clock, s.clock-s.stepStart, prefill, emitted)
}

// draft returns how many of the drafted tokens the model accepts.
func (s *sim) draft() int {
	if len(s.p.accept) == 0 {
		return 0
	}
	s.st.drafts++
	n := 0
	for n < len(s.p.accept) && s.server.Float64() < s.p.accept[n] {
		s.st.accepted[n]++
		n++
	}
	return n
}

// emit hands out r's next n tokens.
func (s *sim) emit(r *request, n int) {
	if r.generated == 0 {
		r.first = s.clock
		s.st.started(r)
		if s.onFirst != nil {
			s.onFirst(r, s.clock)
		}
	} else {
		s.st.next(s.clock-r.last, n)
	}
	r.last = s.clock
	r.generated += n
	r.tokens += n
	s.st.generated += uint64(n)
}

// over says whether and why r has ended.
func (r *request) over() (reason, bool) {
	switch {
	case r.stopAt > 0 && r.generated >= r.stopAt:
		return r.end, true
	case r.generated >= r.output:
		return r.end, true
	}
	return 0, false
}

// finish ends r and frees what it held.
func (s *sim) finish(r *request, why reason) { s.release(r, why, s.clock) }

// release ends r at now, which may be later than the end of the last step, and frees what it held.
func (s *sim) release(r *request, why reason, now float64) {
	s.st.finished(r, why, now)
	if s.onEnd != nil {
		s.onEnd(r, why, now)
	}
	s.blocksUsed -= r.blocks
	s.cache.stamps[r.group] = s.cache.written
	if why == ended || why == cutOff {
		s.cache.remember(conversation{tokens: r.prompt + r.generated, group: r.group, stamp: s.cache.written})
	}
	s.spare = append(s.spare, r)
}

// lose lets all requests fail that are there, as the end of the engine's process does: the engine itself counts nothing more.
func (s *sim) lose() {
	if s.onEnd == nil {
		return
	}
	for _, list := range [][]*request{s.running, s.waiting, s.swapped} {
		for _, r := range list {
			s.onEnd(r, failed, s.clock)
		}
	}
}

func (s *sim) blocksFor(tokens int) int { return (tokens + s.p.blockSize - 1) / s.p.blockSize }

// allocate gives r n more blocks, of which reused tokens need not be written anew.
func (s *sim) allocate(r *request, n, reused int) {
	if n <= 0 {
		return
	}
	r.blocks += n
	s.blocksUsed += n
	s.cache.written += int64(max(0, n*s.p.blockSize-reused))
}

// usage returns the share of the KV cache that requests hold.
func (s *sim) usage() float64 { return float64(s.blocksUsed) / float64(s.p.blocks) }

// heldTokens returns the tokens that requests hold in the KV cache.
func (s *sim) heldTokens() int {
	n := 0
	for _, r := range s.running {
		n += r.tokens
	}
	return n
}
