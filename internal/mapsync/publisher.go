package mapsync

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/mapping"
)

// storeTimeout bounds one write of a generation. A write continues when its caller is canceled, so that the stored and the active
// generation cannot differ.
const storeTimeout = 10 * time.Second

// Generation is one state of the mapping, numbered in the order of changes.
type Generation struct {
	Number int64 // 0: the built-in default before any change
	// Default says that the generation is the built-in default of the program that reads it, which may be newer than the one that
	// wrote it.
	Default bool
	// Document is canonical JSON in the author's order. A Publisher fills it in for a default generation too; a Store leaves
	// it empty there.
	Document []byte
	// Effective is what workers get, as canonical JSON: of an overlay the built-in document of this program with the overlay's
	// changes, else Document. A Publisher fills it in.
	Effective []byte
	At        time.Time // when it became active; zero for generation 0
	Note
}

// Note is what is kept of a change besides the document.
type Note struct {
	Author, Comment string
	// RestoredFrom is the generation whose document became active again, 0 the built-in default; nil: none.
	RestoredFrom *int64
}

// Change says how and why the mapping is changed.
type Change struct {
	// IfGeneration is the generation that must be active, or AnyGeneration.
	IfGeneration int64
	Note
}

// Store keeps the generations. Its methods return when the data is durable.
type Store interface {
	// LatestGeneration returns the generation with the highest number, or false when there is none.
	LatestGeneration(ctx context.Context) (Generation, bool, error)
	// GenerationBefore returns the generation with the highest number below the given one, or false when there is none.
	GenerationBefore(ctx context.Context, number int64) (Generation, bool, error)
	// Generation returns the generation with a number, or false when there is none, or none any more.
	Generation(ctx context.Context, number int64) (Generation, bool, error)
	// Generations returns how many generations there are, and of the newest first those after skip, at most limit, without their
	// documents.
	Generations(ctx context.Context, skip, limit int) (list []Generation, total int, err error)
	// AppendGeneration stores a generation under the next number, counting from 1. A nil doc is a default generation.
	AppendGeneration(ctx context.Context, doc []byte, at time.Time, note Note) (Generation, error)
}

// ErrGeneration is the error of a change whose condition on the generation does not hold.
var ErrGeneration = errors.New("another generation is active")

// AnyGeneration makes a change unconditional.
const AnyGeneration int64 = -1

// PublisherOptions configure a Publisher.
type PublisherOptions struct {
	Store   Store             // required
	Logger  *slog.Logger      // nil: silent
	Builtin *mapping.Document // the built-in default; nil: mapping.Default
}

// Publisher is the server's half: it numbers, stores and activates each mapping and notifies its subscribers. It is safe for
// concurrent use.
type Publisher struct {
	store   Store
	logger  *slog.Logger
	base    *mapping.Document // the built-in default
	builtin []byte            // base as canonical JSON
	current atomic.Pointer[Generation]
	out     fanout
	mu      sync.Mutex // serialises changes
	counts  counts
	// passedOver is how many generations that are stored after the current one cannot be used.
	passedOver atomic.Int64
	history    history
}

// Result says what a change did.
type Result struct {
	Generation Generation // the active one
	Before     Generation // the one that was active before
	Changed    bool       // false: it was active before
	Notified   int        // subscribers that were notified; if nothing changed, all subscribers
}

