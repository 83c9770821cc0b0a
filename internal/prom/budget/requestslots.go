package budget

import (
	"context"
	"sync"
)

// RequestSlots are the slots that one request holds.
type RequestSlots struct {
	mu    sync.Mutex
	pools map[*Slot]*Pool
}

type requestSlotsKey struct{}

// TrackSlots returns a context whose slots are tracked in the returned RequestSlots.
func TrackSlots(ctx context.Context) (context.Context, *RequestSlots) {
	r := &RequestSlots{pools: make(map[*Slot]*Pool)}
	return context.WithValue(ctx, requestSlotsKey{}, r), r
}

// Contended reports whether another request waits for a slot of a class of which this request holds one.
func (r *RequestSlots) Contended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pools {
		if p.State().Waiting > 0 {
			return true
		}
	}
	return false
}

// track adds a slot to the RequestSlots of ctx, if there are any.
func track(ctx context.Context, s *Slot, err error) (*Slot, error) {
	r, _ := ctx.Value(requestSlotsKey{}).(*RequestSlots)
	if err != nil || r == nil {
		return s, err
	}
	s.request = r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pools[s] = s.pool
	return s, nil
}

func (r *RequestSlots) remove(s *Slot) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pools, s)
}
