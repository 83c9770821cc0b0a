package grafana

import (
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
)

// timing holds the intervals and timeouts of the supervisor. Tests shorten them.
type timing struct {
	look     time.Duration // between searches while no Grafana is installed
	poll     time.Duration // between health checks while Grafana starts
	start    time.Duration // limit from the start to the first answer; a database migration that takes longer continues at the next start
	check    time.Duration // between health checks
	recheck  time.Duration // after a health check that failed
	deadline time.Duration // limit of a health check
	settle   time.Duration // how long to wait for the dashboards after the first answer; Grafana counts as running without them, too
	misses   int           // failed health checks in a row after which Grafana is restarted
	grace    time.Duration // from SIGTERM to SIGKILL of a Grafana that does not answer
	minWait  time.Duration // pause before a restart; doubles with each failure up to maxWait
	maxWait  time.Duration
	calm     time.Duration // after this time in good health the pause starts at minWait again
	leftover time.Duration // how long to wait for the Grafana of an earlier run to end
}

func defaultTiming() timing {
	return timing{
		look: 15 * time.Second, poll: 200 * time.Millisecond, start: 90 * time.Second,
		check: 10 * time.Second, recheck: 2 * time.Second, deadline: 5 * time.Second, settle: 15 * time.Second, misses: 3, grace: 5 * time.Second,
		minWait: time.Second, maxWait: time.Minute, calm: 5 * time.Minute, leftover: 2 * time.Second,
	}
}

// restartPause computes the pause before a restart of Grafana.
type restartPause struct {
	timing  timing
	backoff backoff.Backoff
}

// after returns the pause after a failure. healthy is how long Grafana had answered before.
func (p *restartPause) after(healthy time.Duration) time.Duration {
	if healthy >= p.timing.calm {
		p.backoff.Reset()
	}
	return p.backoff.Next(p.timing.minWait, p.timing.maxWait)
}
