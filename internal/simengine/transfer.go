package simengine

// arrive lets a user's request arrive at the router at t. vLLM's router sends it to a prefill engine and, when that has answered, to a decode
// engine. SGLang's sends it to both at once.
func (g *Group) arrive(t float64) {
	u := &pdRequest{id: g.truth.requests, arrived: t, prefill: idlest(g.prefills)}
	u.prefillSim = u.prefill.rank(u.id)
	r := u.prefillSim.draw(t)
	u.prompt, u.output, u.most, u.stopAt, u.end, u.stream = r.prompt, r.output, r.most, r.stopAt, r.end, r.stream
	r.user, r.gaveUpAt = u, forever
	r.output, r.stopAt, r.end = 1, 0, cutOff
	if g.o.Profile == ProfileVLLM {
		r.most, r.stream = 1, false
	}
	u.atPrefill = r
	g.truth.began(u)
	g.router.began(u)
	u.prefill.sentTo()
	if g.o.Profile == ProfileVLLM {
		g.after(hop, func() {
			r.arrived = g.clock
			u.prefillSim.enqueue(r)
		})
		return
	}
	u.decode = idlest(g.decodes)
	u.decode.sentTo()
	g.after(hop, func() {
		r.arrived = g.clock
		u.prefillSim.pd.bootstrap++
		g.decodeArrives(u)
	})
}

// idlest returns the engine with the fewest requests, of several the one to which the fewest were sent.
func idlest(members []*Member) *Member {
	best := members[0]
	for _, m := range members[1:] {
		if m.busy < best.busy || m.busy == best.busy && m.sent < best.sent {
			best = m
		}
	}
	return best
}

func (m *Member) sentTo() {
	m.busy++
	m.sent++
}

// rank returns the data-parallel rank for a request. SGLang derives it from the number of the bootstrap room.
func (m *Member) rank(id int) *sim { return m.engine.ranks[id%len(m.engine.ranks)] }

// playPrefill makes s a scheduler of a prefill engine.
func (g *Group) playPrefill(s *sim) {
	if s.p.kind == ProfileVLLM {
		s.onEnd = func(r *request, _ reason, _ float64) {
			u := r.user
			u.cached = r.cached
			u.held = r.blocks // the decode engine reads them
			s.blocksUsed += u.held
			s.held += u.held
			s.pd.externalQueried += uint64(r.prompt - r.cached)
			g.truth.prefilled(u)
			g.after(2*hop, func() {
				u.prefill.busy--
				u.decode = idlest(g.decodes)
				u.decode.sentTo()
				g.decodeArrives(u)
			})
		}
		return
	}
	s.st.firstToken, s.st.firstTokenWhole = nil, nil // a prefill engine does not measure it: tokenizer_manager.py
	s.keeps = func(r *request) bool {
		u := r.user
		u.cached, u.cachedHost = r.cached, r.cachedHost
		u.transferring = s.clock
		s.pd.inflight++
		s.held += r.blocks
		g.truth.prefilled(u)
		g.send(u)
		return true
	}
	s.onEnd = func(r *request, _ reason, _ float64) {
		s.pd.inflight--
		s.held -= r.blocks
		r.user.prefill.busy--
	}
}

// decodeArrives lets a request arrive at its decode engine.
func (g *Group) decodeArrives(u *pdRequest) {
	s := u.decode.rank(u.id)
	r := s.newRequest()
	r.user, r.arrived, r.gaveUpAt = u, g.clock, forever
	r.prompt, r.output, r.most, r.stopAt, r.end, r.stream = u.prompt, u.output, u.most, u.stopAt, u.end, u.stream
	u.decodeSim, u.atDecode = s, r
	s.st.received++
	s.pd.prealloc = append(s.pd.prealloc, r)
}

