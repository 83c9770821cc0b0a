package grafana

import (
	"sync"
	"time"
)

// limited says when a trouble may be logged: once in a while, with the number of times that it was left out.
type limited struct {
	every time.Duration

	mu      sync.Mutex
	last    time.Time
	skipped int
}

func (l *limited) allow() (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.last.IsZero() || now.Sub(l.last) >= l.every {
		skipped, l.skipped, l.last = l.skipped, 0, now
		return skipped, true
	}
	l.skipped++
	return 0, false
}
