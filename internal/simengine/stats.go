package simengine

import "time"

const maxDraft = 4

// stats is everything that the engine has counted. Engines differ in what they count when: the methods below do as the
// profile's engine does, and its page reads what it would have.
type stats struct {
	p *profile

	received    uint64
	ends        [reasons]uint64
	generated   uint64           // tokens, counted as they come
	queried     uint64           // prompt tokens looked up in the prefix cache
	hits        uint64           // of them found on the device
	hostHits    uint64           // of them found in host memory
	preemptions uint64           // requests that lost their memory
	drafts      uint64           // steps of a request with speculation
	accepted    [maxDraft]uint64 // accepted draft tokens by position

	startedPrompts, startedCached uint64 // prompt tokens of requests that got their first token
	startedReceived               uint64 // of them those whose KV came from another engine
	lostPrompts                   uint64 // prompt tokens of requests that ended without one
	retractedIn, retractedOut     uint64 // tokens of requests that were computed again
	prefillComputed               uint64 // prompt tokens computed step by step, those of retracted requests again
	prefillCached                 uint64
	steps                         uint64
	busy                          float64 // seconds in which the engine computed
	hitShare                      float64 // of the latest admitted prompt

	streamed, whole side // counted when requests end
	window          window

	firstToken, firstTokenWhole       *histogram
	interToken, perToken              *histogram
	endToEnd, endToEndWhole           *histogram
	queue, inference, prefill, decode *histogram
	stageProcess, stagePrefill        *histogram
	promptTokens, generationTokens    *histogram
	uncached                          *histogram
	params, maxTokens, maxGeneration  *histogram
	iteration                         *histogram
	httpPrecise, httpCoarse           *histogram
	requestBytes, responseBytes       float64
}

// side is what SGLang counts apart for streamed and whole answers.
type side struct{ requests, prompt, generated, cached, cachedHost uint64 }

func (s side) plus(o side) side {
	return side{s.requests + o.requests, s.prompt + o.prompt, s.generated + o.generated, s.cached + o.cached, s.cachedHost + o.cachedHost}
}

// window measures throughput over the latest second of work.
type window struct {
	since                     float64
	prompt, generated         int
	drafts, accepted          uint64
	promptRate, generatedRate float64 // tokens a second
	acceptLength, acceptRate  float64
}

func newStats(p *profile) stats {
	b := p.buckets
	st := stats{
		p:                p,
		firstToken:       newHistogram(b.firstToken),
		interToken:       newHistogram(b.interToken),
		perToken:         newHistogram(b.perToken),
		endToEnd:         newHistogram(b.endToEnd),
		queue:            newHistogram(b.queue),
		inference:        newHistogram(b.phase),
		prefill:          newHistogram(b.phase),
		decode:           newHistogram(b.phase),
		stageProcess:     newHistogram(b.stage),
		stagePrefill:     newHistogram(b.stage),
		promptTokens:     newHistogram(b.tokens),
		generationTokens: newHistogram(b.tokens),
		uncached:         newHistogram(b.uncached),
		params:           newHistogram(b.params),
		maxTokens:        newHistogram(b.maxTokens),
		maxGeneration:    newHistogram(b.maxTokens),
		iteration:        newHistogram(b.iteration),
		httpPrecise:      newHistogram(b.httpPrecise),
		httpCoarse:       newHistogram(b.httpCoarse),
	}
	if p.kind == ProfileSGLang {
		st.firstTokenWhole, st.endToEndWhole = newHistogram(b.firstToken), newHistogram(b.endToEnd)
	}
	return st
}

// admitted counts a request that is scheduled for the first time.
func (st *stats) admitted(r *request) {
	st.queried += uint64(r.prompt)
	st.hits += uint64(r.cached - r.cachedHost)
	st.hostHits += uint64(r.cachedHost)
	if st.p.kind == ProfileSGLang {
		st.entered(r)
	}
}

// entered counts a request's way into SGLang's batch.
func (st *stats) entered(r *request) {
	st.queue.observe(r.scheduled - max(r.arrived, r.queued))
	st.stageProcess.observe(.0012 + 1.5e-7*float64(r.prompt))
}

// started counts a request that has got its first token.
func (st *stats) started(r *request) {
	st.startedPrompts += uint64(r.prompt)
	st.startedCached += uint64(r.cached)
	st.startedReceived += uint64(r.received)
	st.stagePrefill.observe(r.first - r.scheduled)
	if st.p.kind == ProfileMindIE {
		st.promptTokens.observe(float64(r.prompt))
	}
	if r.stream || st.p.kind != ProfileSGLang {
		st.firstToken.observe(st.round(r.first - r.arrived))
	}
}

