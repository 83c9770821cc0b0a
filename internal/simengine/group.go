package simengine

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Roles of a group's members, as the label role names them.
const (
	RolePrefill = "prefill"
	RoleDecode  = "decode"
	RoleRouter  = "router"
)

// GroupOptions say which prefill/decode group to play.
type GroupOptions struct {
	// Profile is ProfileVLLM (NIXL, behind vllm-router) or ProfileSGLang (Mooncake, behind smg).
	Profile string
	// Model is the served model's name, by default the profile's own.
	Model string
	// Prefills and Decodes are the numbers of engines, at most MaxRanks each; 0 is 1.
	Prefills, Decodes int
	// DecodeRanks is the number of data-parallel ranks of a decode engine, at most MaxRanks; 0 is 1.
	DecodeRanks int
	// Schedulers is how many tensor-parallel ranks of each data-parallel rank write the same values to an SGLang page, as with
	// --enable-metrics-for-all-schedulers; 0 is 1, at most MaxRanks.
	Schedulers int
	// UnknownSizes: SGLang's connector reports no size of a transfer. Then prefill engines write no kv_transfer_* family
	// (compute_and_observe_kv_transfer_metrics in SGLang's req_time_stats.py).
	UnknownSizes bool
	// FailedTransfers is the share of transfers that fail.
	FailedTransfers float64
	// Seed, Start, LoadAt, Now, Speed and Idle are as in Options.
	Seed          uint64
	Start, LoadAt time.Time
	Now           func() time.Time
	Speed         float64
	Idle          bool
}

// Group is a simulated prefill/decode group: a router, prefill engines that compute prompts, and decode engines that get the prompts' KV cache
// over a network and generate. Its methods may be called concurrently.
type Group struct {
	o GroupOptions

	mu sync.Mutex
	timeline
	clock    float64 // of the last event
	skipped  float64
	load     *load
	network  *rand.Rand
	timers   timers
	timed    int // timers so far
	prefills []*Member
	decodes  []*Member
	router   *router
	truth    tally
}

// Member is a router or an engine of a group.
type Member struct {
	// Role is RolePrefill, RoleDecode or RoleRouter.
	Role   string
	group  *Group
	engine *Engine // nil: the router
	url    string
	busy   int // requests that the router has sent there and that have not ended
	sent   uint64
	failed uint64
}

// pdRequest is a user's request on its way through a group. Times are seconds since load began.
type pdRequest struct {
	id                         int
	arrived                    float64
	allocated, transferring    float64 // decode has memory for it; its KV is being sent
	prompt, cached, cachedHost int
	output, most, stopAt       int
	end                        reason
	stream                     bool
	prefill, decode            *Member
	prefillSim, decodeSim      *sim
	atPrefill, atDecode        *request
	held                       int // blocks at the prefill engine that decode has not read yet
}

// hop is how long a message takes between users, router and engines, in seconds.
const hop = .0015

// NewGroup returns a group. It simulates what happened between Start and now.
func NewGroup(o GroupOptions) (*Group, error) {
	if o.Profile != ProfileVLLM && o.Profile != ProfileSGLang {
		return nil, fmt.Errorf("simulated prefill/decode group of profile %q: use %s or %s", o.Profile, ProfileVLLM, ProfileSGLang)
	}
	for _, n := range [...]*int{&o.Prefills, &o.Decodes, &o.DecodeRanks, &o.Schedulers} {
		if *n == 0 {
			*n = 1
		}
		if *n < 0 || *n > MaxRanks {
			return nil, fmt.Errorf("simulated prefill/decode group with %d engines, ranks or schedulers: use 1 to %d", *n, MaxRanks)
		}
	}
	if o.Schedulers > 1 && o.Profile != ProfileSGLang {
		return nil, fmt.Errorf("simulated prefill/decode group with %d schedulers of a rank: only %s repeats values", o.Schedulers, ProfileSGLang)
	}
	p, err := profileOf(o.Profile)
	if err != nil {
		return nil, err
	}
	line, err := newTimeline(o.Now, o.Start, o.Speed)
	if err != nil {
		return nil, err
	}
	if o.LoadAt.IsZero() {
		o.LoadAt = line.start
	}
	if o.Model == "" {
		o.Model = p.model
	}
	if !(o.FailedTransfers >= 0 && o.FailedTransfers <= 1) { // NaN too
		return nil, fmt.Errorf("simulated group with a share of %v failed transfers: use a number from 0 to 1", o.FailedTransfers)
	}
	g := &Group{timeline: line, o: o, truth: newTally(&p)}
	users := p
	users.peakRate *= .7 + .3*float64(o.Prefills) // their users have long answers, for which the decode engines are the limit
	g.load = newLoad(&users, o.LoadAt, rand.New(rand.NewPCG(o.Seed, 1)))
	g.network = rand.New(rand.NewPCG(o.Seed, 5))
	if o.Idle {
		g.load.close()
	}
	for i := range o.Prefills {
		g.prefills = append(g.prefills, g.member(RolePrefill, prefillProfile(p), 1, i))
	}
	for i := range o.Decodes {
		g.decodes = append(g.decodes, g.member(RoleDecode, decodeProfile(p), o.DecodeRanks, o.Prefills+i))
	}
	g.router = newRouter(g)
	g.advance(g.base)
	return g, nil
}

