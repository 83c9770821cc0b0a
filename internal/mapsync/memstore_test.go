package mapsync_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/mapsync"
)

// memStore keeps generations in memory, as a Store on disk would.
type memStore struct {
	mu   sync.Mutex
	gens []mapsync.Generation
	fail error
	// reads counts the documents that Generation returned.
	reads int
}

func (s *memStore) LatestGeneration(context.Context) (mapsync.Generation, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return mapsync.Generation{}, false, s.fail
	}
	if len(s.gens) == 0 {
		return mapsync.Generation{}, false, nil
	}
	return s.gens[len(s.gens)-1], true, nil
}

func (s *memStore) GenerationBefore(_ context.Context, number int64) (mapsync.Generation, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return mapsync.Generation{}, false, s.fail
	}
	for _, g := range slices.Backward(s.gens) {
		if g.Number < number {
			return g, true, nil
		}
	}
	return mapsync.Generation{}, false, nil
}

func (s *memStore) Generation(_ context.Context, number int64) (mapsync.Generation, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	for _, g := range s.gens {
		if g.Number == number {
			return g, true, s.fail
		}
	}
	return mapsync.Generation{}, false, s.fail
}

func (s *memStore) Generations(_ context.Context, skip, limit int) ([]mapsync.Generation, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []mapsync.Generation
	for _, g := range slices.Backward(s.gens) {
		if skip--; skip < 0 && len(list) < limit {
			g.Document = nil
			list = append(list, g)
		}
	}
	return list, len(s.gens), s.fail
}

func (s *memStore) AppendGeneration(ctx context.Context, doc []byte, at time.Time, note mapsync.Note) (mapsync.Generation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.fail, ctx.Err()); err != nil {
		return mapsync.Generation{}, err
	}
	g := mapsync.Generation{Number: int64(len(s.gens)) + 1, Default: doc == nil, Document: doc, At: at, Note: note}
	s.gens = append(s.gens, g)
	return g, nil
}

func decode(t *testing.T, text string) *mapping.Document {
	t.Helper()
	doc, err := mapping.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func newPublisher(t *testing.T, s mapsync.Store) *mapsync.Publisher {
	t.Helper()
	p, err := mapsync.NewPublisher(t.Context(), mapsync.PublisherOptions{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	customA = `{"runtime_mapping":{"vLLM":{"<0.11.1":{"vllm:a":"gpustack:num_requests_running"}}},"gpustack_metrics":{"gpustack:num_requests_running":{"type":"gauge","description":"A."}}}`
	customB = `{"runtime_mapping":{"vLLM":{"*":{"vllm:b":"gpustack:num_requests_running"}}},"gpustack_metrics":{"gpustack:num_requests_running":{"type":"gauge","description":"B."}}}`
)

// largest is customA made nearly as large as a document may be, of characters that an HTML-safe encoder would blow up.
func largest() string {
	var b strings.Builder
	const entry = 4000
	for i := range 990 {
		fmt.Fprintf(&b, `"gpustack:f%d":{"type":"gauge","description":"%s"},`, i, strings.Repeat("<", entry))
	}
	return strings.Replace(customA, `"gpustack_metrics":{`, `"gpustack_metrics":{`+b.String(), 1)
}