// NewPublisher activates the latest usable generation in the store. It passes over one that is damaged or was written by a newer
// version. The older one keeps its number, so that a number always means the same document, and workers that have another one get
// it. If none is usable, the built-in default is active as generation 0.
func NewPublisher(ctx context.Context, o PublisherOptions) (*Publisher, error) {
	if o.Store == nil {
		return nil, errors.New("mapsync: PublisherOptions.Store is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	base := cmp.Or(o.Builtin, mapping.Default())
	builtin, err := base.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("built-in metrics mapping: %w", err)
	}
	p := &Publisher{store: o.Store, logger: o.Logger.With(logging.KeyComponent, "mapsync"), base: base, builtin: builtin}
	gen, ok, err := o.Store.LatestGeneration(ctx)
	for ; err == nil && ok && !gen.Default; gen, ok, err = o.Store.GenerationBefore(ctx, gen.Number) {
		var fault error
		if gen.Effective, fault = p.effective(gen.Number, gen.Document); fault == nil {
			break
		}
		p.passedOver.Add(1)
		p.logger.Error("stored metrics mapping cannot be used: it is damaged, or a newer version wrote it; an older one is active until a mapping is posted or reset",
			"generation", gen.Number, "error", fault)
	}
	if err != nil {
		return nil, fmt.Errorf("read the active metrics mapping: %w", err)
	}
	if !ok {
		gen = Generation{Default: true}
	}
	p.current.Store(p.filled(gen))
	switch n := p.passedOver.Load(); {
	case n > 0 && !ok:
		p.logger.Error("no stored metrics mapping can be used; the built-in default is active for all workers", "generation", gen.Number, "passed_over", n)
	case n > 0:
		p.logger.Warn("an older metrics mapping is active for all workers", "generation", gen.Number, "default", gen.Default, "passed_over", n)
	}
	return p, nil
}

func (p *Publisher) filled(gen Generation) *Generation {
	if gen.Default {
		gen.Document, gen.Effective = p.builtin, p.builtin
	}
	return &gen
}

// Current returns the active generation. Its document must not be changed.
func (p *Publisher) Current() Generation { return *p.current.Load() }

// Builtin returns the built-in default as canonical JSON, which must not be changed.
func (p *Publisher) Builtin() []byte { return p.builtin }

// Subscribe returns a channel that gets a value after each change. Changes that come faster than they are received count as one.
// Call Current after Subscribe and after each value. cancel ends the subscription and closes the channel.
func (p *Publisher) Subscribe() (changed <-chan struct{}, cancel func()) { return p.out.subscribe() }

// Publish activates doc as a new generation. It returns once the generation is stored and every subscriber is notified. A document
// equal to the active one changes nothing, whatever the note, unless unusable generations were passed over. If another generation is
// active than c requires, Publish fails with ErrGeneration. A document that does not compile fails with mapping.Faults.
func (p *Publisher) Publish(ctx context.Context, doc *mapping.Document, c Change) (Result, error) {
	data, err := p.Check(doc)
	if err != nil {
		return Result{}, err
	}
	return p.change(ctx, data, c)
}

// Check returns the error that Publish would return for a document, or the canonical JSON that it would store.
func (*Publisher) Check(doc *mapping.Document) ([]byte, error) {
	data, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode the metrics mapping: %w", err)
	}
	if len(data) > mapping.MaxDocumentBytes {
		return nil, mapping.Faults{{Detail: fmt.Sprintf("found a document of %d bytes as JSON, allowed are %d", len(data), mapping.MaxDocumentBytes)}}
	}
	if _, err := mapping.Compile(doc); err != nil {
		return nil, mapping.Faults{{Detail: err.Error()}}
	}
	return data, nil
}

// Reset activates the built-in default as a new generation, or changes nothing if it is active. c is as in Publish.
func (p *Publisher) Reset(ctx context.Context, c Change) (Result, error) {
	return p.change(ctx, nil, c)
}

// change appends a generation; a nil doc is the default.
func (p *Publisher) change(ctx context.Context, doc []byte, c Change) (Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.Current()
	event := updated
	switch {
	case doc == nil:
		event = deleted
	case was.Number == 0:
		event = created
	}
	p.counts.add(received, event, 1)
	if c.IfGeneration != AnyGeneration && c.IfGeneration != was.Number {
		p.counts.add(filtered, event, 1)
		return Result{}, fmt.Errorf("%w: %d, not %d", ErrGeneration, was.Number, c.IfGeneration)
	}
	same := doc == nil && was.Default || doc != nil && bytes.Equal(doc, was.Document)
	if same && p.passedOver.Load() == 0 { // else the next start would find the unusable ones again
		p.counts.add(filtered, event, 1)
		notified, _ := p.out.depth()
		return Result{Generation: was, Before: was, Notified: notified}, nil
	}
	var effective []byte
	if doc != nil {
		var err error
		if effective, err = p.effective(was.Number+1, doc); err != nil {
			return Result{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	gen, err := p.store.AppendGeneration(ctx, doc, time.Now().UTC(), c.Note)
	if err != nil {
		return Result{}, fmt.Errorf("store the metrics mapping: %w", err)
	}
	gen.Effective = effective
	now := p.filled(gen)
	p.current.Store(now)
	p.passedOver.Store(0)
	notified, coalesced := p.out.send()
	p.counts.add(enqueued, event, notified)
	p.counts.add(coalescedKind, event, coalesced)
	p.logger.Info("metrics mapping changed", "generation", gen.Number, "default", gen.Default, "bytes", len(now.Document), "told", notified)
	return Result{Generation: *now, Before: was, Changed: true, Notified: notified}, nil
}
