package fleet

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what workers say. Lengths are in bytes. The server refuses what is beyond, and workers leave it out.
const (
	MaxName         = 253 // a DNS name
	MaxUUID         = 64
	MaxModelName    = 512
	MaxVersion      = 128
	MaxKind         = 64 // runtime, source, category
	MaxURL          = 2048
	MaxSourceKey    = 1024
	MaxGroup        = 765 // two names and a slash
	MaxUpstreams    = 16 << 10
	MaxStateMessage = 1024
	MaxLabels       = 64
	MaxLabelKey     = 317 // a Kubernetes label key: prefix, slash, name
	MaxLabelValue   = 1024
	MaxInstances    = 1024
)

const maxShown = 64 // of a bad value, in an error

// Invalid says what about a registration or report breaks a rule.
func Invalid(what, format string, args ...any) error {
	return fmt.Errorf("%w %s: %s", ErrInvalid, what, fmt.Sprintf(format, args...))
}

// Fault is a rule that a field breaks. Field and Detail, with a space between them, are a sentence.
type Fault struct{ Field, Detail string }

func (f *Fault) String() string { return f.Field + " " + f.Detail }

// CheckRegistration returns r in normal form, or the first rule that it breaks. Whether an address on this machine itself is
// allowed is for the caller to say.
func CheckRegistration(r Registration) (Registration, error) {
	const what = "registration"
	if r.Cluster == "" {
		r.Cluster = DefaultClusterName
	}
	if r.ProxyMode == "" {
		r.ProxyMode = ProxyDirect
	}
	if r.MetricsScheme == "http" {
		r.MetricsScheme = MetricsHTTP
	}
	for _, f := range []struct {
		name, value string
		min, max    int
		flag        string // of the worker, in parentheses
	}{
		{"uuid", r.UUID, 1, MaxUUID, ""},
		{"name", r.Name, 1, MaxName, " (--worker-name)"},
		{"cluster", r.Cluster, 1, MaxName, " (--cluster)"},
		{"version", r.Version, 0, MaxVersion, ""},
		{"run", r.Run, 0, MaxUUID, ""},
	} {
		if fault := textFault(f.value, f.min, f.max); fault != "" {
			return r, Invalid(what, "%s %s%s", f.name, fault, f.flag)
		}
	}
	var fault string
	if r.Address, fault = normalAddress(r.Address); fault != "" {
		return r, Invalid(what, "address %s", fault)
	}
	if r.MetricsPort < 0 || r.MetricsPort > 65535 {
		return r, Invalid(what, "metrics_port is %d; it must be 1 to 65535, or 0 if the worker exports no metrics", r.MetricsPort)
	}
	if r.ProxyMode != ProxyDirect && r.ProxyMode != ProxyTunnel {
		return r, Invalid(what, "proxy_mode is %s; it must be %q or %q", shown(string(r.ProxyMode)), ProxyDirect, ProxyTunnel)
	}
	if r.MetricsScheme != MetricsHTTP && r.MetricsScheme != MetricsHTTPS {
		return r, Invalid(what, "metrics_scheme is %s; it must be %q or %q, or absent for the first", shown(string(r.MetricsScheme)), "http", MetricsHTTPS)
	}
	if len(r.Labels) > MaxLabels {
		return r, Invalid(what, "it has %d labels; at most %d are allowed", len(r.Labels), MaxLabels)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		if fault := LabelFault(k, r.Labels[k]); fault != "" {
			return r, Invalid(what, "%s (--worker-label)", fault)
		}
	}
	r.Labels = maps.Clone(r.Labels) // snapshots share it
	return r, nil
}

// CheckReport returns r in normal form, or the first rule that it breaks.
func CheckReport(r Report) (Report, error) {
	const what = "report"
	if r.AppliedGeneration < 0 {
		return r, Invalid(what, "applied_generation is %d; it must not be negative", r.AppliedGeneration)
	}
	if len(r.Instances) > MaxInstances {
		return r, Invalid(what, "it has %d instances; at most %d are allowed on a worker", len(r.Instances), MaxInstances)
	}
	seen := make(map[string]int, len(r.Instances))
	out := make([]ReportedInstance, len(r.Instances))
	for k, in := range r.Instances {
		fault := CheckInstance(&in)
		if fault == nil {
			if before, ok := seen[in.Name]; ok {
				fault = &Fault{"name", fmt.Sprintf("%s is that of instances[%d] too; names must be unique on a worker", shown(in.Name), before)}
			}
			seen[in.Name] = k
		}
		if fault != nil {
			return r, Invalid(what, "instances[%d]: %s", k, fault)
		}
		out[k] = in
	}
	r.Instances = out
	var err error
	r.GPUs, err = CheckGPUs(r.GPUs)
	return r, err
}

