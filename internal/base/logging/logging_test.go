package logging_test

import (
	"encoding/json"
	"log" //nolint:depguard // what libraries write there is taken from it
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/logging"
)

func TestFlags(t *testing.T) {
	var out strings.Builder
	logger, err := logging.Flags{LogLevel: "warn", LogFormat: "json"}.Logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("quiet")
	logger.Warn("loud", logging.KeyComponent, "test")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"component":"test"`) {
		t.Errorf("logged %s", got)
	}
	out.Reset()
	logger, err = logging.Flags{Debug: true, LogLevel: "warn", LogFormat: "text"}.Logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	logger.Debug("now heard")
	if !strings.Contains(out.String(), "now heard") {
		t.Error("--debug does not log everything")
	}
	for _, bad := range []logging.Flags{{LogLevel: "loud", LogFormat: "text"}, {LogLevel: "info", LogFormat: "xml"}} {
		if _, err := bad.Logger(&out); err == nil || !strings.Contains(err.Error(), "use ") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestStandardLog: a line of package log is one of the log, in its format.
func TestStandardLog(t *testing.T) {
	flags, before := log.Flags(), log.Writer()
	t.Cleanup(func() { log.SetFlags(flags); log.SetOutput(before) })
	var out strings.Builder
	logger, err := logging.New(&out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	logging.TakeStandard(logger)
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q", "SSH-2.0\r\n")
	var line struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil || line.Level != "INFO" || !strings.HasPrefix(line.Msg, "Unsolicited response") {
		t.Errorf("logged %q: %v", out.String(), err)
	}
}
