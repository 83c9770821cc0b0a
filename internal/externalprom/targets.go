package externalprom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
)

const (
	// targetsTimeout bounds the time that reading the targets takes.
	targetsTimeout = 5 * time.Second
	maxJobName     = 200
)

// ErrNoTargets says that the Prometheus, or what answers in its place, does not tell its targets.
var ErrNoTargets = errors.New("it does not tell its targets")

// Targets are the active targets of the Prometheus.
type Targets struct {
	Active, Up int // of all
	// Known are those whose address was asked for.
	Known []Target
}

// Target is an active target and its last scrape.
type Target struct {
	Job, Address string // host:port
	Up           bool
	Last         time.Time // zero: there was none yet
	Took         time.Duration
	// Error is the kind of failure of the last scrape, without anything that the target sent.
	Error string
}

// Targets reads the active targets of the Prometheus, within 5 s, and returns those at the addresses, host:port, for which known is true.
// An error is one of the Prometheus, which says its address and what to do, or wraps ErrNoTargets.
func (h *Handler) Targets(ctx context.Context, known func(address string) bool) (Targets, error) {
	ctx, cancel := context.WithTimeout(ctx, targetsTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.opts.PathPrefix+"/api/v1/targets?state=active", http.NoBody)
	if err != nil {
		return Targets{}, err
	}
	page, err := h.ask(ctx, r)
	if err != nil {
		if f, ok := errors.AsType[*fault](err); ok && f.missing {
			return Targets{}, fmt.Errorf("%s answered 404: %w", h.Address(), ErrNoTargets)
		}
		return Targets{}, err
	}
	defer page.free()
	if page.status != http.StatusOK {
		return Targets{}, fmt.Errorf("%s answered %d: %w", h.Address(), page.status, ErrNoTargets)
	}
	list, err := decodeTargets(page.reader(), known)
	if err != nil {
		return Targets{}, fmt.Errorf("%s answered something else than a list of targets: %w", h.Address(), ErrNoTargets)
	}
	return list, nil
}

// decodeTargets reads one target at a time: a list may have thousands.
func decodeTargets(r io.Reader, known func(address string) bool) (list Targets, err error) {
	dec := json.NewDecoder(r)
	for _, key := range []string{"data", "activeTargets"} {
		if err := enter(dec, key); err != nil {
			return list, err
		}
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return list, errNotTargets
	}
	for dec.More() {
		var t struct {
			DiscoveredLabels map[string]string `json:"discoveredLabels"`
			ScrapePool       string            `json:"scrapePool"`
			ScrapeURL        string            `json:"scrapeUrl"`
			LastError        string            `json:"lastError"`
			LastScrape       time.Time         `json:"lastScrape"`
			LastDuration     float64           `json:"lastScrapeDuration"` // in seconds
			Health           string            `json:"health"`
		}
		if err := dec.Decode(&t); err != nil {
			return list, err
		}
		list.Active++
		up := t.Health == "up"
		if up {
			list.Up++
		}
		// Relabeling may have changed the address: what is scraped counts.
		if address := hostPort(t.ScrapeURL); known(address) {
			list.Known = append(list.Known, Target{
				Job: clip.Line(t.ScrapePool, maxJobName), Address: address, Up: up, Last: t.LastScrape,
				Took: time.Duration(t.LastDuration * float64(time.Second)), Error: kindOf(t.LastError),
			})
		}
	}
	_, err = dec.Token() // the end of the list, or of an answer that was cut
	return list, err
}

var errNotTargets = errors.New("not a list of targets")

// enter reads up to the value of a key of the object that begins next.
func enter(dec *json.Decoder, key string) error {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errNotTargets
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if t == key {
			return nil
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return err
		}
	}
	return errNotTargets
}

// hostPort returns the address of a URL, with the port that its scheme has by default.
func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

var httpStatus = regexp.MustCompile(`server returned HTTP status ([0-9]{3})\b`)

// kindOf returns what a scrape's error says of its kind. The rest may quote what the target sent.
func kindOf(text string) string {
	if text == "" {
		return ""
	}
	if m := httpStatus.FindStringSubmatch(text); m != nil {
		return "server returned HTTP status " + m[1]
	}
	for _, known := range []struct{ phrase, kind string }{
		{"connection refused", "connection refused"},
		{"no route to host", "no route to host"},
		{"network is unreachable", "network is unreachable"},
		{"no such host", "no address is known for the host"},
		{"context deadline exceeded", "it took longer than the scrape timeout"},
		{"i/o timeout", "it took longer than the scrape timeout"},
		{"Client.Timeout exceeded", "it took longer than the scrape timeout"},
		{"first record does not look like a TLS handshake", "the target speaks HTTP and not HTTPS"},
		{"server gave HTTP response to HTTPS client", "the target speaks HTTP and not HTTPS"},
		{"x509: ", "its TLS certificate is not trusted"},
		{"tls: ", "the TLS handshake failed"},
		{"connection reset by peer", "the connection was reset"},
		{"sample limit exceeded", "sample limit exceeded"},
		{"body size limit exceeded", "body size limit exceeded"},
		{"EOF", "the connection ended before the page did"},
	} {
		if strings.Contains(text, known.phrase) {
			return known.kind
		}
	}
	return "another error, which its page of targets shows"
}
