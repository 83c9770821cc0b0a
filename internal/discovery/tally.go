package discovery

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
)

// reason is why something was left out: a value of label reason.
type reason = string

const (
	reasonUnreadable  reason = "unreadable"
	reasonDisabled    reason = "disabled"
	reasonMetricsOff  reason = "metrics_off"
	reasonLoopback    reason = "loopback_in_other_network"
	reasonNoAddress   reason = "no_address"
	reasonNoPort      reason = "no_port"
	reasonPortTaken   reason = "port_taken"
	reasonTooMany     reason = "too_many"
	reasonNotAnswered reason = "not_answered"
)

// advice says what to do about it; what was asked for needs none.
func advice(why reason) string {
	switch why {
	case reasonUnreadable:
		return "run the worker as root, or let it read other users' processes (capability SYS_PTRACE), so that their engines are found completely"
	case reasonMetricsOff:
		return "its command line switches metrics off: take that flag away to have it monitored"
	case reasonLoopback:
		return "it listens on the loopback address of another network alone: let it listen on 0.0.0.0, or run the worker in its network"
	case reasonNoAddress:
		return "give its container a network or publish its port, or declare the engine with its URL"
	case reasonNoPort:
		return "say the port of its metrics with label " + labelPort
	case reasonPortTaken:
		return "another engine has its port: give each its own"
	case reasonTooMany:
		return "there are more containers than are looked at; declare the engines that are missing"
	case reasonNotAnswered:
		return "the daemon didn't describe the container; it is asked again"
	}
	return ""
}

const (
	// maxNamed bounds the lines that one reason is worth in the log.
	maxNamed = 16
	// lateAfter is how many intervals a round may be overdue before its collector counts as failed.
	lateAfter = 3
	minLate   = 10 * time.Second
)

// tally counts what a source had to leave out and names it once. It is safe for concurrent use.
type tally struct {
	source Source
	logger *slog.Logger

	mu      sync.Mutex
	round   uint64
	current map[skipped]uint64 // what is left out now -> round in which it was last seen
	counts  []*count
	at      time.Time
	took    time.Duration
	err     error
	said    string
}

// skipped is something that was left out.
type skipped struct {
	why reason
	id  string
}

type count struct {
	why    reason
	n      uint64
	labels exposition.Labels
}

func newTally(source Source, logger *slog.Logger) *tally {
	return &tally{source: source, logger: logger.With("source", string(source)), current: map[skipped]uint64{}}
}

// skip counts something that is left out, the first time that it is. key and value name it in the log.
func (t *tally) skip(why reason, id, key string, value any) {
	t.mu.Lock()
	_, known := t.current[skipped{why, id}]
	t.current[skipped{why, id}] = t.round
	t.mu.Unlock()
	if !known {
		t.count(why, key, value)
	}
}

// count counts one that is left out and names it in the log, the first few of each reason.
func (t *tally) count(why reason, key string, value any) {
	t.mu.Lock()
	var at *count
	for _, c := range t.counts {
		if c.why == why {
			at = c
		}
	}
	if at == nil {
		at = &count{why: why, labels: exposition.RenderLabels("source", string(t.source), "reason", why)}
		t.counts = append(t.counts, at)
	}
	at.n++
	named := at.n
	t.mu.Unlock()
	if named > maxNamed {
		return
	}
	attrs := []any{slog.String("reason", why), slog.Any(key, value)}
	if what := advice(why); what != "" {
		attrs = append(attrs, slog.String("advice", what))
	}
	if named == maxNamed {
		attrs = append(attrs, slog.Bool("last_one_named", true))
	}
	if why == reasonDisabled {
		t.logger.Info("left out of discovery", attrs...)
		return
	}
	t.logger.Warn("left out of discovery", attrs...)
}

// endRound forgets what is left out no more, so that it counts anew should it come back.
func (t *tally) endRound() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, round := range t.current {
		if round != t.round {
			delete(t.current, s)
		}
	}
	t.round++
}

// verdict notes how a round went and says so in the log when that has changed. A machine that has nothing of the kind is no
// failure.
func (t *tally) verdict(took time.Duration, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		took, err = -1, nil
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	t.mu.Lock()
	before := t.said
	t.at, t.took, t.err, t.said = time.Now(), took, err, text
	t.mu.Unlock()
	switch text {
	case before:
	case "":
		t.logger.Info("discovery works again")
	default:
		t.logger.Warn("discovery does not work", "error", text)
	}
}
