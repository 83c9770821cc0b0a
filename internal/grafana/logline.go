package grafana

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const maxAttrs = 20

// colour is what terminals colour text by.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// parseLine understands a line of Grafana's in its formats json, text (logfmt) and console, and what other programs print.
func parseLine(line string) entry {
	line = colour.ReplaceAllString(line, "")
	if strings.HasPrefix(line, "{") {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err == nil {
			return structured(fields)
		}
	}
	if fields, ok := parseLogfmt(line); ok {
		return structured(fields)
	}
	if m := consoleLine.FindStringSubmatch(line); m != nil {
		return entry{level: levelOf(m[1]), message: oneLine(m[2], maxMessage)}
	}
	e := entry{level: slog.LevelDebug, message: oneLine(line, maxMessage), plain: true}
	if strings.Contains(line, "✗") || slices.ContainsFunc(loudStarts[:], func(s string) bool { return strings.HasPrefix(line, s) }) {
		e.level = slog.LevelError
	}
	return e
}

// consoleLine is such as `WARN [11-23|21:55:34] message  logger=x`.
var consoleLine = regexp.MustCompile(`^([A-Z]{4,5})\s*\[[0-9-]+\|[0-9:]+\]\s*(.+)$`)

// loudStarts begin what a Go program prints when it dies.
var loudStarts = [...]string{"panic:", "fatal error:", "runtime:", "Error:", "Failed to start"}

func levelOf(s string) slog.Level {
	switch strings.ToLower(s) {
	case "warn", "warning":
		return slog.LevelWarn
	case "eror", "error", "crit", "critical", "fatal", "panic", "alert", "emerg":
		return slog.LevelError
	}
	return slog.LevelDebug
}

// structured makes an entry of a line's fields.
func structured(fields map[string]any) entry {
	var e entry
	for _, name := range []string{"lvl", "level"} {
		if s, ok := fields[name].(string); ok {
			e.level = levelOf(s)
		} else {
			e.level = max(e.level, slog.LevelDebug)
		}
	}
	for _, name := range []string{"message", "msg"} {
		if s, ok := fields[name].(string); ok {
			e.message = oneLine(s, maxMessage)
		}
	}
	if e.message == "" {
		e.message = "grafana says nothing but values"
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "lvl", "level", "msg", "message", "t", "ts", "time", "timestamp", "component":
			continue
		}
		if fields[name] == nil {
			continue
		}
		if len(e.attrs) == maxAttrs {
			break
		}
		value := "[hidden]"
		if !secretName.MatchString(name) {
			value = oneLine(text(fields[name]), maxMessage)
		}
		e.attrs = append(e.attrs, slog.String(oneLine(name, 100), value))
	}
	return e
}

var secretName = regexp.MustCompile(`(?i)passw|secret|token|cookie|authorization|api.?key`)

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case map[string]any, []any:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(b)
	}
	return fmt.Sprint(v)
}

var logfmtPair = regexp.MustCompile(`^([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?:\s+|$)`)

// parseLogfmt parses a line of key=value pairs that has a level and a message.
func parseLogfmt(line string) (map[string]any, bool) {
	fields := map[string]any{}
	for line != "" {
		m := logfmtPair.FindStringSubmatch(line)
		if m == nil {
			return nil, false
		}
		value := m[2]
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		fields[m[1]] = value
		line = line[len(m[0]):]
	}
	_, level := fields["level"]
	_, lvl := fields["lvl"]
	_, msg := fields["msg"]
	return fields, (level || lvl) && msg
}
