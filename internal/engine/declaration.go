package engine

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Declaration is an engine that the user named. Only URL is required; what else is empty is detected.
type Declaration struct {
	// URL is the engine's base address, http://[user:password@]host:port[/prefix].
	URL      string
	Model    string
	Instance string // the instance's name, unique on a worker
	Runtime  string
	Version  string
	Path     string // of the metrics page; empty: where the runtime has it, else /metrics
}

// example stands in error texts.
const example = "url=http://127.0.0.1:8000,model=qwen,instance=qwen-0,runtime=vLLM,version=0.11.0"

// field is a key of a declaration with the length that its value may have, which is the length that the server takes.
type field struct {
	key   string
	limit int
	at    func(*Declaration) *string
}

func fields() []field {
	return []field{
		{"url", fleet.MaxURL, func(d *Declaration) *string { return &d.URL }},
		{"model", fleet.MaxModelName, func(d *Declaration) *string { return &d.Model }},
		{"instance", fleet.MaxName, func(d *Declaration) *string { return &d.Instance }},
		{"runtime", fleet.MaxKind, func(d *Declaration) *string { return &d.Runtime }},
		{"version", fleet.MaxVersion, func(d *Declaration) *string { return &d.Version }},
		{"path", 1024, func(d *Declaration) *string { return &d.Path }},
	}
}

// ParseDeclaration reads url=http://...,model=...; a bare URL is taken for its url. A comma within a value is written \,
// and a backslash \\. The error says which key is wrong and shows an example.
func ParseDeclaration(s string) (Declaration, error) {
	var d Declaration
	if err := d.parse(s); err != nil {
		return Declaration{}, fmt.Errorf("engine: %w; example: %s", err, example)
	}
	return d, nil
}

func (d *Declaration) parse(s string) error {
	known := fields()
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.key
	}
	seen := map[string]bool{}
	for i, part := range split(s) {
		key, value, ok := strings.Cut(part, "=")
		if lower := strings.ToLower(part); i == 0 && (strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")) {
			key, value, ok = "url", part, true
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		at := slices.Index(names, key)
		switch {
		case !ok && part == "" && i == 0:
			return errors.New("nothing is declared, want key=value,key=value")
		case !ok:
			return fmt.Errorf("part %d is no key=value; keys are %s", i+1, strings.Join(names, ", "))
		case at < 0:
			return fmt.Errorf("unknown key %q: keys are %s", key, strings.Join(names, ", "))
		case seen[key]:
			return fmt.Errorf("key %q is given twice", key)
		case value == "":
			return fmt.Errorf("key %q has no value: leave it out or give it one", key)
		case len(value) > known[at].limit:
			return fmt.Errorf("the value of %q has %d bytes, allowed are %d", key, len(value), known[at].limit)
		case fleet.TextFault(value) != "":
			return fmt.Errorf("the value of %q %s", key, fleet.TextFault(value))
		}
		seen[key] = true
		*known[at].at(d) = value
	}
	return d.complete()
}

// split cuts s at commas that are not escaped and takes the escapes away.
func split(s string) []string {
	var parts []string
	var part strings.Builder
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			if c != ',' && c != '\\' {
				part.WriteByte('\\')
			}
			part.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped = true
		case c == ',':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteRune(c)
		}
	}
	if escaped {
		part.WriteByte('\\')
	}
	return append(parts, part.String())
}

// complete checks the declaration and brings it into its normal form.
func (d *Declaration) complete() error {
	if d.URL == "" {
		return errors.New("key \"url\" is missing")
	}
	u, err := parseURL(d.URL)
	if err != nil {
		return err
	}
	u.Path = strings.TrimRight(u.Path, "/")
	d.Runtime = runtimes.NormalName(d.Runtime)
	if d.Model != "" && runtimes.IsGateway(d.Runtime) {
		return fmt.Errorf("model is %q, and %s is a gateway, which has none of its own: leave model= out", d.Model, d.Runtime)
	}
	if d.Path == "" {
		u.Path, d.Path = d.cutPage(u.Path)
	}
	if !strings.HasPrefix(d.Path, "/") || strings.ContainsAny(d.Path, "?#") {
		return fmt.Errorf("path %q: want a path that begins with / and has neither ? nor #", d.Path)
	}
	u.RawPath = ""
	d.URL = u.String()
	return nil
}