// member makes an engine with a number of data-parallel ranks.
func (g *Group) member(role string, p profile, ranks, number int) *Member {
	e := &Engine{
		timeline: g.timeline,
		models:   []string{g.o.Model}, modelLabel: g.o.Model, group: g, role: role, schedulers: g.o.Schedulers,
	}
	m := &Member{Role: role, group: g, engine: e}
	for rank := range ranks {
		s := newSim(p, g.o.LoadAt, g.o.Seed^uint64(number+1)<<40^uint64(rank)<<32)
		s.load.close()
		s.pd = newHalf(&s.p, role)
		if role == RolePrefill {
			g.playPrefill(s)
		} else {
			g.playDecode(s)
		}
		e.ranks = append(e.ranks, s)
	}
	e.sim = e.ranks[0]
	return m
}

// Members returns the group's prefill engines, its decode engines and its router, in this order.
func (g *Group) Members() []*Member {
	members := append([]*Member{}, g.prefills...)
	members = append(members, g.decodes...)
	return append(members, g.router.member)
}

// SetURL tells the router the base URL of m, which is its name in the router's labels.
func (m *Member) SetURL(url string) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.url = url
}

// SetIdle stops new requests, or lets them come again. Running requests are finished.
func (g *Group) SetIdle(idle bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.catchUp()
	switch {
	case idle:
		g.load.close()
	case g.load.closed():
		g.load.open(max(t, g.clock))
	}
}

// SetSpeed lets speed simulated seconds pass in a second from now on.
func (g *Group) SetSpeed(speed float64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.setSpeed(speed); err != nil {
		return err
	}
	g.catchUp()
	return nil
}

// maxBurst is the largest number of requests that arrive at once.
const maxBurst = 10_000

// Burst lets n requests arrive at once, at most 10,000.
func (g *Group) Burst(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock = max(g.clock, g.catchUp())
	for range min(n, maxBurst) {
		g.arrive(g.clock)
	}
}

// catchUp brings the simulation to the present and returns its time. The caller holds g.mu.
func (g *Group) catchUp() float64 {
	t := g.elapsed() - g.skipped
	if behind := t - g.clock - MaxCatchUp.Seconds(); behind > 0 {
		g.skipped += behind
		g.load.second += behind
		t -= behind
	}
	g.advance(t)
	return t
}

// advance runs the group until t, from one event to the next.
func (g *Group) advance(t float64) {
	for {
		g.schedule()
		next := g.load.peek()
		if len(g.timers) > 0 {
			next = min(next, g.timers[0].at)
		}
		g.eachSim(func(s *sim) {
			if s.stepEnd != 0 {
				next = min(next, s.stepEnd)
			}
		})
		if next > t {
			return
		}
		g.clock = next
		for g.load.peek() <= next {
			g.arrive(g.load.pop())
		}
		for len(g.timers) > 0 && g.timers[0].at <= next {
			heap.Pop(&g.timers).(timer).do()
		}
		g.eachSim(func(s *sim) {
			if s.stepEnd != 0 && s.stepEnd <= next {
				s.endStep()
			}
		})
	}
}

// eachSim calls do with each scheduler.
func (g *Group) eachSim(do func(*sim)) {
	for _, members := range [...][]*Member{g.prefills, g.decodes} {
		for _, m := range members {
			for _, s := range m.engine.ranks {
				do(s)
			}
		}
	}
}

// schedule lets each scheduler that waits begin what it can.
func (g *Group) schedule() {
	g.eachSim(func(s *sim) {
		if s.pd.role == RoleDecode {
			g.allocate(s)
		}
		if s.stepEnd != 0 {
			return
		}
		if idle := s.clock < g.clock; idle {
			s.clock, s.st.window.since = g.clock, g.clock
		}
		if s.pd.role == RoleDecode {
			g.enter(s)
		}
		s.beginStep()
	})
}

// after calls do some seconds from now.
func (g *Group) after(seconds float64, do func()) {
	g.timed++
	heap.Push(&g.timers, timer{at: g.clock + seconds, n: g.timed, do: do})
}
