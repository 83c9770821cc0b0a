package prom

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// lockedBuffer collects the log of several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestQuieterLowersInfoOnly(t *testing.T) {
	for level, want := range map[slog.Level][]string{
		slog.LevelInfo:  {"WARN", "ERROR"},
		slog.LevelDebug: {"DEBUG", "DEBUG", "WARN", "ERROR"},
	} {
		var log lockedBuffer
		l := quieter(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))).With("a", 1).WithGroup("g")
		l.Debug("x")
		l.Info("compact blocks")
		l.Warn("x")
		l.Error("x")
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != len(want) {
			t.Fatalf("at level %v: got\n%s\nwant lines of %v", level, log.String(), want)
		}
		for i, line := range lines {
			if !strings.Contains(line, "level="+want[i]) || !strings.Contains(line, "a=1") {
				t.Errorf("at level %v, line %d: %q, want level %s and a=1", level, i, line, want[i])
			}
		}
	}
}
