package instances

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/fleet"
)

// readyLimit bounds how long Ready waits for discovery and for engines that do not answer.
const readyLimit = 5 * time.Second

// Ready returns a channel that is closed when discovery has ended its first round and each engine has been fetched once, with or without
// success, but at most readyLimit after the start. An earlier report would lack engines, and the server would drop them with their ids.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

func (m *Manager) awaitReady(ctx context.Context) {
	defer close(m.ready)
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	select {
	case <-m.firstRound:
	case <-ctx.Done():
		return
	}
	for _, in := range m.Instances() {
		select {
		case <-in.engine.FirstFetchDone():
		case <-ctx.Done():
			return
		}
	}
}

const notFoundYet = "not found since the worker was started"

// missing returns the instances of engines that ran when the worker ended and that have not been found again yet. They are reported for
// Retention, like an engine that ends, so that they keep their ids.
func (m *Manager) missing() []fleet.ReportedInstance {
	awaited := m.store.awaitedEngines()
	if len(awaited) == 0 {
		return nil
	}
	here := make(map[string]bool)
	for _, in := range m.Instances() {
		s := in.engine.Status()
		here["name "+s.Name], here["key "+in.key], here["url "+s.URL] = true, true, true
	}
	var out []fleet.ReportedInstance
	for name, e := range awaited {
		// An engine with the same key or URL is the same one, also under another name.
		found := here["name "+name] || here["key "+e.Key] || here["url "+e.URL]
		if found || !m.discovers(e.Key) || time.Since(m.began) >= m.opts.Retention {
			m.store.stopAwaiting(name)
			m.saves.send()
			continue
		}
		out = append(out, fleet.ReportedInstance{
			Name: name, Model: e.IDs.Model, URL: e.URL, Runtime: e.Runtime, RuntimeVersion: e.Version,
			Role: e.Role, Group: e.Group, Connector: e.Connector, Upstreams: e.Upstreams,
			State: fleet.InstanceUnreachable, StateMessage: notFoundYet, RestartCount: e.RestartCount, LastRestartAt: e.LastRestartAt,
			Since: m.began,
		})
	}
	slices.SortFunc(out, func(a, b fleet.ReportedInstance) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// discovers reports whether the source of key is switched on.
func (m *Manager) discovers(key string) bool {
	source, _, _ := strings.Cut(key, ":")
	return slices.Contains(m.opts.Sources, discovery.Source(source))
}

// await marks the engines as awaited that ran when the state was saved and that the server knows.
func (s *Store) await() {
	s.awaited = make(map[string]bool)
	for name, e := range s.state.Engines {
		if e.There && e.IDs.InstanceID != 0 && e.isInstance(name) {
			s.awaited[name] = true
		}
	}
}

// isInstance reports whether the engine of that name was an instance itself: it is none if its page names several models, unless one of
// them has its name.
func (e *engineState) isInstance(name string) bool {
	several := slices.ContainsFunc(e.Models, func(m storedModel) bool { return m.There })
	return !several || slices.ContainsFunc(e.Models, func(m storedModel) bool { return m.There && m.Name == name })
}

// awaitedEngines returns a copy of what is known of the awaited engines, by instance name.
func (s *Store) awaitedEngines() map[string]engineState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.awaited) == 0 {
		return nil
	}
	out := make(map[string]engineState, len(s.awaited))
	for name := range s.awaited {
		out[name] = s.state.Engines[name]
	}
	return out
}

// stopAwaiting is called when an engine has been found again, or will not be.
func (s *Store) stopAwaiting(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.awaited, name)
}
