package logging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // what libraries write there is taken from it
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/base/logging"
)

func newLogger(tb testing.TB, w io.Writer) *slog.Logger {
	tb.Helper()
	logger, err := logging.New(w, "text", "info")
	if err != nil {
		tb.Fatal(err)
	}
	return logger
}

type hidden struct{}

func (hidden) LogValue() slog.Value { return slog.StringValue("shown instead") }

type broken struct{ *int }

func (b broken) Error() string { return fmt.Sprint(*b.int) }

// chatty is an error that logs when its text is asked for.
type chatty struct{ logger *slog.Logger }

func (c chatty) Error() string {
	c.logger.Info("within")
	return "told"
}

// The text of a value may log itself.
func TestRecentOfValuesThatLog(t *testing.T) {
	logger := newLogger(t, io.Discard)
	logger.Info("around", "error", chatty{logger})
	var messages []string
	for _, r := range logging.Recent(logger) {
		messages = append(messages, r.Message)
	}
	// slog's own handler asks for the text, too.
	if diff := cmp.Diff([]string{"within", "within", "around"}, messages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRecent(t *testing.T) {
	var out bytes.Buffer
	logger := newLogger(t, &out)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	logger.Debug("not logged")
	logger.With("component", "test").WithGroup("inner").With("a", 1).Warn("all kinds",
		"text", "t", "number", uint64(7), "float", 0.5, "yes", true, "no", false, "took", time.Second, "at", at, "error", errors.New("e"),
		"any", []int{1, 2}, "value", hidden{}, slog.Group("deep", "b", -2), "broken", broken{}, "nothing", nil)
	got := logging.Recent(logger)
	if len(got) != 1 || time.Since(got[0].At) > time.Hour {
		t.Fatalf("records: %+v", got)
	}
	got[0].At = time.Time{}
	want := []logging.Record{{Level: slog.LevelWarn, Message: "all kinds", Attrs: []logging.Attr{
		{"component", "test", logging.Text},
		{"inner.a", "1", logging.Number},
		{"inner.text", "t", logging.Text},
		{"inner.number", "7", logging.Number},
		{"inner.float", "0.5", logging.Number},
		{"inner.yes", "true", logging.Bool},
		{"inner.no", "false", logging.Bool},
		{"inner.took", "1s", logging.Duration},
		{"inner.at", "2026-01-02T02:04:05.000000006Z", logging.Time},
		{"inner.error", "e", logging.Text},
		{"inner.any", "[1 2]", logging.Text},
		{"inner.value", "shown instead", logging.Text},
		{"inner.deep.b", "-2", logging.Number},
		{"inner.broken", "an error without a text", logging.Text},
		{"inner.nothing", "<nil>", logging.Text},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text := out.String(); !strings.Contains(text, `msg="all kinds"`) || !strings.Contains(text, "inner.deep.b=-2") {
		t.Errorf("the log itself has %s", text)
	}
	if logging.Recent(nil) != nil || logging.Recent(slog.New(slog.DiscardHandler)) != nil {
		t.Error("a logger of another kind has records")
	}
}

// TestRecentBounds: the last records stay, however many and however large they are.
func TestRecentBounds(t *testing.T) {
	logger := newLogger(t, io.Discard)
	for i := range 5000 {
		logger.Info("a record", "n", i)
	}
	got := logging.Recent(logger)
	if len(got) != 2000 || got[0].Attrs[0].Value != "3000" || got[1999].Attrs[0].Value != "4999" {
		t.Errorf("%d records, the first is %+v", len(got), got[0])
	}
	long := strings.Repeat("ä", 5_000)
	for i := range 1000 {
		logger.Info("a record", "n", i, "long", long, "second", long)
	}
	got = logging.Recent(logger)
	size := 0
	for _, r := range got {
		for _, a := range r.Attrs {
			size += len(a.Value)
			if len(a.Value) > 4096 || strings.ContainsRune(a.Value, '\uFFFD') {
				t.Fatalf("a value of %d bytes", len(a.Value))
			}
		}
	}
	if size > 1<<20 || size < 1<<19 || got[len(got)-1].Attrs[0].Value != "999" {
		t.Errorf("%d bytes in %d records", size, len(got))
	}
	logger.Info("many", slog.Group("g", func() (attrs []any) {
		for i := range 100 {
			attrs = append(attrs, slog.Int(fmt.Sprint("k", i), i))
		}
		return attrs
	}()...))
	if got = logging.Recent(logger); len(got[len(got)-1].Attrs) != 64 {
		t.Errorf("%d attributes", len(got[len(got)-1].Attrs))
	}
}

func TestRecentConcurrently(t *testing.T) {
	logger := newLogger(t, io.Discard)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 500 {
				logger.With("worker", i).Info("a record", "n", n)
				if n%50 == 0 {
					logging.Recent(logger)
				}
			}
		})
	}
	wg.Wait()
	if got := logging.Recent(logger); len(got) != 2000 {
		t.Errorf("%d records", len(got))
	}
}

// TestRecentAllocations: keeping a record needs no memory of its own once others are replaced, and a level that is not logged none at all.
func TestRecentAllocations(t *testing.T) {
	logger := newLogger(t, io.Discard)
	plain := slog.New(slog.NewTextHandler(io.Discard, nil)) //nolint:sloglint // it encodes, as ours does
	ctx, err := context.Background(), errors.New("refused")
	record := func(l *slog.Logger) func() {
		return func() {
			l.LogAttrs(ctx, slog.LevelInfo, "a record", slog.String("component", "test"), slog.Int("n", 5), slog.Duration("took", time.Second), slog.Any("error", err))
		}
	}
	for range 2100 {
		record(logger)()
	}
	runtime.GC()
	alone, kept := testing.AllocsPerRun(500, record(plain)), testing.AllocsPerRun(500, record(logger))
	if kept > alone {
		t.Errorf("%v allocations, %v without keeping it", kept, alone)
	}
	if n := testing.AllocsPerRun(500, func() { logger.LogAttrs(ctx, slog.LevelDebug, "a record", slog.Int("n", 5)) }); n != 0 {
		t.Errorf("%v allocations of a level that is not logged", n)
	}
}

// TestRecentOfLibraries: what a library wrote is no message of ours.
func TestRecentOfLibraries(t *testing.T) {
	flags, before := log.Flags(), log.Writer()
	t.Cleanup(func() { log.SetFlags(flags); log.SetOutput(before) })
	var out bytes.Buffer
	logger := newLogger(t, &out)
	logging.TakeStandard(logger)
	log.Print("http: TLS handshake error from 10.0.0.7:4711: EOF")
	got := logging.Recent(logger)
	if len(got) != 1 || got[0].Message != logging.MessageLibrary || got[0].Attrs[0].Value != "http: TLS handshake error from 10.0.0.7:4711: EOF" {
		t.Errorf("records: %+v", got)
	}
	if !strings.Contains(out.String(), `msg="http: TLS handshake`) {
		t.Errorf("logged %s", out.String())
	}
}

func BenchmarkRecent(b *testing.B) {
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("kept=%t", kept), func(b *testing.B) {
			logger := slog.New(slog.NewTextHandler(io.Discard, nil)) //nolint:sloglint // it encodes, as ours does
			if kept {
				logger = newLogger(b, io.Discard)
			}
			logger = logger.With("component", "bench")
			b.ReportAllocs()
			for b.Loop() {
				logger.LogAttrs(b.Context(), slog.LevelInfo, "a record", slog.String("engine", "vllm-0"), slog.Int("n", 5), slog.Duration("took", time.Second))
			}
		})
	}
}
