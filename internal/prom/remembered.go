package prom

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	rememberedQueries = 1024
	rememberedFor     = 10 * time.Minute
)

// remembered is the class in which queries that moved up have ended. A dashboard asks the same again and again: it begins there, and
// does not take the place and the time of small ones first.
type remembered struct {
	seed maphash.Seed

	mu      sync.Mutex
	classes map[uint64]rememberedClass
}

type rememberedClass struct {
	class int
	until time.Time
}

func newRemembered() *remembered {
	return &remembered{seed: maphash.MakeSeed(), classes: map[uint64]rememberedClass{}}
}

// class returns where a query begins that is evaluated at so many points of time.
func (r *remembered) class(text string, steps int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.classes[r.key(text, steps)]
	if !ok || time.Now().After(c.until) {
		return 0
	}
	return c.class
}

// moved remembers that a query needs a class or a larger one.
func (r *remembered) moved(text string, steps int64, class int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.classes) >= rememberedQueries {
		clear(r.classes) // they come back when they are asked for
	}
	r.classes[r.key(text, steps)] = rememberedClass{class, time.Now().Add(rememberedFor)}
}

func (r *remembered) key(text string, steps int64) uint64 {
	return maphash.Comparable(r.seed, struct {
		text  string
		steps int64
	}{text, steps})
}
