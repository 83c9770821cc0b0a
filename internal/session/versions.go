package session

import (
	"log/slog"

	"github.com/stackscope/stackscope/internal/base/version"
)

// versions compares the worker's version with the server's. The server says its own in answers to registrations and to reports, because a
// worker does not register again when its server is upgraded. It registers and reports by turns, so there is no lock.
type versions struct {
	worker, told string // told is the server's version that was compared last
}

func (v *versions) registered(log *slog.Logger, worker, server string) {
	v.worker, v.told = worker, server
	v.tell(log)
}

func (v *versions) reported(log *slog.Logger, server string) {
	if server == v.told {
		return
	}
	v.told = server
	if server != "" {
		log.Info("server has another version now", "server_version", server, "worker_version", v.worker)
	}
	v.tell(log)
}

// tell logs a difference that is larger than what is supported.
func (v *versions) tell(log *slog.Logger) {
	if skew := version.Of(v.worker, v.told); skew.TooFar() {
		log.Warn("this worker's version is too far from the server's; it goes on, but may lack metrics or be misunderstood",
			"worker_version", v.worker, "server_version", v.told, "do", skew.Advice())
	}
}
