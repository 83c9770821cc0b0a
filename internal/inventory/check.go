package inventory

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Limits of what workers say. Lengths are in bytes.
const (
	maxName         = 253 // a DNS name
	maxUUID         = 64
	maxModelName    = 512
	maxVersion      = 128
	maxKind         = 64 // runtime, source, category
	maxURL          = 2048
	maxSourceKey    = 1024
	maxStateMessage = 1024
	maxLabels       = 64
	maxLabelKey     = 317 // a Kubernetes label key: prefix, slash, name
	maxLabelValue   = 1024
	maxInstances    = 1024
	maxShown        = 64 // of a bad value, in an error
)

// invalid says what about a registration or report breaks a rule.
func invalid(what, format string, args ...any) error {
	return fmt.Errorf("%w %s: %s", fleet.ErrInvalid, what, fmt.Sprintf(format, args...))
}

// checkRegistration returns r in normal form, or the first rule that it breaks.
func checkRegistration(r fleet.Registration) (fleet.Registration, error) {
	const what = "registration"
	if r.Cluster == "" {
		r.Cluster = fleet.DefaultClusterName
	}
	if r.ProxyMode == "" {
		r.ProxyMode = fleet.ProxyDirect
	}
	for _, f := range []struct {
		name, value string
		min, max    int
	}{
		{"uuid", r.UUID, 1, maxUUID},
		{"name", r.Name, 1, maxName},
		{"cluster", r.Cluster, 1, maxName},
		{"version", r.Version, 0, maxVersion},
	} {
		if fault := textFault(f.value, f.min, f.max); fault != "" {
			return r, invalid(what, "%s %s", f.name, fault)
		}
	}
	var fault string
	if r.Address, fault = normalAddress(r.Address); fault != "" {
		return r, invalid(what, "address %s", fault)
	}
	if r.MetricsPort < 0 || r.MetricsPort > 65535 {
		return r, invalid(what, "metrics_port is %d; it must be 1 to 65535, or 0 if the worker exports no metrics", r.MetricsPort)
	}
	if r.ProxyMode != fleet.ProxyDirect && r.ProxyMode != fleet.ProxyTunnel {
		return r, invalid(what, "proxy_mode is %s; it must be %q or %q", shown(string(r.ProxyMode)), fleet.ProxyDirect, fleet.ProxyTunnel)
	}
	if len(r.Labels) > maxLabels {
		return r, invalid(what, "it has %d labels; at most %d are allowed", len(r.Labels), maxLabels)
	}
	for k, v := range r.Labels {
		if fault := textFault(k, 1, maxLabelKey); fault != "" {
			return r, invalid(what, "label key %s", fault)
		}
		if fault := textFault(v, 0, maxLabelValue); fault != "" {
			return r, invalid(what, "label %q: its value %s", k, fault)
		}
	}
	r.Labels = maps.Clone(r.Labels) // snapshots share it
	return r, nil
}

// checkReport returns r in normal form, or the first rule that it breaks.
func checkReport(r fleet.Report) (fleet.Report, error) {
	const what = "report"
	if r.AppliedGeneration < 0 {
		return r, invalid(what, "applied_generation is %d; it must not be negative", r.AppliedGeneration)
	}
	if len(r.Instances) > maxInstances {
		return r, invalid(what, "it has %d instances; at most %d are allowed on a worker", len(r.Instances), maxInstances)
	}
	seen := make(map[string]int, len(r.Instances))
	out := make([]fleet.ReportedInstance, len(r.Instances))
	for k, in := range r.Instances {
		fault := instanceFault(&in)
		if fault == "" {
			if before, ok := seen[in.Name]; ok {
				fault = fmt.Sprintf("name %s is that of instances[%d] too; names must be unique on a worker", shown(in.Name), before)
			}
			seen[in.Name] = k
		}
		if fault != "" {
			return r, invalid(what, "instances[%d]: %s", k, fault)
		}
		out[k] = in
	}
	r.Instances = out
	return r, nil
}

