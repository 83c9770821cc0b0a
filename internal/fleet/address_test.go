package fleet_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/fleet"
)

func registered(address string) (string, error) {
	r, err := fleet.CheckRegistration(fleet.Registration{UUID: "u", Name: "n", Address: address})
	return r.Address, err
}

func TestAddressesThatCanBeScraped(t *testing.T) {
	for given, want := range map[string]string{
		"10.1.2.3": "10.1.2.3", "192.0.2.1": "192.0.2.1", "100.64.0.1": "100.64.0.1", "223.255.255.255": "223.255.255.255",
		"::ffff:10.1.2.3": "10.1.2.3", "[2001:DB8::1]": "2001:db8::1", "fd00::1": "fd00::1", "64:ff9b::a00:1": "64:ff9b::a00:1",
		"gpu-1": "gpu-1", "GPU-1.": "GPU-1.", "gpu_1.dc-2.local": "gpu_1.dc-2.local", "1.example": "1.example", "0x7f.example": "0x7f.example",
		"10-0-0-1": "10-0-0-1", "0xg": "0xg", "1a": "1a", "a.0x7fz": "a.0x7fz",
		// These are this machine's own; whether they may be is for others to say.
		"127.0.0.1": "127.0.0.1", "127.255.255.254": "127.255.255.254", "[::1]": "::1", "::ffff:127.0.0.1": "127.0.0.1", "localhost": "localhost",
	} {
		if got, err := registered(given); err != nil || got != want {
			t.Errorf("%q became %q, %v; want %q", given, got, err, want)
		}
	}
}

func TestAddressesThatAreNobodysOwn(t *testing.T) {
	for rule, addresses := range map[string][]string{
		"every address":  {"0.0.0.0", "0.1.2.3", "::", "[::]", "::ffff:0.0.0.0", "::ffff:0.9.9.9"},
		"link-local":     {"169.254.169.254", "169.254.0.1", "::ffff:169.254.169.254", "fe80::1", "[febf::1]"},
		"multicast":      {"224.0.0.1", "239.255.255.255", "ff02::1", "[ff0e::1]", "::ffff:224.0.0.1"},
		"broadcast":      {"240.0.0.1", "255.255.255.255", "::ffff:255.255.255.255"},
		"one network":    {"fe80::1%eth0", "::1%lo", "2001:db8::1%eth0"},
		"not used any":   {"::127.0.0.1", "::7f00:1", "::2"},
		"take for an IP": {"2130706433", "0x7f.1", "127.1", "017700000001", "0x7f000001", "0X7F000001", "127.0.0.1.", "010.0.0.1", "127.0.0.0x1", "0177.0.0.01", "1", "0", "0x", "a.1", "a.0x1", "1.2.3.4.5", "999.1.1.1"},
		"host name or":   {"", ".", "..", "a..b", "10.0.0.1:80", "http://a", "a b", "-a", "a-", "[10.0.0.1", "10.0.0.1/8", "a@b", "a\n", "ä", "1.1.1.1#", strings.Repeat("a", 64)},
	} {
		for _, a := range addresses {
			_, err := registered(a)
			if !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), rule) || !strings.Contains(err.Error(), "--worker-ip") {
				t.Errorf("%q: %v, want the rule %q", a, err, rule)
			}
		}
	}
}

func TestLoopback(t *testing.T) {
	for _, a := range []string{"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.LocalHost.", "localhost.localdomain", "ip6-localhost", "ip6-loopback"} {
		if !fleet.IsLoopback(a) {
			t.Errorf("%q is not", a)
		}
	}
	for _, a := range []string{"10.0.0.1", "::2", "localhost.example", "mylocalhost", "128.0.0.1", "126.255.255.255", "gpu-1"} {
		if fleet.IsLoopback(a) {
			t.Errorf("%q is", a)
		}
	}
}
