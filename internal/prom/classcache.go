package prom

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	classCacheSize = 1024
	classCacheTTL  = 10 * time.Minute
)

// classCache remembers the class in which a restarted query ended. A dashboard repeats its queries: the next one starts in that class and
// does not take a slot of a smaller class first.
type classCache struct {
	seed maphash.Seed

	mu      sync.Mutex
	classes map[uint64]cachedClass
}

type cachedClass struct {
	class int
	until time.Time
}

func newClassCache() *classCache {
	return &classCache{seed: maphash.MakeSeed(), classes: map[uint64]cachedClass{}}
}

// lookup returns the class in which a query with that many steps starts.
func (cc *classCache) lookup(text string, steps int64) int {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	c, ok := cc.classes[cc.key(text, steps)]
	if !ok || time.Now().After(c.until) {
		return 0
	}
	return c.class
}

// store remembers the class that a query needs at least.
func (cc *classCache) store(text string, steps int64, class int) {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if len(cc.classes) >= classCacheSize {
		clear(cc.classes) // repeated queries are stored again
	}
	cc.classes[cc.key(text, steps)] = cachedClass{class, time.Now().Add(classCacheTTL)}
}

func (cc *classCache) key(text string, steps int64) uint64 {
	return maphash.Comparable(cc.seed, struct {
		text  string
		steps int64
	}{text, steps})
}
