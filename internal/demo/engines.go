package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/simengine"
)

// history is how long the engines have been at work when the demo begins.
const history = time.Hour

// simulated is an engine with its listener.
type simulated struct {
	title, profile, model, instance string
	ranks                           int // data-parallel; 0: one
	// found: the worker is told nothing but the URL and finds the rest out.
	found    bool
	url      string
	listener net.Listener
	handler  http.Handler
	logger   *slog.Logger
}

// simulate makes the engines. Their users live on a Tuesday afternoon when the demo begins: then it is never dull, and a run
// can be repeated at another hour.
func simulate(seed uint64, logger *slog.Logger) ([]*simulated, error) {
	engines := []*simulated{
		{title: "vLLM", profile: simengine.ProfileVLLM, model: "qwen3-32b", ranks: 2, found: true},
		{title: "vLLM 0.9", profile: simengine.ProfileVLLM09, model: "qwen3-32b", instance: "qwen3-32b-old"},
		{title: "SGLang", profile: simengine.ProfileSGLang, model: "deepseek-v3.2", instance: "deepseek-v3.2-0"},
		{title: "MindIE", profile: simengine.ProfileMindIE, model: "pangu-pro-moe", instance: "pangu-pro-moe-0"},
	}
	now := time.Now()
	afternoon := time.Date(2026, time.March, 3, 13, 30, 0, 0, time.UTC)
	errs := make([]error, len(engines))
	var wg sync.WaitGroup
	for i, e := range engines {
		wg.Go(func() {
			sim, err := simengine.New(simengine.Options{
				Profile: e.profile, Model: e.model, Ranks: e.ranks, Seed: seed*uint64(len(engines)) + uint64(i), Start: now.Add(-history), LoadAt: afternoon,
			})
			if err != nil {
				errs[i] = err
				return
			}
			e.handler, e.logger = sim.Handler(), logger
			if e.listener, errs[i] = lifecycle.Listen(loopback, 0, ""); errs[i] == nil {
				e.url = "http://" + e.listener.Addr().String()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, e := range engines {
			if e.listener != nil {
				err = errors.Join(err, e.listener.Close())
			}
		}
		return nil, err
	}
	return engines, nil
}

// declaration is how the worker is told about the engine.
func (e *simulated) declaration() string {
	if e.found {
		return "url=" + e.url
	}
	return fmt.Sprintf("url=%s,model=%s,instance=%s", e.url, e.model, e.instance)
}

// run serves the engine until ctx ends.
func (e *simulated) run(ctx context.Context) error {
	srv := lifecycle.NewHTTPServer(e.handler, e.logger)
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", e.url, err)
	}
	return nil
}
