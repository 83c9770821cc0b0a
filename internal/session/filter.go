package session

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/fleet"
)

// reportFilter makes reports acceptable to the server, because it would refuse the whole report for one field of one instance. What breaks a
// rule is replaced, and the instance's message says so. Only what cannot be replaced is left out.
type reportFilter struct {
	logger *slog.Logger

	mu      sync.Mutex
	faults  map[string]string // by instance: the fault that was logged last
	skipped int
}

// acceptedInstance is an instance as it is reported, with the name and the model that the worker knows it by.
type acceptedInstance struct {
	fleet.ReportedInstance
	ownName, ownModel string
}

// unreported returns how many instances the last report omitted.
func (f *reportFilter) unreported() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.skipped
}

// accepted returns the instances as the server accepts them. It logs each fault once.
func (f *reportFilter) accepted(instances []fleet.ReportedInstance) []acceptedInstance {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Whose name needs no change keeps it.
	names := make(map[string]bool, len(instances))
	own := make(map[string]bool, len(instances))
	for _, in := range instances {
		own[in.Name] = true
	}
	faults := make(map[string]string)
	f.skipped = 0
	var accepted []acceptedInstance
	for _, in := range instances {
		out := acceptedInstance{in, in.Name, in.Model}
		normalize(&out.ReportedInstance)
		fault, refused := mend(&out.ReportedInstance, func(name string) bool { return names[name] || name != in.Name && own[name] })
		if refused == nil && len(accepted) == fleet.MaxInstances {
			refused = &fleet.Fault{Field: "instances", Detail: "are more than a worker may have"}
		}
		if refused != nil {
			f.skipped++
			fault = refused
		}
		if fault != nil {
			faults[in.Name] = fault.String()
			if f.faults[in.Name] != fault.String() {
				f.log(in.Name, fault, refused != nil)
			}
		}
		if refused == nil {
			names[out.Name] = true
			accepted = append(accepted, out)
		}
	}
	f.faults = faults
	return accepted
}

// maxMends bounds the fields of an instance that are replaced.
const maxMends = 12

// mend replaces what the server would refuse of an instance, and says so in its message. It returns the first fault that it found, and the
// one that cannot be mended.
func mend(in *fleet.ReportedInstance, taken func(name string) bool) (first, refused *fleet.Fault) {
	note := func(fault *fleet.Fault) {
		if first == nil {
			first = fault
		}
		in.StateMessage = normalizeMessage(strings.TrimSuffix(fault.String()+": "+advice(fault)+"; "+in.StateMessage, "; "))
	}
	for _, f := range []struct {
		field   string
		value   *string
		longest int
	}{{"name", &in.Name, fleet.MaxName}, {"model", &in.Model, fleet.MaxModelName}, {"runtime", &in.Runtime, fleet.MaxKind}} {
		fitted, fault := fleet.Fitted(*f.value, f.longest)
		if *f.value = fitted; fault != "" {
			note(&fleet.Fault{Field: f.field, Detail: fault})
		}
	}
	if base := in.Name; taken(base) {
		for n := 2; taken(in.Name); n++ {
			suffix := fmt.Sprintf("-%d", n)
			in.Name = fleet.Cut(base, fleet.MaxName-len(suffix)) + suffix
		}
		note(&fleet.Fault{Field: "name", Detail: fmt.Sprintf("%s is that of another instance too; names must be unique on a worker", clip.Line(base, maxShownName))})
	}
	for range maxMends {
		fault := fleet.CheckInstance(in)
		if fault == nil {
			return first, nil
		}
		switch fault.Field {
		case "url":
			in.URL = ""
		case "source", "source_key":
			in.Source, in.SourceKey = "", ""
		case "category":
			in.Category = ""
		case "group":
			in.Group = ""
		case "connector":
			in.Connector = ""
		case "upstreams":
			in.Upstreams = ""
		default:
			return first, fault
		}
		note(fault)
	}
	return first, fleet.CheckInstance(in)
}

// advice says what to do about a fault.
func advice(fault *fleet.Fault) string {
	switch fault.Field {
	case "name":
		return "declare the engine with --engine and give its instance there"
	case "instances":
		return "run fewer engines on this machine"
	case "model", "url", "runtime", "group", "connector":
		return "declare the engine with --engine and give its " + fault.Field + " there"
	}
	return "it is left out"
}

const maxShownName = 64

func (f *reportFilter) log(name string, fault *fleet.Fault, leftOut bool) {
	attrs := []any{"instance", fleet.Cut(strings.ToValidUTF8(name, "?"), maxShownName), "field", fault.Field, "fault", fault.String(), "advice", advice(fault)}
	if leftOut {
		f.logger.Warn("model instance is left out of the reports, because the server would refuse the whole report", attrs...)
		return
	}
	f.logger.Warn("model instance is reported with a change, because the server would refuse the whole report", attrs...)
}

// normalize corrects an odd message, version, count or time, so that the server does not refuse the instance for it.
func normalize(in *fleet.ReportedInstance) {
	in.StateMessage = normalizeMessage(in.StateMessage)
	in.RuntimeVersion = strings.TrimRight(fleet.Cut(fleet.Visible(in.RuntimeVersion), fleet.MaxVersion), " ")
	in.RestartCount = max(in.RestartCount, 0)
	for _, at := range []*time.Time{&in.LastRestartAt, &in.Since} {
		if at.Before(time.Unix(0, 0)) || at.Year() > 9999 {
			*at = time.Time{}
		}
	}
}

// normalizeMessage makes a state message valid UTF-8 of at most fleet.MaxStateMessage bytes.
func normalizeMessage(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= fleet.MaxStateMessage {
		return s
	}
	return clip.End(s, fleet.MaxStateMessage-len("..."))
}
