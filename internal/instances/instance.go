package instances

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/discovery"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/engine/runtimes"
	"github.com/stackscope/stackscope/internal/exporter"
	"github.com/stackscope/stackscope/internal/exposition"
)

// Instance is a managed engine with its key in discovery and the ids that the server gave it.
type Instance struct {
	key      string
	engine   *engine.Engine
	manager  *Manager
	store    *Store
	order    int
	declared bool
	// nameFault says what is wrong with the name that the operator gave; empty: nothing.
	nameFault string
	// declaredModel is the model of the declaration or of the command line, earlierModel that of an earlier run.
	declaredModel, earlierModel string
	cancel                      context.CancelFunc // nil: not started

	// Guarded by Manager.mu.
	found discovery.Found
	pid   int       // the last one known
	gone  time.Time // zero: it is there
	// served and adapters are those of found that the engine was told.
	served, adapters string
	described        engine.Description

	pageModels atomic.Pointer[pageModels]
	fronted    atomic.Pointer[fronted] // nil: it is no frontend, or of no engine of this worker
	exported   atomic.Pointer[exportedModels]
	labels     atomic.Pointer[instanceLabels]
}

type instanceLabels struct {
	instance exporter.Instance
	labels   exposition.Labels
}

var _ exporter.Engine = (*Instance)(nil)

// Key is the engine's key in discovery; for a declared engine it is the name.
func (in *Instance) Key() string { return in.key }

// Status returns the engine's state and identity.
func (in *Instance) Status() engine.Status { return in.engine.Status() }

// LastProgress is when the engine last made progress; zero: not seen yet.
func (in *Instance) LastProgress() time.Time { return in.engine.History().LastProgress }

// Fetch implements exporter.Engine.
func (in *Instance) Fetch(ctx context.Context) (exporter.Page, error) {
	page, err := in.engine.Fetch(ctx)
	if err != nil {
		if e, ok := errors.AsType[*fetch.Error](err); ok && e.Got != (fetch.Excerpt{}) {
			err = &exporter.FetchError{Err: err, ContentType: e.Got.ContentType, Body: e.Got.Body}
		}
		return exporter.Page{}, err
	}
	return exporter.Page{
		Body: page.Body, ContentType: page.ContentType, Release: page.Release,
		Translated: func(t exporter.Translation) { in.engine.Translated(page, engine.Translation(t)) },
	}, nil
}

// Instance implements exporter.Engine.
func (in *Instance) Instance() exporter.Instance {
	s, p := in.models()
	out := exporter.Instance{Name: s.Name, Model: s.Model, Runtime: s.Runtime, Role: in.roleOf(&s, s.Model), Version: s.Version, Gateway: runtimes.IsGateway(s.Runtime)}
	if p.areSeveral() {
		exported := in.exportModels(&s, p)
		out.Model, out.ID, out.Role, out.Models = "", exported.ownID, s.Role, exported.models
		return out
	}
	if known := in.store.engine(s.Name); known.IDs.Model == s.Model {
		out.ID, out.ModelID = IDLabel(known.IDs.InstanceID), IDLabel(known.IDs.ModelID)
	}
	return out
}

// IDLabel returns an id as a label value; "" for an unknown id, which omits the label.
func IDLabel(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// ownLabels returns the labels of what the worker itself measures of the engine. They are cached until they change.
func (in *Instance) ownLabels() exposition.Labels {
	instance := in.Instance()
	instance.Version, instance.Models = "", nil // are no labels
	if l := in.labels.Load(); l != nil && l.instance == instance {
		return l.labels
	}
	l := &instanceLabels{instance, instance.Labels()}
	in.labels.Store(l)
	return l.labels
}

// observe updates the engine with the status of its process.
func (in *Instance) observe(gpus GPUs) {
	status := engine.ProcessStatus{PID: in.found.PID, Started: in.found.Started, Listening: in.found.Listening, Lockstep: in.found.Lockstep}
	if in.found.PID != 0 {
		in.pid = in.found.PID
	}
	status.Gone = !in.gone.IsZero() || (in.declared && in.pid != 0 && in.found.PID == 0)
	p := gpus.Presence(in.key)
	status.GPUKnown, status.HoldsGPU, status.GPUBusy = p.Known, p.Holds, p.Busy
	in.engine.Observe(status)
	if in.isFound() && (in.found.Served != in.served || in.found.Adapters != in.adapters) {
		in.served, in.adapters = in.found.Served, in.found.Adapters
		in.engine.SetCommandLine(engine.ModelNames{Served: strings.Fields(in.served), Adapters: strings.Fields(in.adapters)})
	}
}

// isFound reports whether found describes a process or a container. A declared engine is not found while its process is gone. What its
// command line said does not end with it.
func (in *Instance) isFound() bool {
	return !in.declared || in.found.PID != 0 || in.found.Container != ""
}

func (in *Instance) stop() {
	if in.cancel != nil {
		in.cancel()
	}
}
