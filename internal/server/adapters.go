package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/store"
)

var (
	_ api.Inventory   = (*inventory.Inventory)(nil)
	_ inventory.Store = (*store.Store)(nil)
)

// generations lets the publisher keep its generations in the store, and the inventory know when that fails.
type generations struct {
	*store.Store
	recordFailure func(context.Context, error)
}

// LatestGeneration implements mapsync.Store.
func (g generations) LatestGeneration(ctx context.Context) (mapsync.Generation, bool, error) {
	row, ok, err := g.Store.LatestGeneration(ctx)
	return generation(row), ok, err
}

// GenerationBefore implements mapsync.Store.
func (g generations) GenerationBefore(ctx context.Context, number int64) (mapsync.Generation, bool, error) {
	row, ok, err := g.Store.GenerationBefore(ctx, number)
	return generation(row), ok, err
}

// Generation implements mapsync.Store.
func (g generations) Generation(ctx context.Context, number int64) (mapsync.Generation, bool, error) {
	row, ok, err := g.Store.Generation(ctx, number)
	return generation(row), ok, err
}

// Generations implements mapsync.Store.
func (g generations) Generations(ctx context.Context, skip, limit int) ([]mapsync.Generation, int, error) {
	rows, total, err := g.Store.Generations(ctx, skip, limit)
	list := make([]mapsync.Generation, len(rows))
	for i, row := range rows {
		list[i] = mapsync.Generation{Number: row.Number, Default: row.Default, At: row.At, Note: mapsync.Note(row.Note)}
	}
	return list, total, err
}

// AppendGeneration implements mapsync.Store.
func (g generations) AppendGeneration(ctx context.Context, doc []byte, at time.Time, note mapsync.Note) (mapsync.Generation, error) {
	row, err := g.Store.AppendGeneration(ctx, doc, at, store.Note(note))
	if err != nil {
		err = fmt.Errorf("%w: %w", fleet.ErrNotStored, err)
		g.recordFailure(ctx, err)
	}
	return generation(row), err
}

func generation(row store.Generation) mapsync.Generation {
	return mapsync.Generation{Number: row.Number, Default: row.Document == nil, Document: row.Document, At: row.At, Note: mapsync.Note(row.Note)}
}

// mappingAPI shows the publisher to the API.
type mappingAPI struct{ *mapsync.Publisher }

// Current implements api.Mapping.
func (p mappingAPI) Current() api.Generation { return shown(p.Publisher.Current()) }

func shown(g mapsync.Generation) api.Generation {
	return api.Generation{Number: g.Number, Default: g.Default, Document: g.Document, Effective: g.Effective, At: g.At, Note: api.Note(g.Note)}
}

func shownEntry(e mapsync.Entry) api.Entry {
	return api.Entry{Generation: shown(e.Generation), Active: e.Active, Extends: e.Extends, Metrics: e.Metrics, Problem: e.Problem}
}

// History implements api.Mapping.
func (p mappingAPI) History(ctx context.Context, skip, limit int) ([]api.Entry, int, error) {
	entries, total, err := p.Publisher.History(ctx, skip, limit)
	list := make([]api.Entry, len(entries))
	for i := range entries {
		list[i] = shownEntry(entries[i])
	}
	return list, total, err
}

// Generation implements api.Mapping.
func (p mappingAPI) Generation(ctx context.Context, number int64) (api.Entry, error) {
	e, err := p.Publisher.Generation(ctx, number)
	if errors.Is(err, mapsync.ErrNoGeneration) {
		err = fmt.Errorf("%w: %w", api.ErrNoGeneration, err)
	}
	return shownEntry(e), err
}

// Publish implements api.Mapping.
func (p mappingAPI) Publish(ctx context.Context, doc *mapping.Document, r api.ChangeRequest) (api.Change, error) {
	return change(p.Publisher.Publish(ctx, doc, request(r)))
}

// Reset implements api.Mapping.
func (p mappingAPI) Reset(ctx context.Context, r api.ChangeRequest) (api.Change, error) {
	return change(p.Publisher.Reset(ctx, request(r)))
}

func request(r api.ChangeRequest) mapsync.Change {
	c := mapsync.Change{IfGeneration: r.IfGeneration, Note: mapsync.Note(r.Note)}
	if r.IfGeneration == api.AnyGeneration {
		c.IfGeneration = mapsync.AnyGeneration
	}
	return c
}

func change(r mapsync.Result, err error) (api.Change, error) {
	if errors.Is(err, mapsync.ErrGeneration) {
		return api.Change{}, fmt.Errorf("%w: %w", api.ErrGeneration, err)
	}
	return api.Change{Generation: r.Generation.Number, Before: r.Before.Number, Changed: r.Changed, Workers: r.Notified}, err
}
