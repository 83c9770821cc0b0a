package grafana

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// maxURL is longer than any address that somebody types.
const maxURL = 2048

// NormalizeURL reads the address of an external Grafana as a person gives it: a missing scheme is taken for http, slashes at the
// end are cut off, a sub-path stays. nil stands for a blank address, which is none. The notes tell what was assumed, and what
// may not work in a browser.
func NormalizeURL(s string) (u *url.URL, notes []string, err error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, nil, nil
	}
	defer func() {
		if err != nil {
			u, notes, err = nil, nil, fmt.Errorf("grafana url %s: %w", shown(s), err)
		}
	}()
	if len(s) > maxURL {
		return nil, nil, fmt.Errorf("it is longer than %d bytes", maxURL)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }); i >= 0 {
		return nil, nil, errors.New("there is a space or a control character in it: give one address, such as http://grafana.example.com:3000")
	}
	if scheme, _, ok := strings.Cut(s, "://"); !ok {
		s = "http://" + strings.TrimPrefix(s, "//")
		notes = append(notes, "the Grafana URL has no scheme: taken for "+shown(s)+"; write https:// in front if it is served over TLS")
	} else if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return nil, nil, fmt.Errorf("scheme %q: use http:// or https://", scheme)
	}
	if u, err = url.Parse(s); err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the address, which may hold a password
		}
		return nil, nil, err
	}
	if err := check(u, s); err != nil {
		return nil, nil, err
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	if host := u.Hostname(); !strings.ContainsAny(host, ".:") && !strings.EqualFold(host, "localhost") {
		notes = append(notes, fmt.Sprintf("the host %q of the Grafana URL has no dot in it: users' browsers must be able to resolve it, which the name of a container is not enough for", host))
	} else if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		notes = append(notes, fmt.Sprintf("the host %s of the Grafana URL is what servers listen on: give the name or the address that users' browsers reach", host))
	}
	return u, notes, nil
}

// check says what in an address that can be parsed makes it useless here.
func check(u *url.URL, s string) error {
	host := u.Hostname()
	odd := strings.IndexFunc(host, func(r rune) bool {
		return r < unicode.MaxASCII && !strings.ContainsRune("-._:%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	switch {
	case u.User != nil:
		return errors.New("there are credentials in it, which every redirect would show: take out what is before the @")
	case host == "":
		return errors.New("there is no host in it: give one, such as http://grafana.example.com:3000")
	case odd >= 0:
		return fmt.Errorf("%q is no host name: put the name or the address of your Grafana there", host)
	case strings.ContainsRune(s, '?'), strings.ContainsRune(s, '#'):
		return errors.New("there is a query or a fragment in it: end it before the ? or #; dashboards have their own addresses below it")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("there is no port after the colon")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("port %s: ports are 1 to 65535", port)
		}
	}
	return nil
}

// shown quotes an address for messages, without what may be a password.
func shown(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		scheme, _, ok := strings.Cut(s[:at], "://")
		if s = "..." + s[at:]; ok {
			s = scheme + "://" + s
		}
	}
	return strconv.Quote(s)
}
