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

// Limits of refused requests, each within failurePeriod. Refused requests beyond them get 429. Valid requests are not limited.
const (
	// maxFailures limits the wrong tokens of an address, and its refused registrations.
	maxFailures = 20
	// maxRejoins limits the registrations of one worker.
	maxRejoins    = 20
	failurePeriod = time.Minute
	// maxPeers bounds the addresses that are counted separately.
	maxPeers = 4096
	// maxIdentities bounds the workers whose registrations are counted. An inventory has fewer.
	maxIdentities = 32768
)

// TooOften is the reason for which registrations of one worker get 429, in catalog.RegistrationsRefused and of RefusedRegistrations.
const TooOften = "too_often"

// The right that a request with a wrong token needed, for catalog.WrongTokens.
const (
	neededAdmin  = "admin"
	neededJoin   = "join"
	neededWorker = "worker"
	// neededUnknown: the worker of the path is not registered. The answer is always 401. There is no token to guess, and older workers
	// register again, after the server lost its database, only on 401.
	neededUnknown = "unknown_worker"
)

// failures counts and limits refused requests.
type failures struct {
	tokens, registrations *quota.Quota[netip.Addr] // by client address
	rejoins               *quota.Quota[string]     // by the worker's UUID

	mu                                sync.Mutex
	wrongTokens, refusedRegistrations map[refusal]int

	joinTokens          recents // wrong ones, by addressClass
	recentRegistrations recents // refused ones, by reason
}

// refusal is the reason and the status of a refused request.
type refusal struct {
	why    string
	status int
}

func newFailures(logger *slog.Logger, inventory Inventory) *failures {
	f := &failures{
		wrongTokens: map[refusal]int{
			{neededAdmin, 401}: 0, {neededAdmin, 429}: 0, {neededJoin, 401}: 0, {neededJoin, 429}: 0, {neededWorker, 401}: 0, {neededWorker, 429}: 0, {neededUnknown, 401}: 0,
		},
		refusedRegistrations: map[refusal]int{{"invalid", 422}: 0, {"invalid", 429}: 0, {"conflict", 409}: 0, {"conflict", 429}: 0, {"revoked", 403}: 0, {"revoked", 429}: 0, {TooOften, 429}: 0},
	}
	f.tokens = byPeer(func(peer string, refused int) {
		logger.Warn("wrong tokens: one address sent more than 20 a minute and gets 429 for further ones; a right token still works", "peer", peer, "refused", refused)
	})
	f.registrations = byPeer(func(peer string, refused int) {
		logger.Warn("refused registrations: one address sent more than 20 a minute and gets 429 for further ones; a valid registration still works", "peer", peer, "refused", refused)
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
			logger.Warn("one worker registers more than 20 times a minute and gets 429: it may restart repeatedly, or another machine has a copy of its data directory", attrs...)
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

// wrongToken counts a request that p refuses because of its token, and returns the problem to answer with. A request without a token is
// not counted, because browsers first send one without.
func (f *failures) wrongToken(r *http.Request, needed string, p *Problem) *Problem {
	if r.Header.Get("Authorization") == "" {
		return p
	}
	p.wrongToken = true
	if needed == neededJoin {
		f.joinTokens.add(addressClass(r.RemoteAddr))
	}
	wait := f.tokens.Take(inbound.Peer(r.RemoteAddr))
	if wait > 0 && needed != neededUnknown {
		p.limit(wait, fmt.Sprintf("more than %d requests with wrong tokens came from this address within a minute, and this token is wrong, too; a right token is accepted at any time: ", maxFailures))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrongTokens[refusal{needed, p.Status}]++
	return p
}

// limit turns p into the 429 for a client that was refused too often.
func (p *Problem) limit(wait time.Duration, why string) {
	p.Status, p.Title, p.Detail, p.retryAfter = http.StatusTooManyRequests, "", why+p.Detail, wait
}

// seconds formats a wait for the header Retry-After.
func seconds(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

type baseContext = huma.Context // under another name, because huma.Context has a method Context

// registering is the context of a registration. It counts and limits refused ones.
type registering struct {
	baseContext
	failures *failures
	status   int // replaces the status of the answer; 0: does not
}

// Unwrap is for humago.Unwrap.
func (c *registering) Unwrap() huma.Context { return c.baseContext }

// SetStatus implements huma.Context.
func (c *registering) SetStatus(status int) {
	if c.status != 0 {
		status = c.status
	}
	c.baseContext.SetStatus(status)
}

// countRefusal counts the problem that the registration is answered with. Beyond the limit it turns p into 429.
func (c *registering) countRefusal(p *Problem) {
	var why string
	switch {
	case p.Status < 400 || p.Status >= 500:
		return
	case p.Status == http.StatusTooManyRequests:
		why = TooOften
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
	c.failures.recentRegistrations.add(why)
	c.failures.mu.Lock()
	defer c.failures.mu.Unlock()
	c.failures.refusedRegistrations[refusal{why, p.Status}]++
}

// countRegistration counts a registration of a worker.
func (f *failures) countRegistration(uuid string) { f.rejoins.Take(uuid) }

// tooManyRegistrations returns the 429 for a worker that registers too often, or nil. Each registration writes to the disk and invalidates
// the worker's previous credential.
func (f *failures) tooManyRegistrations(uuid string) error {
	if f.rejoins.Wait(uuid) == 0 {
		return nil
	}
	wait := f.rejoins.Take(uuid)
	p := &Problem{Status: http.StatusTooManyRequests, Detail: fmt.Sprintf(
		"this worker registered more than %d times within a minute: it may restart repeatedly, or another machine has a copy of its data directory, and must get a new one", maxRejoins)}
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {seconds(wait)}})
}

// WriteFailures writes the metrics about refused requests.
func (a *API) WriteFailures(w *exposition.Writer) {
	f := a.authorizer.failures
	f.mu.Lock()
	tokens, registrations := maps.Clone(f.wrongTokens), maps.Clone(f.refusedRegistrations)
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
