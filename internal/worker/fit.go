package worker

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
)

// fitting leaves out of reports what the server would refuse, and the whole report with it.
type fitting struct {
	logger *slog.Logger

	mu   sync.Mutex
	told map[string]string // the last logged fault by the instance's name
	left int
}

// leftOut returns how many instances the last report had to leave out.
func (f *fitting) leftOut() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left
}

// fit returns the instances that the server takes, in normal form. Each fault of the others is logged once.
func (f *fitting) fit(instances []fleet.ReportedInstance) []fleet.ReportedInstance {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := make(map[string]bool, len(instances))
	faults := make(map[string]string)
	f.left = 0
	fits := instances[:0:0]
	for _, in := range instances {
		mend(&in)
		fault := fleet.CheckInstance(&in)
		switch {
		case fault != nil:
		case taken[in.Name]:
			fault = &fleet.Fault{Field: "name", Detail: "is that of another instance too; names must be unique on a worker"}
		case len(fits) == fleet.MaxInstances:
			fault = &fleet.Fault{Field: "instances", Detail: "are more than a worker may have"}
		}
		if fault != nil {
			f.left++
			f.tell(in.Name, fault, faults)
			continue
		}
		taken[in.Name] = true
		fits = append(fits, in)
	}
	f.told = faults
	return fits
}

func (f *fitting) tell(name string, fault *fleet.Fault, faults map[string]string) {
	const shown = 64
	faults[name] = fault.String()
	if f.told[name] == faults[name] {
		return
	}
	advice := "run fewer engines on this machine"
	if key, ok := map[string]string{"name": "instance", "model": "model", "url": "url", "runtime": "runtime"}[fault.Field]; ok {
		advice = "declare the engine with --engine and give its " + key + " there"
	}
	f.logger.Warn("model instance is left out of the reports: the server would refuse it, and all others with it",
		"instance", fleet.Cut(strings.ToValidUTF8(name, "?"), shown), "field", fault.Field, "fault", fault.String(), "advice", advice)
}

// mend changes what can be changed without harm: a version that is not quite one and a time that is none cost nobody the
// instance.
func mend(in *fleet.ReportedInstance) {
	in.StateMessage = stateMessage(in.StateMessage)
	in.RuntimeVersion = strings.TrimRight(fleet.Cut(fleet.Visible(in.RuntimeVersion), fleet.MaxVersion), " ")
	in.RestartCount = max(in.RestartCount, 0)
	if in.LastRestartAt.Before(time.Unix(0, 0)) || in.LastRestartAt.Year() > 9999 {
		in.LastRestartAt = time.Time{}
	}
}
