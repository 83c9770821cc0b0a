package discovery

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/fleet"
)

// launchArguments are what an engine was started with, as far as it matters here.
type launchArguments struct {
	rule *rule // that matched the command line
	// port is the value of its port flag. 0: there is none, or (anyPort) it is 0 and the engine takes any free port.
	port       int
	anyPort    bool
	model      string
	metricsOff bool // a flag switches its metrics off
	lockstep   bool // its GPUs are busy with requests of other engines too: see fleet.DetectionRule
	role       fleet.Role
	connector  string // see Found
	upstreams  string // see Found
	served     string // see Found
	adapters   string // see Found
	weights    string // what its model flag or its first argument names: a model's name or a path; "" none
}

// arguments reads the arguments behind the command.
func (r *rule) arguments(rest []string) launchArguments {
	a := launchArguments{rule: r}
	if text, ok := flagValue(rest, r.PortFlags); ok {
		if port, ok := parsePort(text); ok {
			a.port, a.anyPort = port, port == 0
		}
	}
	if name, ok := flagValue(rest, r.NameFlags); ok {
		a.model = modelName(name)
	}
	if name, ok := flagValue(rest, r.ModelFlags); ok {
		a.weights = labelText(name, fleet.MaxSourceKey)
		if a.model == "" {
			a.model = modelName(name)
		}
	}
	// A later word may be the value of a flag, such as an API key. The word right behind the command cannot.
	if r.Positional && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		if a.weights == "" {
			a.weights = labelText(rest[0], fleet.MaxSourceKey)
		}
		if a.model == "" {
			a.model = modelName(rest[0])
		}
	}
	a.role, a.connector = r.role(rest), r.connector(rest)
	a.upstreams = upstreams(rest, r.UpstreamFlags)
	a.served, a.adapters = r.servedNames(rest), r.adapterNames(rest)
	for _, flag := range r.Off {
		a.metricsOff = a.metricsOff || hasFlag(rest, flag)
	}
	for _, flag := range r.Lockstep {
		a.lockstep = a.lockstep || hasFlag(rest, flag)
	}
	return a
}

// flagValue returns the value of the first of these flags that is given. Of a flag that is given twice the last value counts, as
// in argparse.
func flagValue(args, flags []string) (value string, ok bool) {
	for _, flag := range flags {
		for i, arg := range args {
			name, inline, joined := strings.Cut(arg, "=")
			switch {
			case !sameFlag(name, flag):
			case joined:
				value, ok = inline, true
			case i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
				value, ok = args[i+1], true
			}
		}
		if ok {
			return value, true
		}
	}
	return "", false
}

func hasFlag(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		name, _, _ := strings.Cut(arg, "=")
		return sameFlag(name, flag)
	})
}

// sameFlag compares flags. vLLM and SGLang also take --served_model_name for --served-model-name.
func sameFlag(arg, flag string) bool {
	if arg == flag {
		return true
	}
	return len(arg) == len(flag) && strings.HasPrefix(arg, "--") && strings.ReplaceAll(arg, "_", "-") == flag
}

func parsePort(s string) (int, bool) {
	port, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	return int(port), err == nil
}

// modelName returns s if it is a model's name, and "" if it is the path of the weights or not fit for a label value.
func modelName(s string) string {
	lower := strings.ToLower(s)
	switch {
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "."), strings.HasPrefix(s, "~"), strings.HasSuffix(s, "/"),
		strings.Count(s, "/") > 1, strings.ContainsAny(s, "\\$"), strings.Contains(s, ":/"),
		strings.HasSuffix(lower, ".gguf"), strings.HasSuffix(lower, ".safetensors"):
		return ""
	}
	return labelText(s, maxModelBytes)
}

// labelText returns s without surrounding blanks if it is printable and at most limit bytes long, else "".
func labelText(s string, limit int) string {
	s = strings.TrimSpace(s)
	if len(s) > limit || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}