// CheckInstance brings in into normal form and returns the first rule that it breaks.
func CheckInstance(in *ReportedInstance) *Fault {
	for _, f := range []struct {
		name     string
		value    *string
		min, max int
	}{
		{"name", &in.Name, 1, MaxName},
		{"model", &in.Model, 0, MaxModelName}, // none: a gateway, or it is not known
		{"runtime", &in.Runtime, 0, MaxKind},
		{"runtime_version", &in.RuntimeVersion, 0, MaxVersion},
		{"source", &in.Source, 0, MaxKind},
		{"source_key", &in.SourceKey, 0, MaxSourceKey},
		{"category", &in.Category, 0, MaxKind},
		{"group", &in.Group, 0, MaxGroup},
		{"connector", &in.Connector, 0, MaxKind},
	} {
		// A worker of an older version passes on what engines say as they say it, and its report is not refused for one of them.
		if utf8.ValidString(*f.value) {
			*f.value = Spelled(*f.value, f.max)
		}
		if fault := textFault(*f.value, f.min, f.max); fault != "" {
			return &Fault{f.name, fault}
		}
	}
	if fault := textFault(in.URL, 0, MaxURL); fault != "" {
		return &Fault{"url", fault}
	}
	if fault := textFault(in.Upstreams, 0, MaxUpstreams); fault != "" {
		return &Fault{"upstreams", fault}
	}
	if _, ok := ParseRole(string(in.Role)); !ok {
		return &Fault{"role", fmt.Sprintf("is %s; it must be prefill, decode or router, or absent", shown(string(in.Role)))}
	}
	if in.Model == "" && in.Runtime == Unknown {
		in.Runtime = ""
	}
	if !in.State.Valid() {
		return &Fault{"state", fmt.Sprintf("is %s; it must be pending, analyzing, scheduled, initializing, downloading, starting, running, error or unreachable", shown(string(in.State)))}
	}
	if in.RestartCount < 0 {
		return &Fault{"restart_count", fmt.Sprintf("is %d; it must not be negative", in.RestartCount)}
	}
	for _, f := range []struct {
		name string
		at   *time.Time
	}{{"last_restart_at", &in.LastRestartAt}, {"since", &in.Since}} {
		if fault := storedTime(f.at); fault != "" {
			return &Fault{f.name, fault}
		}
	}
	in.StateMessage = Cut(Visible(strings.Join(strings.Fields(strings.ToValidUTF8(in.StateMessage, string(utf8.RuneError))), " ")), MaxStateMessage)
	var fault string
	if in.URL, fault = bareURL(in.URL); fault != "" {
		return &Fault{"url", fault}
	}
	return nil
}

// storedTime brings a time into the form in which it is stored, so that equal reports are equal, and says what is wrong with it.
func storedTime(t *time.Time) (fault string) {
	if t.IsZero() {
		return ""
	}
	ms := t.UnixMilli()
	if ms < 0 || t.Year() > 9999 {
		return fmt.Sprintf("is %d; it must be a time in seconds since 1970", t.Unix())
	}
	*t = time.Time{}
	if ms > 0 {
		*t = time.UnixMilli(ms).UTC()
	}
	return ""
}

func shown(s string) string {
	if c := Cut(s, maxShown); c != s {
		return fmt.Sprintf("%q...", c)
	}
	return fmt.Sprintf("%q", s)
}

// Cut shortens s to at most n bytes and leaves characters whole.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// BareURL returns an engine's URL without what may be secret, or "" for what is no URL of an engine.
func BareURL(s string) string {
	if bare, fault := bareURL(s); fault == "" {
		return bare
	}
	return ""
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
