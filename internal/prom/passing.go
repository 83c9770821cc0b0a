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

// newPassing says when the reader of a very large answer, which holds memory of the budget while it is sent, is cut off.
func newPassing(reg prometheus.Registerer) answer.StreamOptions {
	cut := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "stackscope_query_slow_readers_cut_total",
		Help: "Answers beyond 16 MiB that were cut off because their client read less than 1 MiB a second while other queries of the class waited.",
	})
	reg.MustRegister(cut)
	return answer.StreamOptions{
		Track: func(r *http.Request) (*http.Request, func() bool) {
			ctx, holder := budget.Follow(r.Context())
			return r.WithContext(ctx), holder.Wanted
		},
		OnAbort: cut.Inc,
	}
}

// oneRead lets one request of remote read at a time pass, so that there is always room for a listing. Its body comes before.
type oneRead struct {
	budget *queryBudget
	turn   *budget.Pool
	next   http.Handler
}

func newOneRead(b *queryBudget, next http.Handler) *oneRead {
	class := budget.Class{Name: "remote read", Bytes: b.listed.Class().Bytes, Slots: 1}
	return &oneRead{budget: b, turn: budget.NewPool(class, waitingPerClass), next: next}
}

func (o *oneRead) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.TrimSuffix(r.URL.Path, "/") != "/read" {
		o.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		apiRefusal(w, err)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	turn, err := o.budget.take(r.Context(), o.turn)
	if err != nil {
		apiRefusal(w, err)
		return
	}
	defer turn.Release()
	o.next.ServeHTTP(w, r)
}
