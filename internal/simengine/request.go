package simengine

import "math/rand/v2"

// reason is why a request ended.
type reason uint8

const (
	ended reason = iota // natural: the model stopped
	cutOff
	aborted
	failed
	repeated
	reasons
)

// request is one prompt on its way through the engine. Times are seconds since load began.
type request struct {
	arrived, gaveUpAt      float64 // gaveUpAt: the client leaves unless the first token has come by then
	scheduled, first, last float64 // first scheduling, first token, latest token; zero before
	queued                 float64 // when it entered the queue of the scheduler, if that is later than its arrival
	prompt, output, most   int     // most: the max_tokens parameter
	stream                 bool
	end                    reason // how it ends when nothing else happens
	stopAt                 int    // tokens after which it is aborted or fails; 0: never
	group                  int    // the system prompt that it begins with
	talk                   conversation
	cached, cachedHost     int // prompt tokens found in the cache, and how many of them in host memory
	received               int // prompt tokens whose KV came from another engine
	remaining, chunk       int // tokens whose KV is still to be computed, and those of the step in progress
	generated              int
	tokens, blocks         int // KV held
	retracted              bool
	user                   *pdRequest // of a prefill/decode group
}

// conversation is what an earlier request left behind: its tokens may still be cached.
type conversation struct {
	tokens int
	group  int
	stamp  int64 // cache.written when its blocks were freed
}

// cache tells which tokens are still to be found after their request has gone. Freed blocks are reused oldest first, so a
// block survives as long as fewer tokens were written since it was freed than fit into the memory that no request holds.
type cache struct {
	written int64 // tokens written so far
	stamps  []int64
	sizes   []int // tokens of each shared system prompt
	talks   []conversation
	oldest  int // in talks, replaced next
}

const rememberedTalks = 64

func newCache(p *profile, rng *rand.Rand) cache {
	c := cache{stamps: make([]int64, p.prefixes), sizes: make([]int, p.prefixes)}
	for i := range c.sizes {
		c.sizes[i] = p.prefix.tokens(rng)
		c.stamps[i] = -1 << 60
	}
	return c
}

// remember keeps a conversation to be continued.
func (c *cache) remember(t conversation) {
	if len(c.talks) < rememberedTalks {
		c.talks = append(c.talks, t)
		return
	}
	c.talks[c.oldest] = t
	c.oldest = (c.oldest + 1) % rememberedTalks
}

// popular returns a system prompt, the first ones much more often than the last.
func (c *cache) popular(rng *rand.Rand) int {
	n := float64(len(c.sizes))
	u := rng.Float64()
	return min(len(c.sizes)-1, int(n*u*u*u))
}

// arrive draws a request that arrives at t, and queues it.
func (s *sim) arrive(t float64) { s.enqueue(s.draw(t)) }

// enqueue puts r at the end of the queue.
func (s *sim) enqueue(r *request) {
	s.st.received++
	s.waiting = append(s.waiting, r)
}

// draw returns a request that arrives at t.
func (s *sim) draw(t float64) *request {
	r := s.newRequest()
	rng, p := s.users, &s.p
	r.arrived, r.gaveUpAt = t, t+p.patience.draw(rng)
	r.stream = rng.Float64() < .75
	fresh, u := p.prompt.tokens(rng), rng.Float64()
	r.group = s.cache.popular(rng)
	pick := rng.IntN(rememberedTalks)
	if u < p.followUps && pick < len(s.cache.talks) {
		if t := s.cache.talks[pick]; t.tokens+fresh < p.maxModelLen/2 {
			r.talk, r.group = t, t.group
		}
	}
	base := r.talk.tokens
	if base == 0 {
		base = s.cache.sizes[r.group]
	}
	r.prompt = min(base+fresh, p.maxModelLen/2)
	r.most = [...]int{256, 512, 512, 1024, 1024, 1024, 2048, 2048, 4096, 4096}[rng.IntN(10)]
	r.output = p.output.tokens(rng)
	switch fate := rng.Float64(); {
	case r.output >= r.most:
		r.output, r.end = r.most, cutOff
	case fate < .0005 && p.kind == ProfileVLLM:
		r.end = repeated
	}
	switch fate := rng.Float64(); {
	case fate < .012: // the client hangs up in the middle of the answer
		r.stopAt, r.end = 1+int(rng.Float64()*float64(r.output)), aborted
	case fate < .0135:
		r.stopAt, r.end = 1+int(rng.Float64()*float64(r.output)), failed
	}
	r.remaining = r.prompt
	return r
}

func (s *sim) newRequest() *request {
	n := len(s.spare)
	if n == 0 {
		return new(request)
	}
	r := s.spare[n-1]
	s.spare = s.spare[:n-1]
	*r = request{}
	return r
}

// lookUp finds how much of r is cached now, and how much of that in host memory.
func (s *sim) lookUp(r *request) (cached, fromHost int) {
	bs := s.p.blockSize
	free := int64(s.p.blocks-s.blocksUsed) * int64(bs)
	host := int64(s.p.hostBlocks) * int64(bs)
	if s.p.swaps {
		host = 0 // host memory is for swapped requests there
	}
	find := func(tokens int, stamp int64) (device, fromHost int) {
		tokens = min(tokens, r.prompt+r.generated-1) / bs * bs // whole blocks, and the last token is always computed
		switch age := s.cache.written - stamp; {
		case age < free:
			return tokens, 0
		case age < free+host:
			return 0, tokens
		}
		return 0, 0
	}
	device, fromHost := find(r.talk.tokens, r.talk.stamp)
	if device+fromHost == 0 {
		device, fromHost = find(s.cache.sizes[r.group], s.cache.stamps[r.group])
	}
	s.cache.stamps[r.group] = s.cache.written
	return device + fromHost, fromHost
}
