package mapsync

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stackscope/stackscope/internal/mapping"
)

const (
	// maxDescribed bounds the descriptions in memory. A store keeps fewer generations.
	maxDescribed = 4096
	// describeBytes bounds the documents that one call of History decodes: those of 100 generations of GPUStack's size are a fifth of it.
	describeBytes = 32 << 20
)

// ErrNoGeneration is the error for a generation that is not stored.
var ErrNoGeneration = errors.New("there is no such generation")

// Entry is a generation in the history, without its document.
type Entry struct {
	Generation
	Active bool
	Description
}

// Description says what a generation's document is. It is zero if the document was not looked at.
type Description struct {
	Extends string // as the document says
	Metrics int    // unified metrics that it defines, the built-in ones of an overlay included
	Problem string // why the document cannot be used; empty if it can
}

// history keeps the descriptions of stored generations, which never change while the server runs.
type history struct {
	mu    sync.Mutex
	known map[int64]Description
}

// History returns how many generations there are with number 0, the built-in default, which is the last one; and of the newest first
// those after skip, at most limit. Of many large documents some have no description yet; a later call adds it.
func (p *Publisher) History(ctx context.Context, skip, limit int) (entries []Entry, total int, err error) {
	list, total, err := p.store.Generations(ctx, skip, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("read the history of the metrics mapping: %w", err)
	}
	if len(list) < limit && skip <= total {
		list = append(list, Generation{Default: true})
	}
	active := p.Current().Number
	budget := describeBytes
	entries = make([]Entry, len(list))
	for i, g := range list {
		g.Document, g.Effective = nil, nil
		entries[i] = Entry{Generation: g, Active: g.Number == active}
		if entries[i].Description, err = p.described(ctx, g, &budget); err != nil {
			return nil, 0, err
		}
	}
	return entries, total + 1, nil
}

// described returns the description of a generation. Of one that has no document here it reads that from the store, takes its size from
// budget, and reads none when that is spent.
func (p *Publisher) described(ctx context.Context, g Generation, budget *int) (Description, error) {
	p.history.mu.Lock()
	defer p.history.mu.Unlock()
	key := g.Number
	if g.Default {
		key = 0 // they are all the built-in document of this program
	}
	if d, ok := p.history.known[key]; ok || *budget <= 0 {
		return d, nil
	}
	if !g.Default && g.Document == nil {
		stored, ok, err := p.store.Generation(ctx, g.Number)
		if err != nil {
			return Description{}, fmt.Errorf("read generation %d of the metrics mapping: %w", g.Number, err)
		}
		if !ok { // forgotten meanwhile
			return Description{}, nil
		}
		g = stored
		*budget -= len(g.Document)
	}
	d := describe(p.filled(g).Document, p.base)
	if p.history.known == nil || len(p.history.known) >= maxDescribed {
		p.history.known = map[int64]Description{}
	}
	p.history.known[key] = d
	return d, nil
}

func describe(document []byte, builtin *mapping.Document) Description {
	var d Description
	doc, _, err := mapping.DecodeStored(document, builtin)
	if err == nil {
		d.Extends = doc.Extends()
		var compiled *mapping.Compiled
		compiled, err = mapping.Compile(doc)
		d.Metrics = len(compiled.Families())
	}
	if err != nil {
		d.Problem = "it is damaged, or a newer version wrote it: " + err.Error()
	}
	return d
}

// Generation returns a stored generation with its document, or the built-in default as number 0. It fails with ErrNoGeneration when
// there is none, or none any more.
func (p *Publisher) Generation(ctx context.Context, number int64) (Entry, error) {
	g, active := p.Current(), true
	if g.Number != number {
		active = false
		ok := number == 0
		g = Generation{Default: true}
		if !ok {
			var err error
			if g, ok, err = p.store.Generation(ctx, number); err != nil {
				return Entry{}, fmt.Errorf("read generation %d of the metrics mapping: %w", number, err)
			}
		}
		if !ok {
			return Entry{}, ErrNoGeneration
		}
		g = *p.filled(g)
	}
	budget := 1
	d, err := p.described(ctx, g, &budget)
	return Entry{Generation: g, Active: active, Description: d}, err
}
