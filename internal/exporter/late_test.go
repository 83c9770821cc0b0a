package exporter

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/translate"
)

// A page that takes too long to translate is left out of the scrape, and what was made of it is given back.
func TestScrapeDoesNotWaitForATranslation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := newEngine("slow"), newEngine("quick")
		e, err := New(Options{
			Engines: func() []Engine { return []Engine{slow, quick} }, Mapping: small(t), Identity: func() Identity { return Identity{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		s := scrape{start: start, fetchBy: start.Add(900 * time.Millisecond), translateBy: start.Add(950 * time.Millisecond)}
		outcomes := e.scrape(s, func(o *outcome, src *translate.Source) {
			if o.state.engine == Engine(slow) {
				time.Sleep(5 * time.Second)
			}
			v := o.fetch.translate(small(t).compiled, src, func(unifiedPage) {})
			o.result = v.result
		})
		if took := time.Since(start); took != 950*time.Millisecond {
			t.Errorf("the scrape took %s", took)
		}
		if o := &outcomes[0]; o.result != nil || o.fetch != nil || o.labels == "" || o.took != 950*time.Millisecond {
			t.Errorf("the slow one: %+v", o)
		}
		if o := &outcomes[1]; o.result == nil {
			t.Error("the quick one is not there")
		}
		release(outcomes)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, o := range outcomes {
			if n := len(o.state.results); n != 1 {
				t.Errorf("%s: %d translations wait for the next scrape, want that of this one", o.state.engine.Instance().Name, n)
			}
		}
	})
}
