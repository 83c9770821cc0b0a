package api

import (
	"cmp"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
)

// recentTime is the time in which events count as recent, to the minute.
const recentTime = 10 * time.Minute

// recent counts events of the last ten minutes.
type recent struct {
	last    time.Time
	minutes [int(recentTime / time.Minute)]struct {
		minute int64
		events int
	}
}

func (r *recent) add(now time.Time) {
	r.last = now
	minute := now.Unix() / 60
	if m := &r.minutes[minute%int64(len(r.minutes))]; m.minute == minute {
		m.events++
	} else {
		m.minute, m.events = minute, 1
	}
}

func (r *recent) count(now time.Time) (events int) {
	minute := now.Unix() / 60
	for _, m := range r.minutes {
		if age := minute - m.minute; age >= 0 && age < int64(len(r.minutes)) {
			events += m.events
		}
	}
	return events
}

// Recent says how often something happened in the last ten minutes, and when it happened last.
type Recent struct {
	What  string
	Last  time.Time
	Count int
}

// recents counts by what happened.
type recents struct {
	mu     sync.Mutex
	byWhat map[string]*recent
}

// add counts an event. The kinds of events are few, and known to the caller.
func (r *recents) add(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byWhat == nil {
		r.byWhat = map[string]*recent{}
	}
	if r.byWhat[what] == nil {
		r.byWhat[what] = new(recent)
	}
	r.byWhat[what].add(time.Now())
}

func (r *recents) list() []Recent {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	list := make([]Recent, 0, len(r.byWhat))
	for _, what := range slices.Sorted(maps.Keys(r.byWhat)) {
		list = append(list, Recent{what, r.byWhat[what].last, r.byWhat[what].count(now)})
	}
	return list
}

// Where a client is, by its address.
const (
	FromThisMachine = "this machine"
	FromPrivate     = "a private network"
	FromPublic      = "a public address"
)

// addressClass takes a remote address; that of a Unix socket is no HOST:PORT.
func addressClass(remote string) string {
	address, _ := netip.ParseAddrPort(remote)
	switch peer := address.Addr().Unmap(); {
	case !peer.IsValid(), peer.IsLoopback():
		return FromThisMachine
	case peer.IsPrivate(), peer.IsLinkLocalUnicast(), sharedAddresses.Contains(peer):
		return FromPrivate
	}
	return FromPublic
}

// sharedAddresses are those of RFC 6598, which overlay networks use.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// WrongJoinTokens says where workers with a wrong join token registered from: one of FromThisMachine, FromPrivate and FromPublic.
func (a *API) WrongJoinTokens() []Recent { return a.authorizer.failures.joinTokens.list() }

// RefusedRegistrations says how many registrations were refused by reason: invalid, conflict, revoked, too_often or other.
func (a *API) RefusedRegistrations() []Recent {
	return a.authorizer.failures.recentRegistrations.list()
}

// maxTargetReaders bounds the clients that are told apart.
const maxTargetReaders = 64

// TargetReaders remembers who reads the scrape targets: Prometheus servers by HTTP service discovery, and others. The zero value is ready to use.
type TargetReaders struct {
	mu     sync.Mutex
	byWhom map[targetReader]*recent
}

type targetReader struct {
	peer   netip.Addr
	path   string
	client string
}

// TargetReader is a client that read the targets.
type TargetReader struct {
	Path   string // /metrics/targets or /metrics/proxy-targets
	Client string // such as Prometheus/3.5.0; other: what no scraper says of itself
	Last   time.Time
	Count  int // in the last ten minutes
}

// otherClient is a reader that is no scraper, such as a browser.
const otherClient = "other"

// scraperName matches what programs that scrape say of themselves.
var scraperName = regexp.MustCompile(`^(?:Prometheus|vm_promscrape|vmagent|VictoriaMetrics|Alloy|GrafanaAgent|OpenTelemetry Collector|otelcol[a-z-]*)(?:/v?[0-9][0-9A-Za-z.+-]{0,40})?`)

func clientClass(userAgent string) string {
	return cmp.Or(scraperName.FindString(userAgent), otherClient)
}

// IsScraper reports whether the reader is a program that scrapes what it reads.
func (r *TargetReader) IsScraper() bool { return r.Client != otherClient }

// List returns the clients that read the targets since the server began, the latest first, at most 64.
func (t *TargetReaders) List() []TargetReader {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	list := make([]TargetReader, 0, len(t.byWhom))
	for who, r := range t.byWhom {
		list = append(list, TargetReader{who.path, who.client, r.last, r.count(now)})
	}
	slices.SortFunc(list, func(a, b TargetReader) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Path, b.Path))
	})
	return list
}

func (t *TargetReaders) add(path string, r *http.Request) {
	who := targetReader{inbound.Peer(r.RemoteAddr), path, clientClass(r.UserAgent())}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byWhom == nil {
		t.byWhom = map[targetReader]*recent{}
	}
	if t.byWhom[who] == nil {
		if len(t.byWhom) >= maxTargetReaders {
			t.forgetOne()
		}
		t.byWhom[who] = new(recent)
	}
	t.byWhom[who].add(time.Now())
}

// forgetOne removes the reader that was here longest ago; of those that are no scrapers first, so that they cannot hide one.
func (t *TargetReaders) forgetOne() {
	oldest := slices.MinFunc(slices.Collect(maps.Keys(t.byWhom)), func(a, b targetReader) int {
		if otherA, otherB := a.client == otherClient, b.client == otherClient; otherA != otherB {
			if otherA {
				return -1
			}
			return 1
		}
		return t.byWhom[a].last.Compare(t.byWhom[b].last)
	})
	delete(t.byWhom, oldest)
}

// counted is next, with its readers remembered.
func (t *TargetReaders) counted(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.add(path, r)
		next.ServeHTTP(w, r)
	})
}
