package inventory

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Bounds of what is remembered of refused registrations.
const (
	maxRefused       = 64
	maxRefusedDetail = 1024
)

// becauseOf is an error that another worker causes.
type becauseOf struct {
	error

	id   int64
	name string
}

// Unwrap returns the error itself.
func (b *becauseOf) Unwrap() error { return b.error }

func because(err error, w *worker) error {
	return &becauseOf{err, w.ID, w.Name}
}

// refusals are the registrations that were refused last. They aren't stored.
type refusals struct {
	mu   sync.Mutex
	list []fleet.RefusedRegistration // the latest last
}

// add remembers that r was refused with err. What is no refusal, such as ErrNotStored, is not remembered.
func (l *refusals) add(r *fleet.Registration, err error) {
	next := fleet.RefusedRegistration{
		Name: clip.Line(r.Name, fleet.MaxName), Cluster: clip.Line(r.Cluster, fleet.MaxName), Address: clip.Line(hostPort(r.Address, r.MetricsPort), fleet.MaxName),
		Reason: refusalReason(err), Detail: clip.Line(err.Error(), maxRefusedDetail), Last: time.Now(), Count: 1,
	}
	if next.Reason == "" {
		return
	}
	if next.Cluster == "" {
		next.Cluster = fleet.DefaultClusterName
	}
	if other, ok := errors.AsType[*becauseOf](err); ok {
		next.Other.ID, next.Other.Name = other.id, other.name
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	same := slices.IndexFunc(l.list, func(e fleet.RefusedRegistration) bool {
		return e.Name == next.Name && e.Cluster == next.Cluster && e.Address == next.Address && e.Reason == next.Reason && e.Other.ID == next.Other.ID
	})
	switch {
	case same >= 0:
		next.Count = l.list[same].Count + 1
		l.list = slices.Delete(l.list, same, same+1)
	case len(l.list) == maxRefused:
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.list = append(l.list, next)
}

func refusalReason(err error) string {
	switch {
	case errors.Is(err, fleet.ErrNameTaken):
		return fleet.RefusedNameTaken
	case errors.Is(err, fleet.ErrTwoWorkers):
		return fleet.RefusedTwoWorkers
	case errors.Is(err, fleet.ErrRevoked):
		return fleet.RefusedRevoked
	case errors.Is(err, fleet.ErrInvalid):
		return fleet.RefusedInvalid
	}
	return ""
}

// Refused returns the registrations that were refused since the server began, at most 64, the latest first. One that is repeated is one of them.
func (i *Inventory) Refused() []fleet.RefusedRegistration {
	i.refused.mu.Lock()
	defer i.refused.mu.Unlock()
	list := slices.Clone(i.refused.list)
	slices.Reverse(list)
	return list
}
