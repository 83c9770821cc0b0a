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

	basic      bool // a browser may ask its user for a password
	wrongToken bool // it is about a token that was wrong
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

// problems gives huma's own errors, which are about parameters and bodies, the form of all others.
func problems(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case *Problem:
		if e.Title == "" {
			e.Title = http.StatusText(e.Status)
		}
		bound(ctx, e)
	case *huma.ErrorModel:
		p := &Problem{Title: http.StatusText(e.Status), Status: e.Status, Detail: e.Detail}
		for _, d := range e.Errors {
			p.Errors = append(p.Errors, fault(d))
		}
		bound(ctx, p)
		return p, nil
	}
	return v, nil
}

func bound(ctx huma.Context, p *Problem) {
	if c, ok := ctx.(*registering); ok {
		c.refused(p)
	}
}

// fault turns a place such as body.instances[0].name into a pointer such as /instances/0/name. Other places than the body
// have no pointer and go into the detail.
func fault(d *huma.ErrorDetail) wire.Fault {
	place, rest, _ := strings.Cut(d.Location, ".")
	if place != "body" {
		return wire.Fault{Detail: strings.TrimSpace(place+" "+rest) + ": " + d.Message}
	}
	if rest == "" {
		return wire.Fault{Detail: d.Message}
	}
	return wire.Fault{Pointer: "/" + strings.NewReplacer("[", "/", "]", "", ".", "/").Replace(rest), Detail: d.Message}
}

// problem explains an error of the parts behind the API. A cause that isn't the caller's fault is told to an admin, who can do
// something about it, and logged for everybody else.
func (a *API) problem(ctx context.Context, need access, doing string, err error) error {
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		return faultyDocument(faults)
	}
	switch {
	case errors.Is(err, ErrGeneration):
		return a.overtaken()
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

// storeRetry is how long clients are asked to wait when something could not be stored.
const storeRetry = 10 * time.Second

// notStored explains that what was asked for could not be stored, which may pass. Whoever stores logs it, once.
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

// overtaken answers a change whose If-Match names another generation than the one in force.
func (a *API) overtaken() *Problem {
	return &Problem{Status: http.StatusPreconditionFailed, Detail: fmt.Sprintf("generation %d is active, which If-Match does not name: read the mapping again and repeat the change", a.opts.Mapping.Current().Number)}
}

// unchanged is what a faulty mapping does to the one in force.
const unchanged = "; the active one is unchanged"

func faultyDocument(faults mapping.Faults) *Problem {
	p := &Problem{Status: http.StatusUnprocessableEntity, Errors: make([]wire.Fault, len(faults))}
	for i, f := range faults {
		p.Errors[i] = wire.Fault{Pointer: f.Pointer, Detail: f.Detail}
	}
	p.Detail = "the mapping has 1 fault" + unchanged
	if n := len(faults); n != 1 {
		p.Detail = fmt.Sprintf("the mapping has %d faults%s", n, unchanged)
	}
	return p
}
