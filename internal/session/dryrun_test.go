package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// A dry run is answered with the worker's membership and changes no mapping; an error is an answer too.
func TestDryRunIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		fails := func(context.Context, *mapping.Compiled, time.Time) ([]exporter.DryRunResult, int64, error) {
			return nil, 0, errors.New(strings.Repeat("long ", 1000))
		}
		for name, c := range map[string]struct {
			run       DryRunFunc
			ev        wire.DryRunEvent
			instances int
			want      string
		}{
			"works":           {answerWith(2, time.Second), wire.DryRunEvent{Default: true}, 2, ""},
			"bad document":    {answerWith(2, 0), wire.DryRunEvent{Document: json.RawMessage(`{"bad":1}`)}, 0, "would refuse the mapping"},
			"fails":           {fails, wire.DryRunEvent{Default: true}, 0, "long long"},
			"without metrics": {nil, wire.DryRunEvent{Default: true}, 0, "serves no metrics"},
		} {
			w, log, end := connect(t, r, func(o *Options) { o.DryRun = c.run })
			c.ev.ID, c.ev.TimeoutMillis = name, 8000
			r.dryRuns <- c.ev
			time.Sleep(2 * time.Second)
			r.set(func(r *remote) {
				got, ok := r.answered[name]
				if !ok || len(got.Instances) != c.instances || got.Instances == nil || !strings.Contains(got.Error, c.want) || (c.want == "") != (got.Error == "") {
					t.Errorf("%s: %t, %+v\n%s", name, ok, got, log)
				}
				if len(got.Error) > maxErrorBytes+len("...") {
					t.Errorf("%s: its error has %d bytes", name, len(got.Error))
				}
				if m := r.members[len(r.members)-1]; m != (Membership{7, credential}) {
					t.Errorf("%s: answered as %+v", name, m)
				}
			})
			synctest.Wait()
			if len(w.applied) != 1 {
				t.Errorf("%s: mappings %+v were applied", name, w.applied)
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	})
}

// Dry runs beyond the slots are skipped, and a slot is free again when its dry run has ended.
func TestDryRunSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		_, log, _ := connect(t, r, func(o *Options) { o.DryRun = answerWith(1, 5*time.Second) })
		for round := range 2 {
			for i := range maxDryRuns + 2 {
				r.dryRuns <- wire.DryRunEvent{ID: fmt.Sprint(round, "-", i), TimeoutMillis: 8000, Default: true}
			}
			time.Sleep(6 * time.Second)
			r.set(func(r *remote) {
				if len(r.answered) != (round+1)*maxDryRuns {
					t.Errorf("round %d: %d answers", round, len(r.answered))
				}
			})
		}
		if n := strings.Count(log.String(), "dry run is skipped"); n != 4 {
			t.Errorf("%d were skipped, want 4", n)
		}
	})
}

// Pages have a part of the server's time, the answer the rest. No server makes a dry run last longer than maxTimeout.
func TestDryRunDeadline(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{10 * time.Second: 8 * time.Second, time.Hour: 48 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote()
			var pages, all time.Duration
			_, _, _ = connect(t, r, func(o *Options) {
				o.DryRun = func(ctx context.Context, _ *mapping.Compiled, deadline time.Time) ([]exporter.DryRunResult, int64, error) {
					end, _ := ctx.Deadline()
					pages, all = time.Until(deadline), time.Until(end)
					<-ctx.Done() // an engine that hangs
					return nil, 0, ctx.Err()
				}
			})
			r.dryRuns <- wire.DryRunEvent{ID: "x", TimeoutMillis: asked.Milliseconds(), Default: true}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if pages != want || all != want*5/4 {
				t.Errorf("of %s: %s for pages and %s in all", asked, pages, all)
			}
		})
	}
}

// A session that ends does not wait for the engines of a dry run.
func TestDryRunDoesNotDelayTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		_, _, end := connect(t, r, func(o *Options) { o.DryRun = answerWith(1, time.Hour) })
		r.dryRuns <- wire.DryRunEvent{ID: "x", TimeoutMillis: 60_000, Default: true}
		synctest.Wait()
		began := time.Now()
		if err := end(); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