// instanceFault brings in into normal form and returns the first rule that it breaks.
func instanceFault(in *fleet.ReportedInstance) string {
	for _, f := range []struct {
		name, value string
		min, max    int
	}{
		{"name", in.Name, 1, maxName},
		{"model", in.Model, 0, maxModelName}, // none: a gateway
		{"runtime", in.Runtime, 0, maxKind},
		{"runtime_version", in.RuntimeVersion, 0, maxVersion},
		{"source", in.Source, 0, maxKind},
		{"source_key", in.SourceKey, 0, maxSourceKey},
		{"category", in.Category, 0, maxKind},
		{"url", in.URL, 0, maxURL},
	} {
		if fault := textFault(f.value, f.min, f.max); fault != "" {
			return f.name + " " + fault
		}
	}
	if in.Model == "" && in.Runtime == "" {
		return "model and runtime are empty; one without a model is a gateway, which must say its runtime"
	}
	if !in.State.Valid() {
		return fmt.Sprintf("state is %s; it must be pending, analyzing, scheduled, initializing, downloading, starting, running, error or unreachable", shown(string(in.State)))
	}
	if in.RestartCount < 0 {
		return fmt.Sprintf("restart_count is %d; it must not be negative", in.RestartCount)
	}
	if !in.LastRestartAt.IsZero() {
		// The form in which it is stored, so that equal reports are equal.
		ms := in.LastRestartAt.UnixMilli()
		if ms < 0 || in.LastRestartAt.Year() > 9999 {
			return fmt.Sprintf("last_restart_at is %d; it must be a time in seconds since 1970", in.LastRestartAt.Unix())
		}
		in.LastRestartAt = time.Time{}
		if ms > 0 {
			in.LastRestartAt = time.UnixMilli(ms).UTC()
		}
	}
	in.StateMessage = cut(strings.ToValidUTF8(in.StateMessage, string(utf8.RuneError)), maxStateMessage)
	var fault string
	if in.URL, fault = bareURL(in.URL); fault != "" {
		return "url " + fault
	}
	return ""
}

// textFault says what is wrong with a text, or nothing.
func textFault(s string, shortest, longest int) string {
	switch {
	case len(s) > longest:
		return fmt.Sprintf("is %d bytes long; at most %d are allowed", len(s), longest)
	case !utf8.ValidString(s):
		return fmt.Sprintf("is %s; it must be UTF-8", shown(s))
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Sprintf("is %s; control characters are not allowed", shown(s))
	case shortest > 0 && strings.TrimSpace(s) == "":
		return "is empty; it must be given"
	}
	return ""
}

func shown(s string) string {
	if c := cut(s, maxShown); c != s {
		return fmt.Sprintf("%q...", c)
	}
	return fmt.Sprintf("%q", s)
}

// cut shortens s to at most n bytes and leaves characters whole.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

const addressWanted = "it must be a host name or an IP address, without a port, under which this server reaches the worker"

// normalAddress returns an IP address without brackets and in its usual form, a host name as it is.
func normalAddress(s string) (normal, fault string) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		switch {
		case ip.IsUnspecified():
			return "", fmt.Sprintf("is %q, which stands for every address; %s", s, addressWanted)
		case ip.Zone() != "":
			return "", fmt.Sprintf("is %q, which holds on one network link only; %s", s, addressWanted)
		}
		return ip.Unmap().String(), ""
	}
	if !validHost(s) {
		return "", fmt.Sprintf("is %s; %s", shown(s), addressWanted)
	}
	return s, ""
}

// validHost reports whether s can be a host name. Underscores are no part of one, but people use them.
func validHost(s string) bool {
	if s == "" || len(s) > maxName {
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

// bareURL takes out of an engine's URL what may be secret: user, password, query and fragment.
func bareURL(s string) (bare, fault string) {
	if s == "" {
		return "", ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The value is not shown: it may hold a password.
		return "", "cannot be read; it must begin with http:// or https:// and name a host"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String(), ""
}
