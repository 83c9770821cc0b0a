package api

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/quota"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Bounds of what is refused, each within failurePeriod. Whoever is beyond them is answered with 429. What is right always passes.
const (
	// maxFailures is how many wrong tokens, and how many registrations that are refused, an address may send.
	maxFailures = 20
	// maxRejoins is how often one worker may register.
	maxRejoins    = 20
	failurePeriod = time.Minute
	// maxPeers bounds the addresses that are counted apart.
	maxPeers = 4096
	// maxIdentities bounds the workers whose registrations are counted: more than an inventory has.
	maxIdentities = 32768
)

// What a request with a wrong token needed, for catalog.WrongTokens.
const (
	neededAdmin  = "admin"
	neededJoin   = "join"
	neededWorker = "worker"
	// neededUnknown is of a worker that isn't registered. It is always answered with 401: there is nothing to guess, and workers of
	// older versions take nothing else for a reason to register again after the server lost its database.
	neededUnknown = "unknown_worker"
)

// failures counts what is refused.
type failures struct {
	tokens, registrations *quota.Quota[netip.Addr] // by where they come from
	rejoins               *quota.Quota[string]     // by the worker's UUID

	mu                         sync.Mutex
	wrongTokens, notRegistered map[refusal]int
}

// refusal is why something was refused, and with which status.
type refusal struct {
	why    string
	status int
}

func newFailures(logger *slog.Logger, inventory Inventory) *failures {
	f := &failures{
		wrongTokens: map[refusal]int{
			{neededAdmin, 401}: 0, {neededAdmin, 429}: 0, {neededJoin, 401}: 0, {neededJoin, 429}: 0, {neededWorker, 401}: 0, {neededWorker, 429}: 0, {neededUnknown, 401}: 0,
		},
		notRegistered: map[refusal]int{{"invalid", 422}: 0, {"invalid", 429}: 0, {"conflict", 409}: 0, {"conflict", 429}: 0, {"revoked", 403}: 0, {"revoked", 429}: 0, {"too_often", 429}: 0},
	}
	f.tokens = byPeer(func(peer string, refused int) {
		logger.Warn("wrong tokens: what is beyond 20 a minute from one address is answered with 429; a right token passes", "peer", peer, "refused", refused)
	})
	f.registrations = byPeer(func(peer string, refused int) {
		logger.Warn("registrations of workers that are refused: what is beyond 20 a minute from one address is answered with 429; one that is right passes", "peer", peer, "refused", refused)
	})
	f.rejoins = quota.New(quota.Options[string]{
		Allowed: maxRejoins, Period: failurePeriod, MaxKeys: maxIdentities, IgnoreRest: true,
		OnRefused: func(uuid string, _ bool, refused int) {
			attrs := []any{"uuid", uuid, "refused", refused}
			for _, w := range inventory.Snapshot().Workers {
				if w.UUID == uuid {
					attrs = append(attrs, "worker", w.Name, "worker_id", w.ID, "address", w.Address)
				}
			}
			logger.Warn("one worker registers more than 20 times a minute and is answered with 429: it may restart again and again, or another machine has a copy of its data directory", attrs...)
		},
	})
	return f
}

func byPeer(report func(peer string, refused int)) *quota.Quota[netip.Addr] {
	return quota.New(quota.Options[netip.Addr]{
		Allowed: maxFailures, Period: failurePeriod, MaxKeys: maxPeers,
		OnRefused: func(peer netip.Addr, overflow bool, refused int) { report(peerName(peer, overflow), refused) },
	})
}

func peerName(peer netip.Addr, overflow bool) string {
	switch {
	case overflow:
		return "others"
	case !peer.IsValid():
		return "local socket"
	case peer.Is6():
		return peer.String() + "/64"
	}
	return peer.String()
}

