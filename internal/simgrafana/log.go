package simgrafana

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// logger writes lines of Grafana's console log in the format json.
type logger struct{ out io.Writer }

// newLogger returns a logger that is silent unless the settings ask for a console log in the format json.
func newLogger(s settings) logger {
	l := logger{out: io.Discard}
	if strings.Contains(s.get("log", "mode"), "console") && s.get("log.console", "format") == "json" {
		l.out = os.Stdout
	}
	return l
}

// line writes one line; pairs are names and values.
func (l logger) line(level, name, message string, pairs ...string) {
	now := time.Now().Format(time.RFC3339Nano)
	fields := map[string]string{"level": level, "logger": name, "msg": message, "t": now}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i]] = pairs[i+1]
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	fmt.Fprintln(l.out, string(text))
}

// fail prints the error with which Grafana exits, and returns the exit code.
func fail(err error) int {
	fmt.Fprintf(os.Stderr, "Error: ✗ %v\n", err)
	return 1
}
