package prom

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stackscope/stackscope/internal/prom/budget"
)

// Requests that come through the gate are shared out by the address that they come from.
func TestBudgetKnowsThePeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, pool := newInflightRequests(requestLimit), budget.NewPool(budget.Class{Name: "small", Bytes: 1, Slots: 1}, 2)
		slot, err := pool.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var refused []string
		for _, peer := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1"} {
			g.begin()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = peer
			go g.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				slot, err := pool.Take(r.Context())
				if _, ok := errors.AsType[budget.ErrFull](err); ok {
					refused = append(refused, r.RemoteAddr)
				}
				slot.Release()
			}), httptest.NewRecorder(), r)
			synctest.Wait()
		}
		if !slices.Equal(refused, []string{"192.0.2.1:2"}) {
			t.Errorf("refused are %v, want the second of the peer that asks most", refused)
		}
		slot.Release()
		synctest.Wait()
	})
}
