package grafana

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits on what is copied from Grafana's output.
const (
	maxLine      = 16 << 10 // bytes; the rest of a longer line is dropped
	maxMessage   = 1000     // runes of a message or a value
	maxReason    = 300      // runes
	maxAlerts    = 50       // warnings and errors in alertWindow
	alertWindow  = 10 * time.Second
	recentReason = 10 * time.Second // an older error does not explain why the process ended
)

// output copies Grafana's log to ours, line by line. Levels stay, except that info becomes debug: most of it only concerns Grafana.
// Until Grafana answers, warnings and "database is locked" become debug too. The last lines explain why Grafana ended.
type output struct {
	handler slog.Handler
	secrets *strings.Replacer
	now     func() time.Time

	mu        sync.Mutex
	answers   bool // before that, Grafana warns about its own defaults and about migrations of earlier starts
	line      []byte
	window    time.Time
	alerts    int // warnings and errors in the window
	dropped   int
	cliError  string // the error of grafana cli
	lastError string
	errorAt   time.Time
	lastPlain string
}

func newOutput(h slog.Handler, secrets *strings.Replacer) *output {
	return &output{handler: h, secrets: secrets, now: time.Now}
}

// secrets replaces our credentials in Grafana's log. Short ones are not replaced: they may be ordinary words.
func (g *Grafana) secrets() *strings.Replacer {
	var pairs []string
	for _, s := range append([]string{g.password, g.opts.PrometheusToken}, g.opts.Tokens...) {
		if len(s) < 8 {
			continue
		}
		pairs = append(pairs, s, "[hidden]")
		if quoted := strconv.Quote(s); quoted[1:len(quoted)-1] != s {
			pairs = append(pairs, quoted[1:len(quoted)-1], "[hidden]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// Write implements io.Writer. It never fails, so that a fault of the log does not stop Grafana.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		o.line = append(o.line, part[:min(len(part), maxLine-len(o.line))]...)
		if end < 0 {
			return n, nil
		}
		o.take(string(o.line))
		o.line = o.line[:0]
		p = p[end+1:]
	}
}

var _ io.Writer = (*output)(nil)

// setAnswers records that Grafana answers. From then on warnings keep their level.
func (o *output) setAnswers() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = true
}

// take logs one line.
func (o *output) take(line string) {
	line = strings.TrimSpace(strings.ToValidUTF8(o.secrets.Replace(line), string(utf8.RuneError)))
	if line == "" {
		return
	}
	e := parseLine(line)
	now := o.now()
	if e.level >= slog.LevelError && !strings.Contains(e.text(), "context canceled") { // while Grafana stops, canceled requests fail: they explain nothing
		o.lastError, o.errorAt = e.text(), now
	}
	if e.plain {
		o.lastPlain = e.message
		if _, message, ok := strings.Cut(e.message, "✗ "); ok {
			o.cliError = message
		}
	}
	if !o.answers && (e.level == slog.LevelWarn || strings.Contains(e.text(), "database is locked")) {
		e.level = slog.LevelDebug
	}
	o.log(now, e)
}

// log writes the entry. Of warnings and errors it writes the first 50 in 10 s and counts the rest, so that a hundred users whose
// queries fail do not flood the log.
func (o *output) log(now time.Time, e entry) {
	ctx := context.Background()
	if !o.handler.Enabled(ctx, e.level) {
		return
	}
	if e.level >= slog.LevelWarn {
		if now.Sub(o.window) >= alertWindow {
			if o.dropped > 0 {
				r := slog.NewRecord(now, slog.LevelWarn, "lines of grafana's log were dropped", 0)
				r.AddAttrs(slog.Int("lines", o.dropped))
				_ = o.handler.Handle(ctx, r)
			}
			o.window, o.alerts, o.dropped = now, 0, 0
		}
		if o.alerts++; o.alerts > maxAlerts {
			o.dropped++
			return
		}
	}
	r := slog.NewRecord(now, e.level, e.message, 0)
	r.AddAttrs(e.attrs...)
	_ = o.handler.Handle(ctx, r)
}

// reason returns, on one line, why the process ended with err.
func (o *output) reason(err error) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.line) > 0 {
		o.take(string(o.line))
		o.line = o.line[:0]
	}
	exit, exited := errors.AsType[*exec.ExitError](err)
	how := "it ended by itself"
	switch {
	case exited && !exit.Exited():
		return "it was killed (" + exit.Error() + ")" // by the kernel, which was out of memory, or by a user
	case exited:
		how = exit.Error()
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		how = err.Error()
	}
	switch {
	case o.cliError != "":
		return oneLine(o.cliError, maxReason)
	case o.lastError != "" && o.now().Sub(o.errorAt) < recentReason:
		return oneLine(o.lastError, maxReason)
	case o.lastPlain != "" && err != nil:
		return oneLine(fmt.Sprintf("%s; its last output: %s", how, o.lastPlain), maxReason)
	}
	return how
}

// entry is a line of Grafana's log.
type entry struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
	plain   bool // a line that is not JSON
}

// text returns the message with the error.
func (e entry) text() string {
	for _, name := range []string{"error", "err", "reason"} {
		if i := slices.IndexFunc(e.attrs, func(a slog.Attr) bool { return a.Key == name }); i >= 0 {
			return e.message + ": " + e.attrs[i].Value.String()
		}
	}
	return e.message
}

// oneLine makes s one line of at most limit runes.
func oneLine(s string, limit int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit-1]) + "…"
}