// wrongToken counts a request that p refuses for its token and returns what to answer. One without any isn't counted: browsers ask
// so first.
func (f *failures) wrongToken(r *http.Request, needed string, p *Problem) *Problem {
	if r.Header.Get("Authorization") == "" {
		return p
	}
	p.wrongToken = true
	wait := f.tokens.Take(inbound.Peer(r.RemoteAddr))
	if wait > 0 && needed != neededUnknown {
		p.limit(wait, fmt.Sprintf("more than %d requests with wrong tokens came from this address within a minute, and this one's is wrong too; a right one is taken at any time: ", maxFailures))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrongTokens[refusal{needed, p.Status}]++
	return p
}

// limit makes p an answer to somebody who is refused too often.
func (p *Problem) limit(wait time.Duration, why string) {
	p.Status, p.Title, p.Detail, p.retryAfter = http.StatusTooManyRequests, "", why+p.Detail, wait
}

// seconds is a wait as the header Retry-After has it.
func seconds(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

type humaContext = huma.Context // which has a method Context

// registering makes a registration that is refused one of those that are bounded.
type registering struct {
	humaContext
	failures *failures
	status   int // of the answer in place of the one that was to be; 0: that one
}

// Unwrap implements what humago.Unwrap looks for.
func (c *registering) Unwrap() huma.Context { return c.humaContext }

// SetStatus implements huma.Context.
func (c *registering) SetStatus(status int) {
	if c.status != 0 {
		status = c.status
	}
	c.humaContext.SetStatus(status)
}

// refused sees the problem that the registration is answered with.
func (c *registering) refused(p *Problem) {
	var why string
	switch {
	case p.Status < 400 || p.Status >= 500:
		return
	case p.Status == http.StatusTooManyRequests:
		why = "too_often"
	case p.Status == http.StatusConflict:
		why = "conflict"
	case p.Status == http.StatusForbidden:
		why = "revoked"
	case p.Status == http.StatusUnprocessableEntity, p.Status == http.StatusBadRequest, p.Status == http.StatusRequestEntityTooLarge:
		why = "invalid"
	default:
		why = "other"
	}
	if r, _ := humago.Unwrap(c); p.Status != http.StatusTooManyRequests {
		if wait := c.failures.registrations.Take(inbound.Peer(r.RemoteAddr)); wait > 0 {
			p.limit(wait, fmt.Sprintf("more than %d registrations from this address were refused within a minute, and this one is too: ", maxFailures))
			c.status = p.Status
			p.Title = http.StatusText(p.Status)
			c.SetHeader("Retry-After", seconds(wait))
		}
	}
	c.failures.mu.Lock()
	defer c.failures.mu.Unlock()
	c.failures.notRegistered[refusal{why, p.Status}]++
}

// rejoined counts that a worker has registered.
func (f *failures) rejoined(uuid string) { f.rejoins.Take(uuid) }

// tooOften returns the answer to a worker that has registered too often, nil to another: each time is a write to the disk and
// makes the credential before worthless.
func (f *failures) tooOften(uuid string) error {
	if f.rejoins.Wait(uuid) == 0 {
		return nil
	}
	wait := f.rejoins.Take(uuid)
	p := &Problem{Status: http.StatusTooManyRequests, Detail: fmt.Sprintf(
		"this worker registered more than %d times within a minute: it may be restarted again and again, or another machine has a copy of its data directory, and must get a new one", maxRejoins)}
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {seconds(wait)}})
}

// WriteFailures writes the families of what was refused.
func (a *API) WriteFailures(w *exposition.Writer) {
	f := a.gate.failures
	f.mu.Lock()
	tokens, registrations := maps.Clone(f.wrongTokens), maps.Clone(f.notRegistered)
	f.mu.Unlock()
	writeRefusals(w, &catalog.WrongTokens, tokens)
	writeRefusals(w, &catalog.RegistrationsRefused, registrations)
}

func writeRefusals(w *exposition.Writer, m *catalog.Metric, refusals map[refusal]int) {
	w.Family(m.WireName(), string(m.Type), m.Help)
	for _, r := range slices.SortedFunc(maps.Keys(refusals), func(a, b refusal) int {
		if c := strings.Compare(a.why, b.why); c != 0 {
			return c
		}
		return a.status - b.status
	}) {
		w.Sample(m.WireName(), float64(refusals[r]), exposition.RenderLabels(m.Labels[0], r.why, m.Labels[1], strconv.Itoa(r.status)))
	}
}
