package simengine

import "slices"

// Truth is what a group has really done. A user is somebody who has sent a request to the router.
type Truth struct {
	// Requests is the number of requests that users made. Each is in flight or has ended in one of three ways: the users have their
	// answer, they left in the middle of it, or the group failed.
	Requests  int `json:"requests"`
	InFlight  int `json:"in_flight"`
	Completed int `json:"completed"`
	Aborted   int `json:"aborted"`
	Failed    int `json:"failed"`

	// PromptTokens is the length of all requests whose prompt is computed, Prefilled their number, CachedTokens what of it was in the
	// prefix caches of the prefill engines.
	Prefilled    int `json:"prefilled"`
	PromptTokens int `json:"prompt_tokens"`
	CachedTokens int `json:"cached_tokens"`
	// GeneratedTokens is what users have got of the requests that have ended, however they ended.
	GeneratedTokens int `json:"generated_tokens"`
	// CompletedPromptTokens and CompletedGeneratedTokens are those of the requests that were completed.
	CompletedPromptTokens    int `json:"completed_prompt_tokens"`
	CompletedGeneratedTokens int `json:"completed_generated_tokens"`

	// Transfers are those between engines that have ended well, TransferBytes their size.
	Transfers               int `json:"transfers"`
	TransferBytes           int `json:"transfer_bytes"`
	TransferredPromptTokens int `json:"transferred_prompt_tokens"` // the length of their requests
	FailedTransfers         int `json:"failed_transfers"`

	// FirstToken is the time from a request to its first token, and StreamedFirstToken the same of those users alone who see it at once. EndToEnd
	// is the time to the last token, of requests that have not failed.
	FirstToken         Distribution `json:"first_token"`
	StreamedFirstToken Distribution `json:"streamed_first_token"`
	EndToEnd           Distribution `json:"end_to_end"`

	// Queues are the requests that wait at this moment, by place: prefill, bootstrap, inflight, prealloc, transfer, decode.
	Queues map[string]int `json:"queues"`
	// Running are the requests in batches at this moment, by role.
	Running map[string]int `json:"running"`
}

// Distribution is a histogram of seconds.
type Distribution struct {
	Bounds []float64 `json:"bounds"` // upper bounds, without infinity
	Counts []uint64  `json:"counts"` // not cumulative; one more than Bounds
	Count  uint64    `json:"count"`
	Sum    float64   `json:"sum"`
}

// tally counts for Truth.
type tally struct {
	requests, completed, aborted, failed      int
	prefilledRequests, prompt, cached         int
	generated, completedPrompt, completedOut  int
	transferredPrompt                         int
	transfers, failedTransfers, transferBytes int
	firstToken, firstStreamed, endToEnd       *histogram
}

func newTally(p *profile) tally {
	return tally{firstToken: newHistogram(p.buckets.firstToken), firstStreamed: newHistogram(p.buckets.firstToken), endToEnd: newHistogram(p.buckets.endToEnd)}
}

func (t *tally) began(*pdRequest) { t.requests++ }

func (t *tally) prefilled(u *pdRequest) {
	t.prefilledRequests++
	t.prompt += u.prompt
	t.cached += u.cached
}

func (t *tally) transferred(u *pdRequest, bytes int, lost bool) {
	if lost {
		t.failedTransfers++
		return
	}
	t.transfers++
	t.transferredPrompt += u.prompt
	t.transferBytes += bytes
}

func (t *tally) first(u *pdRequest, now float64) {
	t.firstToken.observe(now - u.arrived)
	if u.stream {
		t.firstStreamed.observe(now - u.arrived)
	}
}

func (t *tally) ended(r *request, why reason, now float64) {
	t.generated += r.generated
	switch why {
	case failed:
		t.failed++
		return
	case aborted:
		t.aborted++
	default:
		t.completed++
		t.completedPrompt += r.prompt
		t.completedOut += r.generated
	}
	t.endToEnd.observe(now - r.user.arrived)
}

// Truth returns what the group has done until now.
func (g *Group) Truth() Truth {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.catchUp()
	t := &g.truth
	truth := Truth{
		Requests: t.requests, InFlight: t.requests - t.completed - t.aborted - t.failed,
		Completed: t.completed, Aborted: t.aborted, Failed: t.failed,
		Prefilled: t.prefilledRequests, PromptTokens: t.prompt, CachedTokens: t.cached, GeneratedTokens: t.generated,
		CompletedPromptTokens: t.completedPrompt, CompletedGeneratedTokens: t.completedOut,
		Transfers: t.transfers, TransferredPromptTokens: t.transferredPrompt, FailedTransfers: t.failedTransfers, TransferBytes: t.transferBytes,
		FirstToken: t.firstToken.distribution(), StreamedFirstToken: t.firstStreamed.distribution(), EndToEnd: t.endToEnd.distribution(),
		Queues: map[string]int{}, Running: map[string]int{},
	}
	g.eachSim(func(s *sim) {
		truth.Running[s.pd.role] += len(s.running)
		truth.Queues[s.pd.role] += len(s.waiting) + len(s.pd.ready)
		truth.Queues["bootstrap"] += s.pd.bootstrap
		truth.Queues["inflight"] += s.pd.inflight
		truth.Queues["prealloc"] += len(s.pd.prealloc)
		truth.Queues["transfer"] += s.pd.transfer
	})
	return truth
}

func (h *histogram) distribution() Distribution {
	return Distribution{Bounds: h.bounds, Counts: slices.Clone(h.counts), Count: h.count, Sum: h.sum}
}