// cutPage parts the path of a URL into the engine's own and that of its metrics page, which need not stand there.
func (d *Declaration) cutPage(path string) (base, page string) {
	page = runtimes.DefaultPath
	if r, ok := runtimes.ByName(d.Runtime); ok {
		page = r.Path()
	}
	if base, ok := strings.CutSuffix(path, strings.TrimRight(page, "/")); ok {
		return base, page
	}
	if base, ok := strings.CutSuffix(path, runtimes.DefaultPath); ok {
		return base, runtimes.DefaultPath
	}
	return path, page
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	const want = "want http://HOST:PORT or https://HOST:PORT"
	switch {
	case err != nil && strings.Contains(s, "@"):
		return nil, fmt.Errorf("the url cannot be read (not shown, as it may hold a password): %s", want)
	case err != nil:
		return nil, fmt.Errorf("url %q cannot be read: %s", s, want)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("url %q: %s", u.Redacted(), want)
	case u.Hostname() == "":
		return nil, fmt.Errorf("url %q has no host: %s", u.Redacted(), want)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("url %q: leave out what follows ? or #; another page than /metrics is given with path=", u.Redacted())
	}
	return u, nil
}

// Name returns the name of the instance: the declared one, or one made of the model, if that is declared, the host and the
// port. An address of this machine alone would name many instances of a fleet alike, so the worker's name stands for it.
func (d Declaration) Name(worker string) string {
	if d.Instance != "" {
		return d.Instance
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); strings.EqualFold(host, "localhost") || (ip != nil && (ip.IsLoopback() || ip.IsUnspecified())) {
		host = worker
	}
	parts := []string{d.Model, host, fetch.Port(u)}
	if d.Model == "" {
		parts = parts[1:]
	}
	name := strings.Join(parts, "-")
	return strings.ToValidUTF8(name[max(0, len(name)-253):], "")
}

// CheckDeclarations completes the declarations and refuses names and pages that stand there twice. It returns them with
// their instance names filled in; names that were not declared are made distinct.
func CheckDeclarations(declared []Declaration, worker string) ([]Declaration, error) {
	checked := make([]Declaration, 0, len(declared))
	byName, byPage := map[string]int{}, map[string]int{}
	for i, d := range declared {
		if err := d.complete(); err != nil {
			return nil, fmt.Errorf("engine %d: %w; example: %s", i+1, err, example)
		}
		if d.Instance != "" {
			if j, ok := byName[d.Instance]; ok {
				return nil, fmt.Errorf("engines %d and %d have the same instance name %q: give each its own", j+1, i+1, d.Instance)
			}
			byName[d.Instance] = i
		}
		u, err := parseURL(d.URL)
		if err != nil {
			return nil, err
		}
		page := strings.ToLower(u.Scheme+"://"+net.JoinHostPort(u.Hostname(), fetch.Port(u))) + u.Path + d.Path
		if j, ok := byPage[page]; ok {
			return nil, fmt.Errorf("engines %d and %d are the same page %s: declare it once", j+1, i+1, page)
		}
		byPage[page] = i
		checked = append(checked, d)
	}
	for i := range checked {
		if checked[i].Instance != "" {
			continue
		}
		name := checked[i].Name(worker)
		for n := 2; ; n++ {
			if _, taken := byName[name]; !taken {
				break
			}
			name = fmt.Sprintf("%s-%d", checked[i].Name(worker), n)
		}
		byName[name] = i
		checked[i].Instance = name
	}
	return checked, nil
}

// target resolves a declaration that ParseDeclaration or CheckDeclarations returned. An engine that is not declared to be of a
// runtime is taken for one of runtime found.
func (d Declaration) target(found string) (fetch.Target, error) {
	u, err := parseURL(d.URL)
	if err != nil {
		return fetch.Target{}, fmt.Errorf("engine %s: %w", d.Instance, err)
	}
	runtime := cmp.Or(d.Runtime, found)
	return fetch.NewTarget(u, d.Path, func(status int) string { return runtimes.StatusHint(runtime, status) }), nil
}
