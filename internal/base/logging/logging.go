// Package logging makes the program's slog logger.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// KeyComponent is the attribute that names the part of the program a line comes from.
const KeyComponent = "component"

// New returns a logger that writes to w. format is "text" or "json", level is debug, info, warn or error.
func New(w io.Writer, format, level string) (*slog.Logger, error) {
	var lv slog.Level
	if err := lv.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: lv}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log format %q: use text or json", format)
}
