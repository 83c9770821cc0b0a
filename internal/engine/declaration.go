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

// Declaration is an engine that the user declared. Only URL is required; empty fields are detected.
type Declaration struct {
	// URL is the engine's base address, http://[user:password@]host:port[/prefix].
	URL      string
	Model    string
	Instance string // the instance's name, unique on a worker
	Runtime  string
	Version  string
	Path     string // of the metrics page; empty: where the runtime has it, else /metrics
	Role     fleet.Role
	Group    string // of engines that serve together in different roles; empty: those of the model
	// Connector is what passes the KV cache between it and engines of the other role, as in NixlConnector of vLLM or mooncake of SGLang.
	Connector string
}

// example is part of error messages.
const example = "url=http://127.0.0.1:8000,model=qwen,instance=qwen-0,runtime=vLLM,version=0.11.0"

// field is a key of a declaration. limit is the length in bytes that the server accepts.
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
		{"role", fleet.MaxKind, func(d *Declaration) *string { return (*string)(&d.Role) }},
		{"group", fleet.MaxGroup, func(d *Declaration) *string { return &d.Group }},
		{"connector", fleet.MaxKind, func(d *Declaration) *string { return &d.Connector }},
	}
}

// ParseDeclaration parses url=http://...,model=...; url= may be omitted before the first value. A comma in a value is written \, and a
// backslash \\. The error names the wrong key and shows an example.
func ParseDeclaration(s string) (Declaration, error) {
	var d Declaration
	if err := d.parse(s); err != nil {
		return Declaration{}, fmt.Errorf("--engine: %w; example: %s", err, example)
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
			return errors.New("it is empty: give key=value pairs with commas between them")
		case !ok:
			return fmt.Errorf("part %d is not key=value: the keys are %s", i+1, strings.Join(names, ", "))
		case at < 0:
			return fmt.Errorf("unknown key %q: the keys are %s", key, strings.Join(names, ", "))
		case seen[key]:
			return fmt.Errorf("key %q is given twice: give it once", key)
		case value == "":
			return fmt.Errorf("key %q has no value: give one or omit the key", key)
		case len(value) > known[at].limit:
			return fmt.Errorf("the value of %q has %d bytes: at most %d are allowed", key, len(value), known[at].limit)
		case fleet.TextFault(value) != "":
			return fmt.Errorf("the value of %q %s", key, fleet.TextFault(value))
		}
		seen[key] = true
		*known[at].at(d) = value
	}
	return d.complete()
}

// split splits s at commas that are not escaped and removes the escapes.
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

// complete checks the declaration and normalises it.
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
		return fmt.Errorf("model is %q, but %s is a gateway, which has no model of its own: omit model=", d.Model, d.Runtime)
	}
	if _, ok := fleet.ParseRole(string(d.Role)); !ok {
		return fmt.Errorf("role is %q: it must be %s, %s or %s", d.Role, fleet.RolePrefill, fleet.RoleDecode, fleet.RoleRouter)
	}
	if d.Path == "" {
		u.Path, d.Path = d.cutPage(u.Path)
	}
	if !strings.HasPrefix(d.Path, "/") || strings.ContainsAny(d.Path, "?#") {
		return fmt.Errorf("path %q is not valid: it must begin with / and contain neither ? nor #", d.Path)
	}
	u.RawPath = ""
	d.URL = u.String()
	return nil
}

// cutPage splits the path of a URL into the base path and the path of the metrics page. The URL may lack the latter.
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
	const remedy = "give http://HOST:PORT or https://HOST:PORT"
	switch {
	case err != nil && strings.Contains(s, "@"):
		return nil, fmt.Errorf("the url is not valid (it is not shown, because it may contain a password): %s", remedy)
	case err != nil:
		return nil, fmt.Errorf("url %q is not valid: %s", s, remedy)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("url %q does not begin with http:// or https://: %s", u.Redacted(), remedy)
	case u.Hostname() == "":
		return nil, fmt.Errorf("url %q has no host: %s", u.Redacted(), remedy)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("url %q has a query or a fragment: omit ? or # and what follows; a metrics page that is not at /metrics is given with path=", u.Redacted())
	}
	return u, nil
}

// Name returns the instance's name: the declared one, or MODEL-HOST-PORT, without MODEL if no model is declared. A loopback address is
// replaced by the worker's name, because many instances of a fleet have it.
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

// CheckDeclarations checks and normalises the declarations and gives each an instance name. Two declarations with the same metrics page
// or the same declared name are an error; names that are not declared get a number if they clash.
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
			return nil, fmt.Errorf("engines %d and %d have the same metrics page %s: declare it once", j+1, i+1, page)
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

// target returns where to fetch a declaration that ParseDeclaration or CheckDeclarations returned. found is the runtime that was detected;
// a declared one takes precedence.
func (d Declaration) target(found string) (fetch.Target, error) {
	u, err := parseURL(d.URL)
	if err != nil {
		return fetch.Target{}, fmt.Errorf("engine %s: %w", d.Instance, err)
	}
	runtime := cmp.Or(d.Runtime, found)
	return fetch.NewTarget(u, d.Path, func(status int) string { return runtimes.StatusHint(runtime, status) }), nil
}
