// Package runtimes describes the kinds of inference engines and gateways: how each is recognised, how its version and model are requested,
// and which of its counters and gauges show restarts and progress. Each runtime is a file of data.
package runtimes

import (
	"bytes"
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// DefaultPath is the path of a metrics page unless the runtime or the user has another.
const DefaultPath = "/metrics"

// Runtime is one kind of inference engine, or of gateway.
type Runtime struct {
	// Name is the value of label runtime, as GPUStack spells it.
	Name string
	// Gateway: it forwards requests to engines and serves no model of its own. It has no progress counters, because its requests wait for
	// engines.
	Gateway bool
	// Frontend: it forwards requests to engines that may be scraped as well, and says of which model each is.
	Frontend bool
	// prefixes begin the names of metrics that no other runtime has. exclude is a metric of another runtime that has the same prefixes; ""
	// if there is none.
	prefixes []string
	exclude  string
	// restartCounters fall only when the engine restarts.
	restartCounters []string
	// version requests the engine's version; nil: there is no way to.
	version probe
	// model requests the model that the engine serves; nil: it lists its models like OpenAI's API.
	model probe
	// parts returns which of the models on a page are parts of which other; "" as the whole: of one that is not known. Nil: there are none.
	parts func(models []string) map[string]string
	// roleLabel is the label of its metrics that names its role; "": it has none.
	roleLabel string
	// ownsInfo reports whether an answer to /info with these members is this runtime's; nil: it has no /info.
	ownsInfo func(members map[string]bool) bool
	// hint returns what to do about an answer with this HTTP status, or ""; nil: there are no hints.
	hint func(status int) string
	// noMetricsHint is what to do about a page that answers 200 and has none of the engine's metrics; "": there is no hint.
	noMetricsHint string
	// beginsWithRequests: until the first request the page has few of its metrics, or none.
	beginsWithRequests bool
	// rule is how discovery recognises it. DetectionRules sets the rule's Runtime.
	rule fleet.DetectionRule
	// stepCounters move with each token or step of the engine, requestCounters when a request ends.
	stepCounters, requestCounters []quantity
	// requestGauges count its running and waiting requests. They may include requests that ended up to gaugeLag ago.
	requestGauges []quantity
	gaugeLag      time.Duration

	scan *counterScan // for all of the counters and gauges above, made from them by All
}

// All lists the runtimes in the order in which Recognise tries them. A runtime that also exports another's metrics comes after the other.
// The list must not be changed.
func All() []Runtime {
	all.once.Do(func() { all.list = list() })
	return all.list
}

// all is no sync.OnceValue: the runtimes' probes refer to All, which the compiler would take for an initialization cycle.
var all struct {
	once sync.Once
	list []Runtime
}

func list() []Runtime {
	list := []Runtime{
		productionStack(), vllm(), sglang(), mindie(), tgi(), tei(), trtllm(), lmdeploy(), llamacpp(), fastdeploy(), lightllm(), xinference(),
		nim(), dynamo(), triton(),
		litellm(), envoyAI(), higress(),
	}
	for i := range list {
		list[i].scan = list[i].newScan()
	}
	return list
}

// ByName finds a runtime by its name in any case.
func ByName(name string) (Runtime, bool) {
	for _, r := range All() {
		if strings.EqualFold(r.Name, name) {
			return r, true
		}
	}
	return Runtime{}, false
}

// NormalName returns a runtime's name as labels and mappings spell it. It returns unknown names unchanged, because a mapping may have
// them.
func NormalName(name string) string {
	if r, ok := ByName(name); ok {
		return r.Name
	}
	return name
}

// IsGateway reports whether the runtime of this name is known to be a gateway.
func IsGateway(name string) bool {
	r, ok := ByName(name)
	return ok && r.Gateway
}

// IsFrontend reports whether the runtime of this name is known to be a frontend.
func IsFrontend(name string) bool {
	r, ok := ByName(name)
	return ok && r.Frontend
}

// DetectionRules returns the rules of routers and then the rule of each runtime, in the order of All.
func DetectionRules() []fleet.DetectionRule {
	rules := routerRules()
	for _, r := range All() {
		r.rule.Runtime = r.Name
		rules = append(rules, r.rule)
	}
	return rules
}

// StatusHint returns what to do about an answer with this HTTP status from an engine of the named runtime, or "". For the name "" it joins
// the hints of all runtimes. A status of 200 stands for an answer that is no metrics page, as other paths of the engine may have.
func StatusHint(name string, status int) string {
	if status == http.StatusOK {
		if name == "" {
			return "" // it is more likely that it is no engine
		}
		status = http.StatusNotFound
	}
	var hints []string
	for _, r := range All() {
		if r.hint == nil || name != "" && r.Name != name {
			continue
		}
		if h := r.hint(status); h != "" {
			hints = append(hints, h)
		}
	}
	return strings.Join(hints, "; ")
}

// hintAt gives hint for one status.
func hintAt(status int, hint string) func(int) string {
	return func(got int) string {
		if got == status {
			return hint
		}
		return ""
	}
}

// Recognise returns the name of the runtime whose metrics page this is, or "".
func Recognise(page []byte) string {
	for _, r := range All() {
		if r.Wrote(page) {
			return r.Name
		}
	}
	return ""
}

// Wrote reports whether page has a metric that only this runtime, or the router of its engines, has.
func (r Runtime) Wrote(page []byte) bool {
	if r.exclude != "" && bytes.Contains(page, []byte("# TYPE "+r.exclude)) {
		return false
	}
	return has(page, r.prefixes) || has(page, routerPrefixes[r.Name])
}

// Path is the default path of the metrics page.
func (r Runtime) Path() string {
	if r.rule.Path != "" {
		return r.rule.Path
	}
	return DefaultPath
}

// ModelLabel returns the model's name in the labels of page, or "".
func (r Runtime) ModelLabel(page []byte) string {
	label := cmp.Or(labelValue(page, "model_name", r.prefixes), r.routedModel(page))
	if len(label) > maxLongModelBytes {
		return ""
	}
	return label
}
