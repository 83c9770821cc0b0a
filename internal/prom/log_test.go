package prom

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/tests/programs"
)

func TestInfoAsDebugLowersInfoOnly(t *testing.T) {
	for level, want := range map[slog.Level][]string{
		slog.LevelInfo:  {"WARN", "ERROR"},
		slog.LevelDebug: {"DEBUG", "DEBUG", "WARN", "ERROR"},
	} {
		var log programs.Buffer
		l := infoAsDebug(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))).With("a", 1).WithGroup("g")
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
