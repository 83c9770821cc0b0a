package worker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/fleet"
)

// settleLimit bounds how long the first report waits for what the worker finds.
const settleLimit = 5 * time.Second

// settle closes settled when the worker has looked for engines once and each was read or could not be. What a report doesn't
// name is gone, with its ids: one that went out before would take them from every engine that is found.
func (w *Worker) settle(ctx context.Context) {
	defer close(w.settled)
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	select {
	case <-w.roster.looked:
	case <-ctx.Done():
		return
	}
	for _, e := range w.roster.engines() {
		select {
		case <-e.engine.Tried():
		case <-ctx.Done():
			return
		}
	}
}

const notFoundYet = "not found since the worker was started"

// missing returns the instances of engines that had been found when the worker ended and that have not been found since it
// began. They keep their ids for as long as those of an engine that ends.
func (w *Worker) missing() []fleet.ReportedInstance {
	awaited := w.keeper.awaiting()
	if len(awaited) == 0 {
		return nil
	}
	here := make(map[string]bool)
	for _, e := range w.roster.engines() {
		s := e.engine.Status()
		here["name "+s.Name], here["key "+e.key], here["url "+s.URL] = true, true, true
	}
	var out []fleet.ReportedInstance
	for name, e := range awaited {
		// One that goes by another name at its place is the one that was there.
		if here["name "+name] || here["key "+e.Key] || here["url "+e.URL] || !w.looksFor(e.Key) || time.Since(w.began) >= w.opts.EngineRetention {
			w.keeper.settled(name)
			w.saves.send()
			continue
		}
		out = append(out, fleet.ReportedInstance{
			Name: name, Model: e.IDs.Model, URL: e.URL, Runtime: e.Runtime, RuntimeVersion: e.Version,
			State: fleet.InstanceUnreachable, StateMessage: notFoundYet, RestartCount: e.RestartCount, LastRestartAt: e.LastRestartAt,
		})
	}
	slices.SortFunc(out, func(a, b fleet.ReportedInstance) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// looksFor reports whether engines with such a key are looked for.
func (w *Worker) looksFor(key string) bool {
	source, _, _ := strings.Cut(key, ":")
	return slices.Contains(w.opts.Discover, discovery.Source(source))
}

// awaiting returns the engines that had been found when the worker ended, and whose fate is not known. The caller may keep it.
func (k *keeper) awaiting() map[string]engineState {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.awaited) == 0 {
		return nil
	}
	out := make(map[string]engineState, len(k.awaited))
	for name := range k.awaited {
		out[name] = k.state.Engines[name]
	}
	return out
}

// settled notes that the fate of an engine is known.
func (k *keeper) settled(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.awaited, name)
}

// await makes the engines of the state that the server knows, and that had been found, awaited.
func (k *keeper) await() {
	k.awaited = make(map[string]bool)
	for name, e := range k.state.Engines {
		if e.There && e.IDs.InstanceID != 0 {
			k.awaited[name] = true
		}
	}
}
