package grafana

import (
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
)

// timing holds the supervision's times. Tests shorten them.
type timing struct {
	look     time.Duration // between searches while there is no Grafana
	poll     time.Duration // between health checks of a Grafana that starts
	start    time.Duration // from start to the first answer; what it did to its database until then is kept, the next start goes on from there
	check    time.Duration // between health checks
	recheck  time.Duration // after one that failed
	deadline time.Duration // of a health check
	settle   time.Duration // from the first answer until all dashboards must be there; without them it runs all the same
	misses   int           // failed checks in a row after which it is ended
	grace    time.Duration // from SIGTERM to SIGKILL of one that does not answer
	minWait  time.Duration // before a start after a failure; doubles with each failure
	maxWait  time.Duration
	calm     time.Duration // after so long in good health the wait begins at minWait again
	leftover time.Duration // that one of an earlier run gets to vanish
}

func defaultTiming() timing {
	return timing{
		look: 15 * time.Second, poll: 200 * time.Millisecond, start: 90 * time.Second,
		check: 10 * time.Second, recheck: 2 * time.Second, deadline: 5 * time.Second, settle: 15 * time.Second, misses: 3, grace: 5 * time.Second,
		minWait: time.Second, maxWait: time.Minute, calm: 5 * time.Minute, leftover: 2 * time.Second,
	}
}

// restartPause is the pause before Grafana is started again.
type restartPause struct {
	timing  timing
	backoff backoff.Backoff
}

// after returns the pause after a failure that followed so long a time in good health.
func (p *restartPause) after(healthy time.Duration) time.Duration {
	if healthy >= p.timing.calm {
		p.backoff.Reset()
	}
	return p.backoff.Next(p.timing.minWait, p.timing.maxWait)
}
