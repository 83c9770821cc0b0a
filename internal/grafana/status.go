package grafana

import "time"

// Phase says how far Grafana has come.
type Phase string

// The phases of a Grafana that stackscope runs.
const (
	PhaseAbsent   Phase = "absent"   // no Grafana was found on this machine
	PhaseStarting Phase = "starting" // its process is up, its HTTP API is not yet
	PhaseRunning  Phase = "running"  // it answers
	PhaseWaiting  Phase = "waiting"  // it failed; the next start waits for the back-off
	PhaseStopped  Phase = "stopped"  // stackscope is ending, or has not begun
)

// Status is what is known about Grafana at one moment. It is a value: a copy never changes.
type Status struct {
	Phase    Phase
	Reason   string // one line for a person: what is the matter, why, until when; empty while all is well
	Home     string // the folder Grafana is installed in; empty when absent
	Version  string // as Grafana itself says; empty until it has answered once
	PID      int    // of its process; 0 when there is none
	Since    time.Time
	Next     time.Time // of the start that it waits for; zero in the other phases
	Restarts int       // starts after the first
}
