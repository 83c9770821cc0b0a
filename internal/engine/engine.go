// Package engine knows the inference engines that stackscope reads, and the gateways in front of them: how to fetch their metrics pages within bounds, how to
// recognise which engine a page is from, how to ask it for its version and model, how it looks from outside, and by which
// counters it can be told whether it gets on with its work. Each kind of engine has a file.
package engine

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// Runtime is what this package knows about one kind of inference engine.
type Runtime struct {
	// Name is the value of label runtime, as GPUStack spells it.
	Name string
	// gateway says that it stands in front of engines and has no model. Whether it gets on with its work is not watched: what
	// its requests wait for is an engine.
	gateway bool
	// prefixes begin the names of families that no other engine has. A page with the family foreign is another's, whose names
	// begin alike; "": there is none such.
	prefixes []string
	foreign  string
	// witness is a counter that falls only when the engine restarts.
	witness []string
	// version asks the engine for its version; nil: it does not tell.
	version func(ctx context.Context, p prober) (string, error)
	// model asks the engine for the model that it serves; nil: it lists its models as OpenAI's API does.
	model func(ctx context.Context, p prober) (string, error)
	// info reports whether members are those that this engine has in what it answers to /info; nil: it does not answer that.
	info func(members map[string]bool) bool
	// hint says what to do about an answer with this HTTP status, or "".
	hint func(status int) string
	// sign is how it looks from outside, but for its Runtime.
	sign fleet.DetectionRule
	// steps are counters that move with each token or step of the engine, ends those that move when a request ends.
	steps, ends []quantity
	// load are gauges of the requests that it has, running and waiting. They may show requests that ended up to lag ago.
	load []quantity
	lag  time.Duration
	// census looks for all of these at once; nil: it is to be made.
	census *census
}

// Runtimes lists the engines that are recognised, in the order in which they are tried. What re-exports another engine's
// page beside its own comes behind it. The list must not be changed.
func Runtimes() []Runtime {
	runtimes.once.Do(func() {
		runtimes.list = listRuntimes()
		for i := range runtimes.list {
			runtimes.list[i].census = runtimes.list[i].newCensus()
		}
	})
	return runtimes.list
}

var runtimes struct {
	once sync.Once
	list []Runtime
}

func listRuntimes() []Runtime {
	return []Runtime{
		productionStack(), vllm(), sglang(), mindie(), tgi(), tei(), trtllm(), lmdeploy(), llamacpp(), fastdeploy(), lightllm(), xinference(),
		nim(), dynamo(), triton(),
		litellm(), envoyAI(), higress(),
	}
}

// DetectionRules returns the rule of each runtime, in the order of Runtimes.
func DetectionRules() []fleet.DetectionRule {
	var rules []fleet.DetectionRule
	for _, r := range Runtimes() {
		r.sign.Runtime = r.Name
		rules = append(rules, r.sign)
	}
	return rules
}

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
	if r.foreign != "" && bytes.Contains(page, []byte("# TYPE "+r.foreign)) {
		return false
	}
	for _, prefix := range r.prefixes {
		if bytes.HasPrefix(page, []byte(prefix)) || bytes.Contains(page, []byte("\n"+prefix)) || bytes.Contains(page, []byte("# TYPE "+prefix)) {
			return true
		}
	}
	return false
}

// path is where the engine gives its metrics unless somebody says otherwise.
func (r Runtime) path() string {
	if r.sign.Path != "" {
		return r.sign.Path
	}
	return defaultPath
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

// hintAt gives hint for one status.
func hintAt(status int, hint string) func(int) string {
	return func(got int) string {
		if got == status {
			return hint
		}
		return ""
	}
}
