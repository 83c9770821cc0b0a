package simgrafana

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// logger writes lines as Grafana's console log has them.
type logger struct {
	out  io.Writer
	json bool
}

func newLogger(s settings) logger {
	l := logger{out: io.Discard, json: s.get("log.console", "format") == "json"}
	if strings.Contains(s.get("log", "mode"), "console") {
		l.out = os.Stdout
	}
	return l
}

// line writes one; pairs are names and values.
func (l logger) line(level, name, message string, pairs ...string) {
	now := time.Now().Format(time.RFC3339Nano)
	if !l.json {
		var text strings.Builder
		fmt.Fprintf(&text, "logger=%s t=%s level=%s msg=%q", name, now, level, message)
		for i := 0; i+1 < len(pairs); i += 2 {
			fmt.Fprintf(&text, " %s=%q", pairs[i], pairs[i+1])
		}
		fmt.Fprintln(l.out, text.String())
		return
	}
	fields := map[string]string{"level": level, "logger": name, "msg": message, "t": now}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings can be written
	}
	fmt.Fprintln(l.out, string(text))
}

// fail prints what a Grafana ends with, and returns the exit code.
func fail(err error) int {
	fmt.Fprintf(os.Stderr, "Error: ✗ %v\n", err)
	return 1
}
