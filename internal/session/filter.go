package session

import (
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/fleet"
)

// reportFilter omits instances from reports if the server would refuse them, because it would refuse the whole report.
type reportFilter struct {
	logger *slog.Logger

	mu      sync.Mutex
	faults  map[string]string // by instance: the fault that was logged last
	skipped int
}

// unreported returns how many instances the last report omitted.
func (f *reportFilter) unreported() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.skipped
}

// accepted returns the instances that the server accepts, normalised. It logs each fault of the others once.
func (f *reportFilter) accepted(instances []fleet.ReportedInstance) []fleet.ReportedInstance {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make(map[string]bool, len(instances))
	faults := make(map[string]string)
	f.skipped = 0
	var accepted []fleet.ReportedInstance
	for _, in := range instances {
		normalize(&in)
		fault := fleet.CheckInstance(&in)
		switch {
		case fault != nil:
		case names[in.Name]:
			fault = &fleet.Fault{Field: "name", Detail: "is that of another instance too; names must be unique on a worker"}
		case len(accepted) == fleet.MaxInstances:
			fault = &fleet.Fault{Field: "instances", Detail: "are more than a worker may have"}
		}
		if fault != nil {
			f.skipped++
			faults[in.Name] = fault.String()
			if f.faults[in.Name] != fault.String() {
				f.log(in.Name, fault)
			}
			continue
		}
		names[in.Name] = true
		accepted = append(accepted, in)
	}
	f.faults = faults
	return accepted
}

func (f *reportFilter) log(name string, fault *fleet.Fault) {
	const shown = 64
	advice := "run fewer engines on this machine"
	if key, ok := map[string]string{"name": "instance", "model": "model", "url": "url", "runtime": "runtime"}[fault.Field]; ok {
		advice = "declare the engine with --engine and give its " + key + " there"
	}
	f.logger.Warn("model instance is left out of the reports, because the server would refuse the whole report",
		"instance", fleet.Cut(strings.ToValidUTF8(name, "?"), shown), "field", fault.Field, "fault", fault.String(), "advice", advice)
}

// normalize corrects an odd message, version, count or time, so that the server does not refuse the instance for it.
func normalize(in *fleet.ReportedInstance) {
	in.StateMessage = normalizeMessage(in.StateMessage)
	in.RuntimeVersion = strings.TrimRight(fleet.Cut(fleet.Visible(in.RuntimeVersion), fleet.MaxVersion), " ")
	in.RestartCount = max(in.RestartCount, 0)
	if in.LastRestartAt.Before(time.Unix(0, 0)) || in.LastRestartAt.Year() > 9999 {
		in.LastRestartAt = time.Time{}
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