// next counts n tokens that came together, wait seconds after the ones before.
func (st *stats) next(wait float64, n int) {
	if st.p.kind == ProfileSGLang {
		st.interToken.observeN(wait/float64(n), n)
		return
	}
	st.interToken.observe(st.round(wait))
}

// stepped counts a step that ended at now.
func (st *stats) stepped(now, took float64, prefill, emitted int) {
	st.steps++
	st.busy += took
	st.prefillComputed += uint64(prefill)
	st.iteration.observe(float64(prefill + emitted))
	w := &st.window
	w.prompt += prefill
	w.generated += emitted
	span := now - w.since
	if span < 1 {
		return
	}
	accepted := st.acceptedTokens()
	if drafts := st.drafts - w.drafts; drafts > 0 {
		perDraft := float64(accepted-w.accepted) / float64(drafts)
		w.acceptLength, w.acceptRate = 1+perDraft, perDraft/float64(len(st.p.accept))
	}
	w.promptRate, w.generatedRate = float64(w.prompt)/span, float64(w.generated)/span
	w.since, w.prompt, w.generated, w.drafts, w.accepted = now, 0, 0, st.drafts, accepted
}

// finished counts a request's end.
func (st *stats) finished(r *request, why reason, now float64) {
	st.ends[why]++
	if r.first == 0 {
		st.lostPrompts += uint64(r.prompt)
	}
	success := why != aborted && why != failed
	switch {
	case st.p.kind == ProfileVLLM:
		st.finishedVLLM(r, now)
	case !success:
	case st.p.kind == ProfileMindIE:
		st.streamed.generated += uint64(r.generated)
		st.generationTokens.observe(float64(r.generated))
		st.endToEnd.observe(st.round(now - r.arrived))
	default:
		st.finishedSGLang(r, now)
	}
}

// finishedVLLM counts as vLLM does, which leaves out no request, however it ended.
func (st *stats) finishedVLLM(r *request, now float64) {
	took := now - r.arrived
	queued, inference, prefill, decode, perToken, computed := took, 0., 0., 0., 0., 0
	if r.scheduled > 0 {
		computed = r.prompt - r.cached - r.received
		queued, inference, prefill = r.scheduled-r.arrived, now-r.scheduled, now-r.scheduled
	}
	if r.first > 0 {
		prefill, decode = r.first-r.scheduled, now-r.first
	}
	if r.generated > 1 {
		perToken = decode / float64(r.generated-1)
	}
	st.endToEnd.observe(took)
	st.queue.observe(queued)
	st.inference.observe(inference)
	st.prefill.observe(prefill)
	st.decode.observe(decode)
	st.perToken.observe(perToken)
	st.promptTokens.observe(float64(r.prompt))
	st.generationTokens.observe(float64(r.generated))
	st.params.observe(1)
	st.uncached.observe(float64(computed))
	st.maxTokens.observe(float64(r.most))
	st.maxGeneration.observe(float64(r.generated))
	st.httpPrecise.observe(took)
	st.httpCoarse.observe(took)
	st.requestBytes += float64(310 + 4*r.prompt)
	if !r.stream { // a stream has no Content-Length
		st.responseBytes += float64(420 + 4*r.generated)
	}
}

func (st *stats) finishedSGLang(r *request, now float64) {
	took := now - r.arrived
	side, endToEnd := &st.streamed, st.endToEnd
	if !r.stream {
		side, endToEnd = &st.whole, st.endToEndWhole
		st.firstTokenWhole.observe(took) // the first token comes with the last one
	}
	side.requests++
	side.prompt += uint64(r.prompt)
	side.generated += uint64(r.generated)
	side.cached += uint64(r.cached - r.cachedHost)
	side.cachedHost += uint64(r.cachedHost)
	endToEnd.observe(took)
	st.promptTokens.observe(float64(r.prompt))
	st.uncached.observe(float64(r.prompt - r.cached))
	st.generationTokens.observe(float64(r.generated))
}

func (st *stats) acceptedTokens() (n uint64) {
	for _, a := range st.accepted {
		n += a
	}
	return n
}

// successes returns the requests that ended as they should.
func (st *stats) successes() uint64 { return st.ends[ended] + st.ends[cutOff] + st.ends[repeated] }

// round rounds a latency to what the engine can tell apart.
func (st *stats) round(seconds float64) float64 {
	if st.p.resolution == 0 {
		return seconds
	}
	return float64(time.Duration(seconds*1e9).Round(time.Duration(st.p.resolution*1e9))) / 1e9
}
