package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

const problemType = "application/problem+json"

// Problem is an error answer (RFC 9457).
type Problem struct {
	Title  string       `json:"title,omitempty" doc:"The status in words"`
	Status int          `json:"status" doc:"HTTP status"`
	Detail string       `json:"detail,omitempty" doc:"What was wrong and what to do"`
	Errors []wire.Fault `json:"errors,omitempty" doc:"Every fault of the request's body"`

	basic      bool // offer Basic authentication, for browsers
	ofScript   bool // but not to the script of a page, for which a browser would ask the user
	wrongToken bool // the request had a wrong token
	retryAfter time.Duration
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus and ContentType make huma answer with the problem as it is.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the type of problem documents whatever the client accepts.
func (p *Problem) ContentType(string) string { return problemType }

// problemResponse documents an error answer.
func problemResponse(schemas huma.Registry) func(description string) *huma.Response {
	schema := schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	return func(description string) *huma.Response {
		return &huma.Response{Description: description, Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
	}
}

// problems converts huma's own errors, which are about parameters and bodies, to Problem.
func problems(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case *Problem:
		if e.Title == "" {
			e.Title = http.StatusText(e.Status)
		}
		countRefusal(ctx, e)
	case *huma.ErrorModel:
		p := &Problem{Title: http.StatusText(e.Status), Status: e.Status, Detail: e.Detail}
		for _, d := range e.Errors {
			p.Errors = append(p.Errors, fault(d))
		}
		countRefusal(ctx, p)
		return p, nil
	}
	return v, nil
}

func countRefusal(ctx huma.Context, p *Problem) {
	if c, ok := ctx.(*registering); ok {
		c.countRefusal(p)
	}
}

// fault turns a location such as body.instances[0].name into a pointer such as /instances/0/name. A location outside the body has no
// pointer; it is part of the detail.
func fault(d *huma.ErrorDetail) wire.Fault {
	source, rest, _ := strings.Cut(d.Location, ".")
	if source != "body" {
		return wire.Fault{Detail: strings.TrimSpace(source+" "+rest) + ": " + d.Message}
	}
	if rest == "" {
		return wire.Fault{Detail: d.Message}
	}
	return wire.Fault{Pointer: "/" + strings.NewReplacer("[", "/", "]", "", ".", "/").Replace(rest), Detail: d.Message}
}

// problem converts an error of the inventory or the mapping. An admin gets the cause of an internal error, because an admin can fix it.
// For other clients it is logged.
func (a *API) problem(ctx context.Context, need access, doing string, err error) error {
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		return mappingFaults(faults)
	}
	switch {
	case errors.Is(err, ErrGeneration):
		return a.generationMismatch(AnyGeneration)
	case errors.Is(err, fleet.ErrRevoked):
		return &Problem{Status: http.StatusForbidden, Detail: err.Error()}
	case errors.Is(err, fleet.ErrNameTaken), errors.Is(err, fleet.ErrTwoWorkers), errors.Is(err, fleet.ErrRevokedFull):
		return &Problem{Status: http.StatusConflict, Detail: err.Error()}
	case errors.Is(err, fleet.ErrNoWorker):
		return &Problem{Status: http.StatusNotFound, Detail: err.Error()}
	case errors.Is(err, fleet.ErrInvalid):
		return &Problem{Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	}
	if errors.Is(err, fleet.ErrNotStored) && !errors.Is(err, fleet.ErrDamaged) {
		return notStored(need, doing, err)
	}
	if need == admin {
		return &Problem{Status: http.StatusInternalServerError, Detail: doing + ": " + err.Error()}
	}
	if ctx.Err() == nil {
		a.logger.Error("request failed", "doing", doing, "error", err)
	}
	return &Problem{Status: http.StatusInternalServerError, Detail: doing + " failed; the server's log says why"}
}

// storeRetry is the Retry-After when something could not be stored.
const storeRetry = 10 * time.Second

// notStored is the problem of a change that could not be stored, for example because the disk is full. The store logs the cause, once.
func notStored(need access, doing string, err error) error {
	p := &Problem{Status: http.StatusServiceUnavailable, Detail: doing + ": " + err.Error() + "; then do it again"}
	if need != admin {
		reason := "its log says why"
		if errors.Is(err, fleet.ErrNoSpace) {
			reason = fleet.ErrNoSpace.Error() + " on the disk of its data directory, free space there"
		}
		p.Detail = doing + ": the server cannot store this: " + reason + "; workers try again by themselves"
	}
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(int(storeRetry.Seconds()))}})
}

// generationMismatch is the problem of a change whose If-Match names the generation named, or AnyGeneration for none, and not the active one.
// Only admins change the mapping, so it tells the author.
func (a *API) generationMismatch(named int64) error {
	g := a.opts.Mapping.Current()
	var b strings.Builder
	fmt.Fprintf(&b, "generation %d is active", g.Number)
	if !g.At.IsZero() {
		b.WriteString(" since " + g.At.UTC().Format(time.RFC3339))
	}
	if g.Author != "" {
		fmt.Fprintf(&b, ", by %q", g.Author)
	}
	b.WriteString(", which If-Match does not name: nothing was changed; read the mapping again and repeat the change")
	if named >= 0 && named < g.Number {
		fmt.Fprintf(&b, "; GET %s/%d/diff?to=%d, or stackscope mapping diff @%d @%d, shows what is different", generationsPath, named, g.Number, named, g.Number)
	}
	return huma.ErrorWithHeaders(&Problem{Status: http.StatusPreconditionFailed, Detail: b.String()}, http.Header{"ETag": {generationTag(g.Number)}})
}

// mappingUnchanged says that a faulty mapping has no effect.
const mappingUnchanged = "; the active one is unchanged"

func mappingFaults(faults mapping.Faults) *Problem {
	p := &Problem{Status: http.StatusUnprocessableEntity, Errors: make([]wire.Fault, len(faults))}
	for i, f := range faults {
		p.Errors[i] = wire.Fault{Pointer: f.Pointer, Detail: f.Detail, Line: f.Line}
	}
	p.Detail = "the mapping has 1 fault" + mappingUnchanged
	if n := len(faults); n != 1 {
		p.Detail = fmt.Sprintf("the mapping has %d faults%s", n, mappingUnchanged)
	}
	return p
}
