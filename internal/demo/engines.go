package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/inbound"
	"github.com/stackscope/stackscope/internal/base/lifecycle"
	"github.com/stackscope/stackscope/internal/simengine"
)

const (
	// history is how long the engines have been at work when the demo begins.
	history = time.Hour
	// One engine crashes now and then, the first time when somebody has looked around, and is started again.
	firstCrash = 4 * time.Minute
	crashEvery = 3 * time.Hour
	crashLasts = 12 * time.Second
)

// simulated is an engine with its listener.
type simulated struct {
	title, profile, model, instance string
	ranks                           int // data-parallel; 0: one
	// found: the worker is told nothing but the URL and finds the rest out.
	found   bool
	crashes bool
	// gateway: it is no engine but what all their requests come through.
	gateway bool
	// role, connector and member are those of a prefill/decode group; member is nil outside of one.
	role, connector string
	member          *simengine.Member
	url             string
	listener        net.Listener
	engine          *simengine.Engine
	handler         http.Handler
	down            atomic.Bool
	logger          *slog.Logger
}

// simulateEngines makes four engines and the gateway before them. Their users live on a Tuesday afternoon when the demo begins: then it is never dull, and a run
// can be repeated at another hour.
func simulateEngines(seed uint64, logger *slog.Logger) ([]*simulated, error) {
	engines := []*simulated{
		{title: "vLLM", profile: simengine.ProfileVLLM, model: "qwen3-32b", ranks: 2, found: true},
		{title: "vLLM 0.9", profile: simengine.ProfileVLLM09, model: "qwen3-32b", instance: "qwen3-32b-old", crashes: true},
		{title: "SGLang", profile: simengine.ProfileSGLang, model: "deepseek-v3.2", instance: "deepseek-v3.2-0"},
		{title: "MindIE", profile: simengine.ProfileMindIE, model: "pangu-pro-moe", instance: "pangu-pro-moe-0"},
	}
	proxy := &simengine.Gateway{}
	now := time.Now()
	errs := make([]error, len(engines))
	var wg sync.WaitGroup
	for i, e := range engines {
		wg.Go(func() {
			sim, err := simengine.New(simengine.Options{
				Profile: e.profile, Model: e.model, Ranks: e.ranks, Seed: seed*uint64(len(engines)) + uint64(i), Start: now.Add(-history), LoadAt: afternoon(),
				Gateway: proxy,
			})
			if err != nil {
				errs[i] = err
				return
			}
			e.engine, e.handler = sim, sim.Handler()
		})
	}
	wg.Wait()
	engines = append(engines, &simulated{title: "LiteLLM", instance: "litellm-0", gateway: true, handler: proxy.Handler()})
	return listen(engines, logger, errors.Join(errs...))
}

// afternoon is when the users live.
func afternoon() time.Time { return time.Date(2026, time.March, 3, 13, 30, 0, 0, time.UTC) }

// listen gives each engine a port of its own. It closes all of them if there is an error, also the one that is given.
func listen(engines []*simulated, logger *slog.Logger, failed error) ([]*simulated, error) {
	errs := []error{failed}
	for _, e := range engines {
		e.logger = logger
		var err error
		if e.listener, err = lifecycle.Listen(loopback, 0, ""); err != nil {
			errs = append(errs, err)
			continue
		}
		e.url = "http://" + e.listener.Addr().String()
		if e.member != nil {
			e.member.SetURL(e.url)
		}
	}
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
	if e.gateway {
		return fmt.Sprintf("url=%s,instance=%s", e.url, e.instance)
	}
	if e.role != "" {
		return fmt.Sprintf("url=%s,model=%s,instance=%s,role=%s,connector=%s", e.url, e.model, e.instance, e.role, e.connector)
	}
	return fmt.Sprintf("url=%s,model=%s,instance=%s", e.url, e.model, e.instance)
}

// counts reports whether it is an engine, whose requests are counted.
func (e *simulated) counts() bool { return !e.gateway && e.role != simengine.RoleRouter }

// ServeHTTP implements http.Handler: the engine's own pages, or a connection that breaks while its process is gone.
func (e *simulated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.down.Load() {
		panic(http.ErrAbortHandler)
	}
	e.handler.ServeHTTP(w, r)
}

// crash lets the engine's process end and begin anew now and then, until ctx ends.
func (e *simulated) crash(ctx context.Context) {
	pause := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for wait := firstCrash; pause(wait); wait = crashEvery {
		e.down.Store(true)
		if !pause(crashLasts) {
			return
		}
		e.engine.Restart()
		e.down.Store(false)
	}
}

// run serves the engine until ctx ends.
func (e *simulated) run(ctx context.Context) error {
	if e.crashes {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { e.crash(ctx) })
	}
	srv := inbound.New(e, inbound.Options{Logger: e.logger})
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", e.url, err)
	}
	return nil
}
