package prom

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/prom/budget"
)

// newSlowReaderPolicy decides when to cut off a slow reader of a very large response: while other queries wait for the memory that the
// response holds.
func newSlowReaderPolicy(reg prometheus.Registerer) answer.StreamOptions {
	cut := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "stackscope_query_slow_readers_cut_total",
		Help: "Answers beyond 16 MiB that were cut off because their client read less than 1 MiB a second while other queries of the class waited.",
	})
	reg.MustRegister(cut)
	return answer.StreamOptions{
		Track: func(r *http.Request) (*http.Request, func() bool) {
			ctx, holder := budget.TrackSlots(r.Context())
			return r.WithContext(ctx), holder.Contended
		},
		OnAbort: cut.Inc,
	}
}

// remoteReadLimiter serves one remote read request at a time, so that a slot remains for listings. It reads the body before it waits.
type remoteReadLimiter struct {
	budget *queryBudget
	slots  *budget.Pool
	next   http.Handler
}

func newRemoteReadLimiter(b *queryBudget, next http.Handler) *remoteReadLimiter {
	class := budget.Class{Name: "remote read", Bytes: b.listings.Class().Bytes, Slots: 1}
	return &remoteReadLimiter{budget: b, slots: budget.NewPool(class, waitingPerClass), next: next}
}

func (o *remoteReadLimiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.TrimSuffix(r.URL.Path, "/") != "/read" {
		o.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	slot, err := o.budget.reserve(r.Context(), o.slots)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	defer slot.Release()
	o.next.ServeHTTP(w, r)
}
