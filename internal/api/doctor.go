package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/doctor"
	"github.com/stackscope/stackscope/internal/wire"
)

const (
	// maxExaminations bounds those at a time. Requests for one subject share one.
	maxExaminations = 2
	// examinationTime bounds an examination; it ends by itself before.
	examinationTime = 15 * time.Second
	// examinationRetry is the Retry-After while too many are under way.
	examinationRetry = "5"
)

// examinations are those that are under way.
type examinations struct {
	mu    sync.Mutex
	byKey map[string]*examination
	// searches are those for models of another name. They ask Prometheus, so they are bounded, too.
	searches int
}

type examination struct {
	ended  chan struct{} // closed when what follows is set
	result wire.Doctor
	bug    string // what it panicked with, and where; empty: it did not
}

func (a *API) registerDoctor(h huma.API, tag string) {
	register(a, h, route{
		id: "get-doctor", method: "GET", path: "/v2/doctor", access: viewer, tag: tag,
		summary: "Where samples stop between an engine and a dashboard, and what to do",
		description: "Without a parameter: the fleet. metric may be given beside another one. subject is an instance, else a worker, a model, a metric. " +
			"It takes at most 15 s. Requests for one subject share an examination, two of which run at a time; 503 says that there are more.",
		errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
	}, a.doctor)
}

type doctorInput struct {
	Instance string `query:"instance" maxLength:"512" doc:"Name or id of a model instance; with worker, of that worker"`
	Worker   string `query:"worker" maxLength:"512" doc:"Name or id of a worker"`
	Model    string `query:"model" maxLength:"512" doc:"Name or id of a model"`
	Metric   string `query:"metric" maxLength:"512" doc:"A unified metric, with or without gpustack:"`
	Subject  string `query:"subject" maxLength:"512" doc:"One of these, of whatever kind"`
}

// Resolve reads the parameters. A misspelt one must not be answered with the state of something else.
func (in *doctorInput) Resolve(ctx huma.Context) []error {
	values := map[string]*string{"instance": &in.Instance, "worker": &in.Worker, "model": &in.Model, "metric": &in.Metric, "subject": &in.Subject}
	names := slices.Sorted(maps.Keys(values))
	query, err := readQuery(ctx, names, names...)
	for _, name := range names {
		if err == nil && len(query[name]) > 1 {
			err = invalidQuery(name, "it is given more than once")
		}
		*values[name] = strings.TrimSpace(*values[name])
	}
	if err != nil {
		return []error{ofRead(err)}
	}
	return nil
}

type doctorOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         wire.Doctor
}

func (a *API) doctor(ctx context.Context, in *doctorInput) (*doctorOutput, error) {
	d, err := a.Examine(ctx, doctor.Request{Instance: in.Instance, Worker: in.Worker, Model: in.Model, Metric: in.Metric, Text: in.Subject})
	if err != nil {
		return nil, err
	}
	return &doctorOutput{"no-store", *d}, nil
}

// Examine finds out where samples stop, as GET /v2/doctor does. The error is a *Problem, or that of ctx. The result must not be changed: others have it, too.
func (a *API) Examine(ctx context.Context, r doctor.Request) (*wire.Doctor, error) {
	src := a.opts.Doctor
	if src == nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "this server has no doctor"}
	}
	resolved, err := doctor.Resolve(src.Snapshot(), src.Mapping(), r)
	if errors.Is(err, doctor.ErrUnknown) {
		if renamed, ok, busy := a.examinations.search(ctx, src, r); busy {
			return nil, tooManyExaminations()
		} else if ok {
			resolved, err = renamed, nil
		}
	}
	if err == nil && doctor.HasNoInstance(src.Snapshot(), resolved) {
		if renamed, ok, busy := a.examinations.search(ctx, src, doctor.Request{Model: resolved.Subject.Name}); busy {
			return nil, tooManyExaminations()
		} else if ok {
			resolved.Renamed = renamed.Renamed
		}
	}
	switch {
	case errors.Is(err, doctor.ErrUnknown):
		return nil, &Problem{Status: http.StatusNotFound, Detail: err.Error()}
	case errors.Is(err, doctor.ErrAmbiguous):
		return nil, &Problem{Status: http.StatusConflict, Detail: err.Error()}
	case err != nil:
		return nil, &Problem{Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	}
	e := a.examinations.join(fmt.Sprintf("%s\x00%d\x00%s\x00%s", resolved.Subject.Kind, resolved.Subject.ID, resolved.Subject.Name, resolved.Metric), func() wire.Doctor { //nolint:contextcheck // its own, see below
		ctx, cancel := context.WithTimeout(context.Background(), examinationTime) // others may wait for it when this request is gone
		defer cancel()
		go func() {
			select {
			case <-a.stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
		return doctor.Run(ctx, src, resolved)
	})
	if e == nil {
		return nil, tooManyExaminations()
	}
	select {
	case <-e.ended:
		if e.bug != "" {
			panic(e.bug) // as a handler that does the work itself
		}
		return &e.result, nil
	case <-a.stopping:
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: errStopping.Error()}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func tooManyExaminations() error {
	return huma.ErrorWithHeaders(
		&Problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("%d other subjects are being examined; try again in a few seconds", maxExaminations)},
		http.Header{"Retry-After": {examinationRetry}})
}

// search is doctor.Renamed for a few requests at a time; busy: too many search.
func (x *examinations) search(ctx context.Context, src doctor.Sources, r doctor.Request) (found doctor.Resolved, ok, busy bool) {
	x.mu.Lock()
	busy = x.searches >= maxExaminations
	if !busy {
		x.searches++
	}
	x.mu.Unlock()
	if busy {
		return found, false, true
	}
	defer func() {
		x.mu.Lock()
		x.searches--
		x.mu.Unlock()
	}()
	found, ok = doctor.Renamed(ctx, src, r)
	return found, ok, false
}

// join returns the examination of a subject that is under way, or begins one; nil: too many are under way.
func (x *examinations) join(key string, run func() wire.Doctor) *examination {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.byKey[key]; e != nil {
		return e
	}
	if len(x.byKey) >= maxExaminations {
		return nil
	}
	if x.byKey == nil {
		x.byKey = make(map[string]*examination)
	}
	e := &examination{ended: make(chan struct{})}
	x.byKey[key] = e
	go func() {
		defer func() {
			if v := recover(); v != nil { // it would end the process
				e.bug = fmt.Sprintf("%v\n%s", v, debug.Stack())
			}
			x.mu.Lock()
			delete(x.byKey, key)
			x.mu.Unlock()
			close(e.ended)
		}()
		e.result = run()
	}()
	return e
}
