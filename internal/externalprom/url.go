package externalprom

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// ParseURL reads the address of a Prometheus: http://HOST[:PORT][/PATH] or https://..., with USER:PASSWORD@ before the host where it
// needs basic authentication. Slashes at the end are cut off. nil stands for a blank address, which is none. Errors never hold the
// address, because it may hold a password.
func ParseURL(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, nil
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, errors.New("there is a space or a control character in it: give one address, such as http://prometheus.example.com:9090")
	}
	u, err := url.Parse(s)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		if strings.ContainsRune(s, '@') {
			err = errors.New("it cannot be read; characters of the user and the password that are not letters or digits must be percent-encoded")
		}
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it does not begin with http:// or https://: give it as http://HOST[:PORT][/PATH]")
	case u.Hostname() == "":
		return nil, errors.New("there is no host in it: give it as http://HOST[:PORT][/PATH]")
	case strings.HasSuffix(u.Host, ":"):
		return nil, errors.New("there is no port after the colon")
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("there is a query or a fragment in it: end it before the ? or #")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	if strings.HasSuffix(u.Path, "/api/v1") {
		return nil, fmt.Errorf("it ends in /api/v1, which is added: give what is before that")
	}
	return u, nil
}
