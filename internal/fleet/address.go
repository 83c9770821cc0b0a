package fleet

import (
	"fmt"
	"net/netip"
	"strings"
)

const addressWanted = "it must be a host name or a unicast IP address, without a port, under which this server reaches the worker: give the worker such a one with --worker-ip"

// unusable are the blocks of addresses that are no machine's own on a network. Loopback ones are not among them.
var unusable = []struct {
	block netip.Prefix
	why   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "stands for every address or for this network"},
	{netip.MustParsePrefix("169.254.0.0/16"), "is link-local: it holds on one network link only"},
	{netip.MustParsePrefix("224.0.0.0/4"), "is a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "is a reserved or broadcast address"},
	{netip.MustParsePrefix("::/128"), "stands for every address"},
	{netip.MustParsePrefix("fe80::/10"), "is link-local: it holds on one network link only"},
	{netip.MustParsePrefix("ff00::/8"), "is a multicast address"},
}

// compatible is the block in which IPv6 addresses once held IPv4 ones. Only ::1 of it is still one.
var compatible = netip.MustParsePrefix("::/96")

// normalAddress returns an IP address without brackets and in its usual form, a host name as it is.
func normalAddress(s string) (normal, fault string) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		if ip.Zone() != "" {
			return "", fmt.Sprintf("is %q, which holds on one network link only; %s", s, addressWanted)
		}
		ip = ip.Unmap()
		if why := addressFault(ip); why != "" {
			return "", fmt.Sprintf("is %q, which %s; %s", s, why, addressWanted)
		}
		return ip.String(), ""
	}
	if !validHost(s) {
		return "", fmt.Sprintf("is %s; %s", shown(s), addressWanted)
	}
	if numericHost(s) {
		return "", fmt.Sprintf("is %s, which some programs take for an IP address and others for a name; %s", shown(s), addressWanted)
	}
	return s, ""
}

func addressFault(ip netip.Addr) string {
	for _, u := range unusable {
		if u.block.Contains(ip) {
			return u.why
		}
	}
	if compatible.Contains(ip) && !ip.IsLoopback() {
		return "is a form of IPv4 addresses that is not used any more"
	}
	return ""
}

// IsLoopback reports whether an address in normal form is, or by its name alone stands for, the machine that uses it.
func IsLoopback(address string) bool {
	if ip, err := netip.ParseAddr(address); err == nil {
		return ip.Unmap().IsLoopback()
	}
	host := strings.ToLower(strings.TrimSuffix(address, "."))
	return host == "localhost" || host == "localhost.localdomain" || host == "ip6-localhost" || host == "ip6-loopback" || strings.HasSuffix(host, ".localhost")
}

// validHost reports whether s can be a host name. Underscores are no part of one, but people use them.
func validHost(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// numericHost reports whether s ends in a number, decimal, octal or hexadecimal, as in 2130706433, 127.1 and 0x7f.1:
// resolvers of C libraries take such names for IPv4 addresses.
func numericHost(s string) bool {
	s = strings.TrimSuffix(s, ".")
	last := strings.ToLower(s[strings.LastIndexByte(s, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}