// allocate gives requests at a decode engine memory for their prompts, in their order, and lets their KV come.
func (g *Group) allocate(s *sim) {
	for len(s.pd.prealloc) > 0 && len(s.waiting) == 0 && len(s.running)+s.pd.transfer+len(s.pd.ready) < s.p.maxSequences {
		r := s.pd.prealloc[0]
		need := s.blocksFor(r.prompt + 1)
		if s.blocksUsed > 0 && s.blocksUsed+need > s.p.blocks-s.p.blocks/20 {
			return
		}
		s.pd.prealloc = s.pd.prealloc[1:]
		s.allocate(r, need, 0)
		s.held += r.blocks
		s.pd.transfer++
		u := r.user
		u.allocated = g.clock
		if s.p.kind == ProfileVLLM {
			u.transferring = g.clock
			g.send(u)
			continue
		}
		s.pd.stages[stageBootstrap].h.observe(g.clock - r.arrived)
		took := .003 + .009*g.network.Float64()
		g.after(took, func() {
			s.pd.handshake.observe(took * 1000)
			s.pd.alloc.observe((u.allocated - r.arrived) * 1000)
			p := u.prefillSim
			p.pd.bootstrap--
			p.pd.stages[stageBootstrap].h.observe(g.clock - u.atPrefill.arrived)
			u.atPrefill.queued = g.clock
			p.enqueue(u.atPrefill)
		})
	}
}

// send lets the KV of u's prompt go from its prefill engine to its decode engine.
func (g *Group) send(u *pdRequest) {
	bytes, descriptors, post, wire := transferOf(u.decodeSim, u.prompt, g.network)
	lost := g.network.Float64() < g.o.FailedTransfers
	g.after(post+wire, func() {
		from, to := u.prefillSim, u.decodeSim
		to.pd.transfer--
		to.held -= u.atDecode.blocks
		g.truth.transferred(u, bytes, lost)
		if g.o.Profile == ProfileVLLM {
			g.receivedVLLM(u, lost)
			if !lost {
				to.pd.wire.observe(wire)
				to.pd.post.observe(post)
				to.pd.size.observe(float64(bytes))
				to.pd.descriptors.observe(float64(descriptors))
			}
			return
		}
		from.pd.stages[stageTransfer].h.observe(g.clock - u.transferring)
		to.pd.stages[stageTransfer].h.observe(g.clock - u.allocated)
		if lost {
			from.pd.failed++
			to.pd.failed++
			from.release(u.atPrefill, failed, g.clock)
			to.release(u.atDecode, failed, g.clock)
			return
		}
		if !g.o.UnknownSizes {
			from.pd.latency.observe((post + wire) * 1000)
			from.pd.total.observe(float64(bytes) / (1 << 20))
			from.pd.rate.observe(float64(bytes) / (post + wire) / 1e9)
			from.pd.handshake.observe((u.atPrefill.queued - u.allocated) * 1000)
			from.pd.alloc.observe(.2)
		}
		from.release(u.atPrefill, cutOff, g.clock)
		u.atDecode.queued = g.clock
		to.pd.ready = append(to.pd.ready, u.atDecode)
	})
}

// receivedVLLM continues a request whose transfer has ended. After a failed one the decode engine computes the prompt itself.
func (g *Group) receivedVLLM(u *pdRequest, lost bool) {
	u.prefillSim.blocksUsed -= u.held
	u.prefillSim.held -= u.held
	r, s := u.atDecode, u.decodeSim
	r.received = r.prompt - 1 // the last token is always computed
	if lost {
		s.pd.failed++
		r.received = 0
	}
	r.tokens, r.remaining = r.received, r.prompt-r.received
	s.pd.ready = append(s.pd.ready, r)
}

// enter lets requests whose KV has come into the batch. The caller knows that no step is in progress.
func (g *Group) enter(s *sim) {
	ready := s.pd.ready
	s.pd.ready = s.pd.ready[:0]
	for _, r := range ready {
		r.scheduled = s.clock
		if s.p.kind == ProfileVLLM {
			s.st.admitted(r)
			s.pd.externalQueried += uint64(r.prompt)
			s.pd.externalHits += uint64(r.received)
			s.running = append(s.running, r)
			continue
		}
		// SGLang's prefill engine has sent the first token, too.
		r.cached, r.cachedHost, r.tokens = r.user.cached, r.user.cachedHost, r.prompt
		s.st.entered(r)
		s.emit(r, 1)
		if why, over := r.over(); over {
			s.finish(r, why)
			continue
		}
		s.running = append(s.running, r)
	}
	clear(ready)
}

// playDecode makes s a scheduler of a decode engine.
func (g *Group) playDecode(s *sim) {
	s.st.stagePrefill = nil
	s.onFirst = func(r *request, now float64) { g.truth.first(r.user, now+hop) }
	s.onEnd = func(r *request, why reason, now float64) {
		u := r.user
		u.decode.busy--
		if why == failed {
			u.decode.failed++
		}
		g.truth.ended(r, why, now+hop)
		g.router.ended(u, now)
	}
}
