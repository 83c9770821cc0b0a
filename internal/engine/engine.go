// Package engine knows the inference engines that stackscope reads: how to fetch their metrics pages within bounds, how to
// recognise which engine a page is from, and how to ask it for its version and model. Each kind of engine has a file.
package engine

import (
	"bytes"
	"context"
	"strings"
)

// Runtime is what this package knows about one kind of inference engine.
type Runtime struct {
	// Name is the value of label runtime, as GPUStack spells it.
	Name string
	// prefixes begin the names of families that no other engine has.
	prefixes []string
	// witness is a counter that falls only when the engine restarts.
	witness []string
	// version asks the engine at base for its version.
	version func(ctx context.Context, p prober) (string, error)
	// hint says what to do about an answer with this HTTP status, or "".
	hint func(status int) string
}

// Runtimes lists the engines that are recognised, in the order in which they are tried.
func Runtimes() []Runtime { return []Runtime{vllm(), sglang(), mindie()} }

// Recognise returns the name of the engine whose metrics page this is, or "".
func Recognise(page []byte) string {
	for _, r := range Runtimes() {
		if r.wrote(page) {
			return r.Name
		}
	}
	return ""
}

// wrote reports whether page has a family of this engine.
func (r Runtime) wrote(page []byte) bool {
	for _, prefix := range r.prefixes {
		if bytes.HasPrefix(page, []byte(prefix)) || bytes.Contains(page, []byte("\n"+prefix)) || bytes.Contains(page, []byte("# TYPE "+prefix)) {
			return true
		}
	}
	return false
}

// byName finds a runtime by its name in any case.
func byName(name string) (Runtime, bool) {
	for _, r := range Runtimes() {
		if strings.EqualFold(r.Name, name) {
			return r, true
		}
	}
	return Runtime{}, false
}

// normalRuntime returns the spelling of a runtime's name that labels and mappings use. Names that are not known here stay
// as they are: a mapping may know them.
func normalRuntime(name string) string {
	if r, ok := byName(name); ok {
		return r.Name
	}
	return name
}

// hintFor says what to do about an answer with this HTTP status; of an engine that is not known it asks all.
func hintFor(runtime string, status int) string {
	var hints []string
	for _, r := range Runtimes() {
		if runtime != "" && r.Name != runtime {
			continue
		}
		if h := r.hint(status); h != "" {
			hints = append(hints, h)
		}
	}
	return strings.Join(hints, "; ")
}

func noHint(int) string { return "" }
