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

// parseLine parses a line of Grafana's log in the format json, which environment configures. Other lines, such as the output of
// grafana cli or of a Go panic, are kept as text.
func parseLine(line string) entry {
	var fields map[string]any
	if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &fields) == nil {
		return structured(fields)
	}
	line = colour.ReplaceAllString(line, "")
	e := entry{level: slog.LevelDebug, message: oneLine(line, maxMessage), plain: true}
	switch {
	case strings.Contains(line, "✗"), strings.Contains(line, "level=error"),
		slices.ContainsFunc(errorStarts[:], func(s string) bool { return strings.HasPrefix(line, s) }):
		e.level = slog.LevelError
	case strings.Contains(line, "level=warn"): // Grafana's default format, which lines before its configuration is read have
		e.level = slog.LevelWarn
	}
	return e
}

// colour matches terminal colours; grafana cli colours its errors.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// errorStarts are how the output of a failing Go program begins.
var errorStarts = [...]string{"panic:", "fatal error:", "runtime:", "Error:", "Failed to start"}

// structured returns the entry for the fields of a line.
func structured(fields map[string]any) entry {
	e := entry{level: slog.LevelDebug, message: "grafana logged a line without a message"}
	switch fields["level"] {
	case "warn", "warning":
		e.level = slog.LevelWarn
	case "error", "eror", "crit", "critical", "fatal": // eror and crit until 9.5
		e.level = slog.LevelError
	}
	if s, ok := fields["msg"].(string); ok && s != "" {
		e.message = oneLine(s, maxMessage)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch name {
		case "level", "msg", "t", "component":
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
