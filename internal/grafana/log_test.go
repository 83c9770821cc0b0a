package grafana

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/simgrafana"
)

// testOutput returns an output, what it logs (without times) and a clock for it.
func testOutput(level slog.Level, secrets ...string) (*output, *strings.Builder, *time.Time) {
	var text strings.Builder
	handler := slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	g := &Grafana{opts: Options{Tokens: secrets}}
	o := newOutput(slog.New(handler).With(logging.KeyComponent, "grafana").Handler(), g.secrets())
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o.now = func() time.Time { return now }
	o.setAnswers()
	return o, &text, &now
}

func TestLogLines(t *testing.T) {
	o, text, _ := testOutput(slog.LevelDebug, "very-secret-token", `quo"ted-secret`)
	for _, line := range []string{
		`{"level":"info","logger":"settings","msg":"Starting Grafana","t":"2026-11-23T21:55:34Z","version":"10.0.0"}`,
		`{"level":"warn","logger":"local.finder","msg":"Skipping","path":"/p","performed":485,"ok":true,"more":{"a":1},"none":null}`,
		`{"level":"error","msg":"two\nlines","error":"e"}`,
		`{"level":"info","msg":"login","password":"abc","X-Api-Key":"k","authToken":"t"}`,
		`{"level":"info","msg":"says very-secret-token and quo\"ted-secret"}`,
		`{"level":"info"}`,
		`{"broken`,
		`{"level":"error","logger":"server","msg":"Stopped \"it\"","reason":"none"}`,
		`logger=server level=error msg="in another format"`,
		`key=value but no log line`,
		"\x1b[31mEROR\x1b[0m[11-23|21:55:34] coloured",
		`Grafana server is running with elevated privileges. This is not recommended`,
		"Error: ✗ the end",
		"\x1b[31mError\x1b[0m: \x1b[31m✗\x1b[0m the coloured end",
		"panic: runtime error: index out of range",
		"goroutine 1 [running]:",
		"\xff\xfe bytes",
		"   ",
		"windows line end\r",
		"long " + strings.Repeat("x", 100_000),
	} {
		fmt.Fprintln(o, line)
	}
	golden(t, "log.txt", text.String())
	text.Reset()
	o.answers = false
	fmt.Fprintln(o, `{"level":"warn","msg":"while it starts"}`)
	fmt.Fprintln(o, `{"level":"error","msg":"Stopped secret migration service","reason":"database is locked"}`)
	if strings.Count(text.String(), "level=DEBUG") != 2 {
		t.Errorf("noise before Grafana answers: %s", text)
	}
	if strings.Contains(text.String(), "ted-secret") {
		t.Error("a secret is in the log")
	}
}

func TestLinesInPieces(t *testing.T) {
	o, text, _ := testOutput(slog.LevelDebug)
	for _, piece := range []string{"he", "llo", "\nwor", "ld\n\nlast"} {
		if n, err := o.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if got := text.String(); got != "level=DEBUG msg=hello component=grafana\nlevel=DEBUG msg=world component=grafana\n" {
		t.Errorf("logged %q", got)
	}
	if got := o.reason(errors.New("exit status 1")); got != "exit status 1; its last output: last" {
		t.Errorf("reason %q", got)
	}
}

func TestInfoIsQuietAndFloodsAreCut(t *testing.T) {
	o, text, now := testOutput(slog.LevelInfo)
	for range 3 * maxAlerts {
		fmt.Fprintln(o, `{"level":"info","msg":"quiet"}`)
		fmt.Fprintln(o, `{"level":"error","msg":"loud"}`)
	}
	if n := strings.Count(text.String(), "msg=loud"); n != maxAlerts || strings.Contains(text.String(), "quiet") {
		t.Errorf("%d of %d lines", n, 3*maxAlerts)
	}
	*now = now.Add(alertWindow)
	fmt.Fprintln(o, `{"level":"error","msg":"later"}`)
	if got := text.String(); !strings.Contains(got, fmt.Sprintf("lines=%d", 2*maxAlerts)) || !strings.Contains(got, "msg=later") {
		t.Errorf("logged %s", got[len(got)-200:])
	}
}

func TestReasonOfAnEnd(t *testing.T) {
	failed := exec.CommandContext(context.Background(), "false").Run()
	const old, fresh = `{"level":"error","msg":"query failed","error":"timeout"}`, `{"level":"error","msg":"no table","err":"gone"}`
	for _, c := range []struct {
		name  string
		lines []string
		after time.Duration
		err   error
		want  string
	}{
		{"command line", []string{fresh, "Error: ✗ the listener has no certificate"}, 0, failed, "the listener has no certificate"},
		{"error", []string{old, fresh, `{"level":"error","msg":"late","error":"context canceled"}`}, 0, failed, "no table: gone"},
		{"old error", []string{old}, time.Minute, failed, "exit status 1"},
		{"plain", []string{"Segmentation fault"}, 0, failed, "exit status 1; its last output: Segmentation fault"},
		{"nothing", nil, 0, failed, "exit status 1"},
		{"in peace", []string{"bye"}, 0, nil, "it ended by itself"},
		{"pipe held", nil, 0, exec.ErrWaitDelay, "it ended by itself"},
	} {
		o, _, now := testOutput(slog.LevelInfo)
		for _, line := range c.lines {
			fmt.Fprintln(o, line)
		}
		*now = now.Add(c.after)
		if got := o.reason(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A line without an end must not fill the memory, and what comes after it is whole.
func TestLineWithoutEndIsBounded(t *testing.T) {
	o, text, _ := testOutput(slog.LevelDebug)
	const pieces = 4096
	piece := []byte(strings.Repeat("x", maxLine))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range pieces {
		if n, err := o.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	runtime.ReadMemStats(&after)
	if took, said := after.TotalAlloc-before.TotalAlloc, uint64(pieces*len(piece)); took > said/10 {
		t.Errorf("%d bytes of memory for a line of %d", took, said)
	}
	fmt.Fprintln(o, "\nthe next")
	if got := text.String(); strings.Count(got, "\n") != 2 || !strings.HasPrefix(got, "level=DEBUG msg=xxx") || !strings.HasSuffix(got, `msg="the next" component=grafana`+"\n") {
		t.Errorf("logged %q", got)
	}
}

// Once Grafana answers, its warnings are warnings.
func TestWarningsOfOneThatRuns(t *testing.T) {
	g, lines := newFake(t, simgrafana.Play{})
	run(t, g)
	pid := 0
	for _, warning := range []string{"the first is short of memory", "the second is short of memory"} {
		simgrafana.Set(t, g.opts.Home, simgrafana.Play{})
		s := await(t, g, "running", func(s Status) bool { return running(s) && s.PID != pid })
		simgrafana.Set(t, g.opts.Home, simgrafana.Play{Warns: warning})
		if line := awaitLine(t, lines, warning); !strings.Contains(line, "level=WARN") {
			t.Errorf("logged %s", line)
		}
		pid = s.PID
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}
