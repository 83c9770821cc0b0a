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

// fitter leaves instances out of reports that the server would refuse, because it would refuse the whole report with them.
type fitter struct {
	logger *slog.Logger

	mu      sync.Mutex
	faults  map[string]string // by instance: the fault that was logged last
	skipped int
}

// leftOut returns how many instances the last report had to leave out.
func (f *fitter) leftOut() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.skipped
}

// fit returns the instances that the server accepts, in normal form. It logs each fault of the others once.
func (f *fitter) fit(instances []fleet.ReportedInstance) []fleet.ReportedInstance {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make(map[string]bool, len(instances))
	faults := make(map[string]string)
	f.skipped = 0
	fits := instances[:0:0]
	for _, in := range instances {
		normalize(&in)
		fault := fleet.CheckInstance(&in)
		switch {
		case fault != nil:
		case names[in.Name]:
			fault = &fleet.Fault{Field: "name", Detail: "is that of another instance too; names must be unique on a worker"}
		case len(fits) == fleet.MaxInstances:
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
		fits = append(fits, in)
	}
	f.faults = faults
	return fits
}

func (f *fitter) log(name string, fault *fleet.Fault) {
	const shown = 64
	advice := "run fewer engines on this machine"
	if key, ok := map[string]string{"name": "instance", "model": "model", "url": "url", "runtime": "runtime"}[fault.Field]; ok {
		advice = "declare the engine with --engine and give its " + key + " there"
	}
	f.logger.Warn("model instance is left out of the reports, because the server would refuse the whole report",
		"instance", fleet.Cut(strings.ToValidUTF8(name, "?"), shown), "field", fault.Field, "fault", fault.String(), "advice", advice)
}

// normalize changes what may be changed without harm, so that an odd version or time costs nobody the instance.
func normalize(in *fleet.ReportedInstance) {
	in.StateMessage = fitMessage(in.StateMessage)
	in.RuntimeVersion = strings.TrimRight(fleet.Cut(fleet.Visible(in.RuntimeVersion), fleet.MaxVersion), " ")
	in.RestartCount = max(in.RestartCount, 0)
	if in.LastRestartAt.Before(time.Unix(0, 0)) || in.LastRestartAt.Year() > 9999 {
		in.LastRestartAt = time.Time{}
	}
}

// fitMessage makes a state message valid UTF-8 of at most fleet.MaxStateMessage bytes.
func fitMessage(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= fleet.MaxStateMessage {
		return s
	}
	return clip.End(s, fleet.MaxStateMessage-len("..."))
}
