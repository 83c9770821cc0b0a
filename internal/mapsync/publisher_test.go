package mapsync_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapsync"
)

func publish(t *testing.T, p *mapsync.Publisher, text string) mapsync.Result {
	t.Helper()
	res, err := p.Publish(t.Context(), decode(t, text), mapsync.Change{IfGeneration: mapsync.AnyGeneration})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestPublisherNumbersChangesOnly(t *testing.T) {
	store := &memStore{}
	p := newPublisher(t, store)
	if g := p.Current(); g.Number != 0 || !g.Default || string(g.Document) != string(p.Builtin()) || len(p.Builtin()) == 0 {
		t.Fatalf("at first: generation %d, default %t, %d bytes", g.Number, g.Default, len(g.Document))
	}
	step := func(name string, res mapsync.Result, number int64, isDefault, changed bool, doc string) {
		t.Helper()
		g := res.Generation
		if g.Number != number || g.Default != isDefault || res.Changed != changed || string(g.Document) != doc {
			t.Errorf("%s: generation %d, default %t, changed %t, %s", name, g.Number, g.Default, res.Changed, g.Document)
		}
		if cur := p.Current(); cur.Number != number {
			t.Errorf("%s: current is %d", name, cur.Number)
		}
	}
	reset := func() mapsync.Result {
		t.Helper()
		res, err := p.Reset(t.Context(), mapsync.Change{IfGeneration: mapsync.AnyGeneration})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	builtin := string(p.Builtin())
	step("reset of the default", reset(), 0, true, false, builtin)
	step("the default posted", publish(t, p, builtin), 0, true, false, builtin)
	step("first change", publish(t, p, customA), 1, false, true, customA)
	step("the same with spaces", publish(t, p, " "+strings.ReplaceAll(customA, ",", " ,\n")), 1, false, false, customA)
	step("second change", publish(t, p, customB), 2, false, true, customB)
	step("back to the first", publish(t, p, customA), 3, false, true, customA)
	step("reset", reset(), 4, true, true, builtin)
	step("second reset", reset(), 4, true, false, builtin)
	if len(store.gens) != 4 || store.gens[3].Document != nil {
		t.Errorf("store has %d generations", len(store.gens))
	}
	again := newPublisher(t, store)
	if diff := cmp.Diff(p.Current(), again.Current()); diff != "" {
		t.Errorf("after a restart:\n%s", diff)
	}
}

func TestPublisherKeepsTheOldOneOnFailure(t *testing.T) {
	store := &memStore{}
	p := newPublisher(t, store)
	publish(t, p, customA)
	notices, cancel := p.Subscribe()
	defer cancel()

	if _, err := p.Publish(t.Context(), decode(t, customB), mapsync.Change{}); !errors.Is(err, mapsync.ErrGeneration) || !strings.Contains(err.Error(), "1, not 0") {
		t.Errorf("wrong condition: %v", err)
	}
	if _, err := p.Reset(t.Context(), mapsync.Change{}); !errors.Is(err, mapsync.ErrGeneration) || !strings.Contains(err.Error(), "1, not 0") {
		t.Errorf("reset under a wrong condition: %v", err)
	}
	store.fail = errors.New("disk full")
	if _, err := p.Reset(t.Context(), mapsync.Change{IfGeneration: 1}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("store fails at a reset: %v", err)
	}
	if _, err := p.Publish(t.Context(), decode(t, customB), mapsync.Change{IfGeneration: 1}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("store fails: %v", err)
	}
	if _, err := mapsync.NewPublisher(t.Context(), mapsync.PublisherOptions{Store: store}); err == nil {
		t.Error("a store that cannot be read makes a publisher")
	}
	store.fail = nil
	if _, err := p.Publish(t.Context(), decode(t, largest()), mapsync.Change{IfGeneration: 1}); err != nil {
		t.Errorf("the largest document is refused: %.100s", err)
	}
	<-notices
	if len(notices) != 0 || p.Current().Number != 2 {
		t.Errorf("generation %d, %d notices", p.Current().Number, len(notices))
	}
}

func TestPublishGoesOnWhenItsCallerLeaves(t *testing.T) {
	p := newPublisher(t, &memStore{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Publish(ctx, decode(t, customA), mapsync.Change{IfGeneration: mapsync.AnyGeneration}); err != nil || p.Current().Number != 1 {
		t.Errorf("generation %d, %v", p.Current().Number, err)
	}
}

// hungStore answers no write before it is given up.
type hungStore struct{ memStore }

func (*hungStore) AppendGeneration(ctx context.Context, _ []byte, _ time.Time, _ mapsync.Note) (mapsync.Generation, error) {
	<-ctx.Done()
	return mapsync.Generation{}, ctx.Err()
}

// A store that hangs is given up, so that the next change is not behind it for ever.
func TestPublishGivesAHungStoreUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(t, &hungStore{})
		for range 2 {
			if _, err := p.Publish(t.Context(), decode(t, customA), mapsync.Change{IfGeneration: mapsync.AnyGeneration}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("publish: %v", err)
			}
			if _, err := p.Reset(t.Context(), mapsync.Change{}); err != nil { // nothing to store
				t.Errorf("reset: %v", err)
			}
		}
		if g := p.Current(); g.Number != 0 || !g.Default {
			t.Errorf("generation %d is active", g.Number)
		}
	})
}

// Conditions hold for a reset as for a document.
func TestResetUnderACondition(t *testing.T) {
	p := newPublisher(t, &memStore{})
	publish(t, p, customA)
	publish(t, p, customB)
	for _, condition := range []int64{0, 1, 3} {
		if res, err := p.Reset(t.Context(), mapsync.Change{IfGeneration: condition}); !errors.Is(err, mapsync.ErrGeneration) || res.Changed {
			t.Errorf("if generation %d: %+v, %v", condition, res, err)
		}
	}
	if g := p.Current(); g.Number != 2 || g.Default || string(g.Document) != customB {
		t.Errorf("generation %d is active, default %t", g.Number, g.Default)
	}
	if res, err := p.Reset(t.Context(), mapsync.Change{IfGeneration: 2}); err != nil || !res.Changed || res.Generation.Number != 3 || !res.Generation.Default {
		t.Errorf("if generation 2: %+v, %v", res.Generation.Number, err)
	}
}

func TestSubscribersNeverMissTheNewestAndNeverBlock(t *testing.T) {
	p := newPublisher(t, &memStore{})
	slow, cancelSlow := p.Subscribe()
	fast, cancelFast := p.Subscribe()
	defer cancelSlow()
	var wg sync.WaitGroup
	var last int64
	wg.Go(func() {
		for range fast {
			last = p.Current().Number
		}
	})
	for i := range 20 {
		text := customA
		if i%2 == 1 {
			text = customB
		}
		if res := publish(t, p, text); res.Notified != 2 {
			t.Errorf("notified %d", res.Notified)
		}
	}
	if <-slow; p.Current().Number != 20 || len(slow) != 0 {
		t.Errorf("slow subscriber finds %d and %d more notices", p.Current().Number, len(slow))
	}
	cancelFast()
	cancelFast() // twice is harmless
	wg.Wait()
	if last != 20 && last != 19 { // the last notice may be what cancel cut off
		t.Errorf("fast subscriber saw %d", last)
	}
	if res := publish(t, p, customA); res.Notified != 1 {
		t.Errorf("notified %d after one left", res.Notified)
	}
}

var update = flag.Bool("update", false, "rewrite golden files")

func TestPublisherMetrics(t *testing.T) {
	p := newPublisher(t, &memStore{})
	_, cancel := p.Subscribe()
	defer cancel()
	taken, cancelTaken := p.Subscribe()
	defer cancelTaken()
	publish(t, p, customA)
	<-taken
	publish(t, p, customB)
	publish(t, p, customB)
	<-taken
	if _, err := p.Reset(t.Context(), mapsync.Change{IfGeneration: mapsync.AnyGeneration}); err != nil {
		t.Fatal(err)
	}
	<-taken
	var w exposition.Writer
	p.WriteMetrics(&w)
	const golden = "testdata/publisher.metrics"
	if *update {
		if err := os.WriteFile(golden, w.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(w.Bytes())); diff != "" {
		t.Errorf("(-want +got; rewrite with -update):\n%s", diff)
	}
}

func metricsOf(p *mapsync.Publisher) string {
	var w exposition.Writer
	p.WriteMetrics(&w)
	return string(w.Bytes())
}

// A generation that cannot be used is passed over. The one before it is active under its own number, so that a worker with the
// other one gets this one, and every requested change becomes a new generation.
func TestPublisherPassesOverWhatItCannotUse(t *testing.T) {
	damaged := []string{"", "not json", "[1]", "\xff\x00", `{"runtime_mapping":`, `{"runtime_mapping":{"vLLM":{"*":{"vllm:b":{"of_a_newer":"version"}}}},"gpustack_metrics":{}}`, strings.Repeat(" ", 5<<20)}
	for _, text := range damaged {
		store := &memStore{}
		p := newPublisher(t, store)
		publish(t, p, customA)
		publish(t, p, customB)
		publish(t, p, customA)
		for k := range store.gens[1:] {
			store.gens[1+k].Document = []byte(text)
		}
		var log strings.Builder
		p, err := mapsync.NewPublisher(t.Context(), mapsync.PublisherOptions{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if g := p.Current(); g.Number != 1 || g.Default || string(g.Document) != customA {
			t.Errorf("%.20q: generation %d, default %v: %.100s", text, g.Number, g.Default, g.Document)
		}
		for _, want := range []string{"level=ERROR", "generation=3", "generation=2", "passed_over=2"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%.20q: the log lacks %q: %s", text, want, log.String())
			}
		}
		if page := metricsOf(p); !strings.Contains(page, "stackscope_metrics_config_passed_over_generations 2\n") {
			t.Errorf("metrics:\n%s", page)
		}
		// The same document again is how an operator keeps it.
		res := publish(t, p, customA)
		if !res.Changed || res.Generation.Number != 4 {
			t.Errorf("%.20q: posted again: %+v", text, res)
		}
		if page := metricsOf(p); !strings.Contains(page, "stackscope_metrics_config_passed_over_generations 0\n") {
			t.Errorf("metrics:\n%s", page)
		}
		if res := publish(t, newPublisher(t, store), customA); res.Changed || res.Generation.Number != 4 {
			t.Errorf("%.20q: after a restart: %+v", text, res)
		}
	}
}

func TestPublisherWithNothingItCanUse(t *testing.T) {
	store := &memStore{}
	publish(t, newPublisher(t, store), customA)
	store.gens[0].Document = []byte("{")
	var log strings.Builder
	p, err := mapsync.NewPublisher(t.Context(), mapsync.PublisherOptions{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if g := p.Current(); g.Number != 0 || !g.Default || string(g.Document) != string(p.Builtin()) {
		t.Errorf("generation %d, default %v", g.Number, g.Default)
	}
	if !strings.Contains(log.String(), "built-in default is active") {
		t.Errorf("log: %s", log.String())
	}
	res, err := p.Reset(t.Context(), mapsync.Change{IfGeneration: mapsync.AnyGeneration})
	if err != nil || !res.Changed || res.Generation.Number != 2 {
		t.Errorf("reset: %+v, %v", res, err)
	}
}
