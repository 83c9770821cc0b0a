package budget

import (
	"context"
	"sync"
)

// Holder knows the slots that one request holds, so that others can tell whether they are waited for.
type Holder struct {
	mu    sync.Mutex
	pools map[*Slot]*Pool
}

type holderKey struct{}

// Follow returns a context whose slots the holder knows.
func Follow(ctx context.Context) (context.Context, *Holder) {
	h := &Holder{pools: make(map[*Slot]*Pool)}
	return context.WithValue(ctx, holderKey{}, h), h
}

// Wanted reports whether somebody waits for a slot of a class of which the request holds one.
func (h *Holder) Wanted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pools {
		if p.State().Waiting > 0 {
			return true
		}
	}
	return false
}

// followed lets the holder of ctx, if there is one, know of a slot.
func followed(ctx context.Context, s *Slot, err error) (*Slot, error) {
	h, _ := ctx.Value(holderKey{}).(*Holder)
	if err != nil || h == nil {
		return s, err
	}
	s.holder = h
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pools[s] = s.pool
	return s, nil
}

func (h *Holder) drop(s *Slot) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pools, s)
}
