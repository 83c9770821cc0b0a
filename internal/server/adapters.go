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
	return mapsync.Generation{Number: row.Number, Default: row.Document == nil, Document: row.Document, At: row.At}
}

// published shows the publisher to the API.
type mappingAPI struct{ *mapsync.Publisher }

// Current implements api.Mapping.
func (p mappingAPI) Current() api.Generation {
	g := p.Publisher.Current()
	return api.Generation{Number: g.Number, Default: g.Default, Document: g.Document, Effective: g.Effective}
}

// Publish implements api.Mapping.
func (p mappingAPI) Publish(ctx context.Context, doc *mapping.Document, ifGeneration int64) (api.Change, error) {
	return change(p.Publisher.Publish(ctx, doc, mapsync.Change{IfGeneration: condition(ifGeneration)}))
}

// Reset implements api.Mapping.
func (p mappingAPI) Reset(ctx context.Context, ifGeneration int64) (api.Change, error) {
	return change(p.Publisher.Reset(ctx, mapsync.Change{IfGeneration: condition(ifGeneration)}))
}

func condition(ifGeneration int64) int64 {
	if ifGeneration == api.AnyGeneration {
		return mapsync.AnyGeneration
	}
	return ifGeneration
}

func change(r mapsync.Result, err error) (api.Change, error) {
	if errors.Is(err, mapsync.ErrGeneration) {
		return api.Change{}, fmt.Errorf("%w: %w", api.ErrGeneration, err)
	}
	return api.Change{Generation: r.Generation.Number, Changed: r.Changed, Workers: r.Notified}, err
}
