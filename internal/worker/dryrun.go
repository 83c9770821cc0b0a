package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of dry runs.
const (
	maxTries = 4 // at a time; a server has no more
	// maxTryTime bounds what a server may ask for.
	maxTryTime = time.Minute
	// enginesShare of the time that the server waits is the engines', the rest is for the work and the answer.
	enginesShare = 0.8
	maxTryBytes  = 1 << 20
	// Of a text that is for people.
	maxTryError, maxTryHelp = 512, 300
	// maxTryFamilies is how many families are listed for an instance.
	maxTryFamilies = 500
)

var (
	errManyTries = errors.New("the worker has enough dry runs under way")
	errNoMetrics = errors.New("the worker serves no metrics")
)

// tries are the dry runs under way. They do not hold up the stream that asks for them.
type tries struct {
	link     *link
	own      *client.Client
	workerID int64
	slots    chan struct{}
	running  sync.WaitGroup
}

func newTries(l *link, own *client.Client, workerID int64) *tries {
	return &tries{link: l, own: own, workerID: workerID, slots: make(chan struct{}, maxTries)}
}

// wait waits for those under way, which end with the context that they were begun with.
func (t *tries) wait() { t.running.Wait() }

// begin tries a mapping and answers the server, whatever comes of it.
func (t *tries) begin(ctx context.Context, ev wire.DryRunEvent) {
	began := time.Now()
	wait := min(time.Duration(ev.TimeoutMillis)*time.Millisecond, maxTryTime)
	select {
	case t.slots <- struct{}{}:
	default:
		t.link.logger.Warn("dry run is left out", "error", errManyTries)
		return
	}
	t.running.Go(func() {
		defer func() { <-t.slots }()
		ctx, cancel := context.WithDeadline(ctx, began.Add(wait))
		defer cancel()
		result, err := t.link.w.try(ctx, ev, began.Add(time.Duration(enginesShare*float64(wait))))
		if err != nil {
			_, generation := t.link.w.follower.Current()
			result = wire.DryRunResult{Generation: generation, Error: clip(err.Error(), maxTryError), Instances: []wire.InstanceDryRun{}}
		}
		if err := t.own.AnswerDryRun(ctx, t.workerID, ev.ID, result); err != nil && ctx.Err() == nil {
			t.link.logger.Warn("dry run is not answered", "error", err)
		}
	})
}

// try says what the mapping of ev would change.
func (w *Worker) try(ctx context.Context, ev wire.DryRunEvent, deadline time.Time) (wire.DryRunResult, error) {
	if w.exporter == nil {
		return wire.DryRunResult{}, errNoMetrics
	}
	doc := mapping.Default()
	if !ev.Default {
		var err error
		if doc, err = mapping.Decode(ev.Document); err != nil {
			return wire.DryRunResult{}, fmt.Errorf("this worker would refuse the mapping: %w", err)
		}
	}
	compiled, err := mapping.Compile(doc)
	if err != nil {
		return wire.DryRunResult{}, fmt.Errorf("this worker would refuse the mapping: %w", err)
	}
	results, generation, err := w.exporter.DryRun(ctx, compiled, deadline)
	if err != nil {
		return wire.DryRunResult{}, err
	}
	result := wire.DryRunResult{Generation: generation, Instances: make([]wire.InstanceDryRun, len(results))}
	room := room(min(max(ev.MaxBytes, 0), maxTryBytes))
	for i := range results {
		result.Instances[i] = room.instance(&results[i])
	}
	return result, nil
}

// room is how many bytes of lists still fit into an answer. The counts beside them are not bounded by it.
type room int

// take reports whether so many bytes fit.
func (r *room) take(n int) bool {
	if int(*r) < n {
		return false
	}
	*r -= room(n)
	return true
}

func (r *room) instance(t *exporter.DryRunResult) wire.InstanceDryRun {
	in := wire.InstanceDryRun{ // a server refuses the answer for a text that is longer, and what it says of the other instances
		Name: fleet.Cut(t.Instance.Name, fleet.MaxName), Runtime: fleet.Cut(t.Instance.Runtime, fleet.MaxKind),
		RuntimeVersion: fleet.Cut(t.Instance.Version, fleet.MaxVersion),
	}
	if t.Err != nil {
		in.Error = clip(t.Err.Error(), maxTryError)
		return in
	}
	d := &t.Difference
	in.Before, in.After = tried(t.Before), tried(t.After)
	in.Added, in.Removed, in.Changed = d.Added, d.Removed, d.Changed
	for i := range d.Families {
		f := &d.Families[i]
		listed := wire.FamilyDryRun{
			Name: f.Name, Added: f.Added, Removed: f.Removed, Changed: f.Changed,
			Type: textChange(f.TypeBefore, f.TypeAfter), Help: textChange(f.HelpBefore, f.HelpAfter),
		}
		// Some bytes more than its texts, for the rest of its JSON.
		if i == maxTryFamilies || !r.take(100+quoted(f.Name)+quoted(clip(f.HelpBefore, maxTryHelp))+quoted(clip(f.HelpAfter, maxTryHelp))) {
			in.FamiliesLeftOut = len(d.Families) - i
			break
		}
		in.Families = append(in.Families, listed)
	}
	for i := range d.Series {
		if !r.take(60 + quoted(d.Series[i].Series)) {
			break
		}
		in.Series = append(in.Series, series(&d.Series[i]))
	}
	in.SeriesLeftOut = d.Added + d.Removed + d.Changed - len(in.Series)
	return in
}

func tried(p exporter.DryRunPage) *wire.DryRunPage {
	return &wire.DryRunPage{Coverage: wire.Coverage{Families: p.Fed, Of: p.Countable}, Series: p.Series, ParseErrors: p.ParseErrors}
}

func series(s *translate.SeriesDifference) wire.SeriesDryRun {
	listed := wire.SeriesDryRun{Series: s.Series}
	if s.Before != "" {
		listed.Before = &s.Before
	}
	if s.After != "" {
		listed.After = &s.After
	}
	return listed
}

func textChange(before, after string) *wire.TextChange {
	if before == after {
		return nil
	}
	return &wire.TextChange{Before: clip(before, maxTryHelp), After: clip(after, maxTryHelp)}
}

// quoted is how long a text is in JSON.
func quoted(s string) int {
	data, _ := json.Marshal(s) // of a string it cannot fail
	return len(data)
}

// clip shortens a text to n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
