package wire

import (
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/logging"
)

// SettingsOf returns the flags of a command as bodies have them.
func SettingsOf(list []command.Setting) []Setting {
	out := make([]Setting, len(list))
	for i, s := range list {
		out[i] = Setting{Flag: s.Flag, Value: s.Value, Secret: s.Secret, Source: s.Source}
	}
	return out
}

// LogRecordsOf returns records of the log as bodies have them.
func LogRecordsOf(list []logging.Record) []LogRecord {
	out := make([]LogRecord, len(list))
	for i := range list {
		r := &list[i]
		out[i] = LogRecord{At: r.At, Level: r.Level.String(), Message: r.Message}
		for _, a := range r.Attrs {
			out[i].Attrs = append(out[i].Attrs, LogAttr{Key: a.Key, Value: a.Value, Kind: string(a.Kind)})
		}
	}
	return out
}
