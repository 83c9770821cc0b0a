package prom

import (
	"context"
	"log/slog"
)

// infoAsDebug returns a logger that logs Info records at Debug: Prometheus logs each compaction and checkpoint at Info. Warnings and
// errors are unchanged.
func infoAsDebug(l *slog.Logger) *slog.Logger { return slog.New(infoAsDebugHandler{l.Handler()}) }

type infoAsDebugHandler struct{ next slog.Handler }

func lowered(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}

func (h infoAsDebugHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, lowered(level))
}

func (h infoAsDebugHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lowered(r.Level)
	return h.next.Handle(ctx, r)
}

func (h infoAsDebugHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return infoAsDebugHandler{h.next.WithAttrs(attrs)}
}

func (h infoAsDebugHandler) WithGroup(name string) slog.Handler {
	return infoAsDebugHandler{h.next.WithGroup(name)}
}
