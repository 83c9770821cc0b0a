package discovery

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// facts are what a command line says about an engine.
type facts struct {
	sign *sign
	// port is the port it was told to use; 0: it was told none, or (anyPort) to take any.
	port    int
	anyPort bool
	model   string
	off     bool // its metrics are switched off
	// lockstep: its cards work for others too.
	lockstep bool
}

// read takes the facts from what stands behind the command.
func (s *sign) read(rest []string) facts {
	f := facts{sign: s}
	if text, ok := flagValue(rest, s.PortFlags); ok {
		if port, ok := parsePort(text); ok {
			f.port, f.anyPort = port, port == 0
		}
	}
	if name, ok := flagValue(rest, s.NameFlags); ok {
		f.model = modelName(name)
	}
	if name, ok := flagValue(rest, s.ModelFlags); ok && f.model == "" {
		f.model = modelName(name)
	}
	// Only the word right behind the command is surely no flag's value: that could be a key.
	if s.Positional && f.model == "" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		f.model = modelName(rest[0])
	}
	for _, flag := range s.Off {
		f.off = f.off || hasFlag(rest, flag)
	}
	for _, flag := range s.Lockstep {
		f.lockstep = f.lockstep || hasFlag(rest, flag)
	}
	return f
}

// flagValue returns the value of the first of these flags that is there; of a flag that is given twice the last one, as
// argument parsers do.
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

// sameFlag compares flags; vLLM and SGLang take --served_model_name for --served-model-name.
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

// modelName returns s if it is the name of a model, "" if it is the path of its weights or too odd for a label.
func modelName(s string) string {
	lower := strings.ToLower(s)
	switch {
	case strings.HasPrefix(s, "/"), strings.HasPrefix(s, "."), strings.HasPrefix(s, "~"), strings.HasSuffix(s, "/"),
		strings.Count(s, "/") > 1, strings.ContainsAny(s, "\\$"), strings.Contains(s, ":/"),
		strings.HasSuffix(lower, ".gguf"), strings.HasSuffix(lower, ".safetensors"):
		return ""
	}
	return text(s, maxModelBytes)
}

// text returns s if it is printable and not longer than limit, else "".
func text(s string, limit int) string {
	s = strings.TrimSpace(s)
	if len(s) > limit || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return s
}
