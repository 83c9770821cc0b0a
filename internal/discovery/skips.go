package discovery

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/exposition"
)

// skipReason is why a process or container is not monitored: a value of label reason.
type skipReason = string

const (
	skipUnreadable  skipReason = "unreadable"
	skipDisabled    skipReason = "disabled"
	skipMetricsOff  skipReason = "metrics_off"
	skipLoopback    skipReason = "loopback_in_other_network"
	skipNoAddress   skipReason = "no_address"
	skipNoPort      skipReason = "no_port"
	skipPortTaken   skipReason = "port_taken"
	skipTooMany     skipReason = "too_many"
	skipNotAnswered skipReason = "not_answered"
)

// advice says what the operator can do about it. What the operator asked for needs no advice.
func advice(why skipReason) string {
	switch why {
	case skipUnreadable:
		return "run the worker as root or with the capabilities SYS_PTRACE and DAC_READ_SEARCH: it may not read this process, which belongs to another user"
	case skipMetricsOff:
		return "remove the flag on its command line that switches metrics off"
	case skipLoopback:
		return "it listens only on the loopback address of another network namespace: make it listen on 0.0.0.0, or run the worker in its network"
	case skipNoAddress:
		return "give its container a network or publish its port, or declare the engine with its URL"
	case skipNoPort:
		return "set its metrics port with the container label " + labelPort
	case skipPortTaken:
		return "another engine uses the same port: give each engine a port of its own"
	case skipTooMany:
		return "this machine runs more containers than the limit: declare the missing engines with their URLs"
	case skipNotAnswered:
		return "the daemon did not describe this container; the request is repeated"
	}
	return ""
}

const (
	// maxLoggedPerReason bounds the log lines about one reason.
	maxLoggedPerReason = 16
	// After lateRounds intervals without a round, but not before minLate, the collector counts as failed.
	lateRounds = 3
	minLate    = 10 * time.Second
)

// skipCounter counts the processes or containers that a source skipped, logs each once, and keeps how the last round went. It is
// safe for concurrent use.
type skipCounter struct {
	source Source
	logger *slog.Logger

	mu        sync.Mutex
	round     uint64
	current   map[skipKey]uint64 // skipped now -> round in which it was last seen
	totals    []*skipTotal
	roundEnd  time.Time
	roundTook time.Duration
	roundErr  error
	lastError string
}

// skipKey is one skipped process or container.
type skipKey struct {
	why skipReason
	id  string
}

type skipTotal struct {
	why    skipReason
	n      uint64
	labels exposition.Labels
}

func newSkipCounter(source Source, logger *slog.Logger) *skipCounter {
	return &skipCounter{source: source, logger: logger.With("source", string(source)), current: map[skipKey]uint64{}}
}

// skip counts what is skipped in this round, unless it was in the round before. key and value name it in the log.
func (t *skipCounter) skip(why skipReason, id, key string, value any) {
	t.mu.Lock()
	_, known := t.current[skipKey{why, id}]
	t.current[skipKey{why, id}] = t.round
	t.mu.Unlock()
	if !known {
		t.add(why, key, value)
	}
}

// add counts one that is skipped. The first few of each reason are logged.
func (t *skipCounter) add(why skipReason, key string, value any) {
	t.mu.Lock()
	var at *skipTotal
	for _, c := range t.totals {
		if c.why == why {
			at = c
		}
	}
	if at == nil {
		at = &skipTotal{why: why, labels: exposition.RenderLabels("source", string(t.source), "reason", why)}
		t.totals = append(t.totals, at)
	}
	at.n++
	named := at.n
	t.mu.Unlock()
	if named > maxLoggedPerReason {
		return
	}
	attrs := []any{slog.String("reason", why), slog.Any(key, value)}
	if what := advice(why); what != "" {
		attrs = append(attrs, slog.String("advice", what))
	}
	if named == maxLoggedPerReason {
		attrs = append(attrs, slog.Bool("last_one_named", true))
	}
	if why == skipDisabled {
		t.logger.Info("skipped by discovery", attrs...)
		return
	}
	t.logger.Warn("skipped by discovery", attrs...)
}

// endRound forgets what was not skipped in this round: it counts again when it comes back.
func (t *skipCounter) endRound() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, round := range t.current {
		if round != t.round {
			delete(t.current, s)
		}
	}
	t.round++
}

// recordRound keeps how a round went, and logs when that changes. A machine without Docker or without /proc is no failure.
func (t *skipCounter) recordRound(took time.Duration, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		took, err = -1, nil
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	t.mu.Lock()
	before := t.lastError
	t.roundEnd, t.roundTook, t.roundErr, t.lastError = time.Now(), took, err, text
	t.mu.Unlock()
	switch text {
	case before:
	case "":
		t.logger.Info("discovery has recovered")
	default:
		log := t.logger.Warn
		if _, denied := errors.AsType[deniedError](err); denied {
			log = t.logger.Info // package access tells it with all that is missing
		}
		log("discovery failed", "error", text)
	}
}
