// Package logging makes the program's slog logger.
package logging

import (
	"fmt"
	"io"
	"log" //nolint:depguard // what libraries write there is taken from it
	"log/slog"
	"strings"
)

// KeyComponent is the attribute that names the part of the program a line comes from.
const KeyComponent = "component"

// New returns a logger that writes to w and keeps its last records for Recent. format is "text" or "json", level is debug, info, warn or error.
func New(w io.Writer, format, level string) (*slog.Logger, error) {
	var lv slog.Level
	if err := lv.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: lv}
	switch format {
	case "text":
		return keepRecent(slog.NewTextHandler(w, opts)), nil
	case "json":
		return keepRecent(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log format %q: use text or json", format)
}

// TakeStandard gives logger, at level info, what libraries write to package log: net/http tells there what it can return to nobody, for example
// that the other side spoke before it was asked.
func TakeStandard(logger *slog.Logger) {
	log.SetFlags(0)
	handler := logger.Handler()
	if h, ok := handler.(*recentHandler); ok {
		of := *h
		of.library = true
		handler = &of
	}
	log.SetOutput(slog.NewLogLogger(handler, slog.LevelInfo).Writer())
}

// Flags are the logging flags that every command has, with their kong tags.
type Flags struct {
	Debug     bool   `help:"Log everything, like --log-level=debug." env:"GPUSTACK_DEBUG" group:"Logging"`
	LogLevel  string `help:"Lowest level to log: debug, info, warn or error." default:"info" enum:"debug,info,warn,error" env:"GPUSTACK_LOG_LEVEL" group:"Logging"`
	LogFormat string `help:"Log format: text or json." default:"text" enum:"text,json" env:"GPUSTACK_LOG_FORMAT" group:"Logging"`
}

// Logger returns the logger that the flags describe.
func (f Flags) Logger(w io.Writer) (*slog.Logger, error) {
	level := f.LogLevel
	if f.Debug {
		level = "debug"
	}
	return New(w, f.LogFormat, level)
}
