package fetch

import (
	"log/slog"
	"net"
	"net/url"
	"strings"
)

// Target is the address of an engine.
type Target struct {
	base, page     *url.URL // without user
	user, password string
	hint           func(status int) string
}

// NewTarget makes the Target of an engine at base, which may hold credentials, with its metrics page at path below it. hint
// returns what to do about an answer with this HTTP status and without a metrics page, or ""; nil: there are no hints.
func NewTarget(base *url.URL, path string, hint func(status int) string) Target {
	if hint == nil {
		hint = func(int) string { return "" }
	}
	u := *base
	t := Target{base: &u, hint: hint}
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
		u.User = nil
	}
	page := u
	page.Path += path
	t.page = &page
	return t
}

// OnPort returns the target with its base address on port to if it is on port from. Some runtimes answer questions about
// themselves on another port than the one of their metrics.
func (t Target) OnPort(from, to string) Target {
	if t.base.Port() == from {
		u := *t.base
		u.Host = net.JoinHostPort(u.Hostname(), to)
		t.base = &u
	}
	return t
}

// TrimPath returns the target without suffix at the end of its base address.
func (t Target) TrimPath(suffix string) Target {
	u := *t.base
	u.Path = strings.TrimSuffix(u.Path, suffix)
	t.base = &u
	return t
}

// URL is the engine's base address without credentials.
func (t Target) URL() string { return t.base.String() }

// String is the address of the metrics page without credentials.
func (t Target) String() string { return t.page.String() }

// LogValue keeps credentials out of logs.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Port is the port of u, written or not.
func Port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
