package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

type none struct{}

// document is JSON that is sent as it is.
type document []byte

func (d document) MarshalJSON() ([]byte, error) { return d, nil }

// Schema describes a mapping document.
func (document) Schema(huma.Registry) *huma.Schema {
	entry := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, Description: description, AdditionalProperties: true}
	}
	return &huma.Schema{
		Type: huma.TypeObject, Description: "Metrics mapping",
		Properties: map[string]*huma.Schema{
			"gpustack_metrics": entry("Unified metrics by name: type and description"),
			"runtime_mapping":  entry("Native metrics by runtime and version range, and the unified metrics that they become"),
		},
	}
}

// configAnswer sends a document without copying it: slow clients share its memory.
func configAnswer(doc []byte, generation int64) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(doc)+1))
		h.Set("ETag", strconv.Quote(strconv.FormatInt(generation, 10)))
		h.Set("Cache-Control", "no-cache")
		if _, err := w.Write(doc); err == nil {
			_, _ = w.Write([]byte{'\n'})
		}
	}}
}

func (a *API) getConfig(context.Context, *none) (*huma.StreamResponse, error) {
	g := a.opts.Mapping.Current()
	return configAnswer(g.Document, g.Number), nil
}

func (a *API) getDefaultConfig(context.Context, *none) (*huma.StreamResponse, error) {
	return configAnswer(a.opts.Mapping.Builtin(), 0), nil
}

// configResponse documents what configAnswer sends.
func configResponse() *huma.Response {
	text := func(description string) *huma.Param {
		return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return &huma.Response{
		Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: document(nil).Schema(nil)}},
		Headers: map[string]*huma.Param{"ETag": text("The generation"), "Cache-Control": text("no-cache")},
	}
}

type setConfigInput struct {
	DryRunQuery
	IfMatch string `header:"If-Match" doc:"Generations, one of which must be active, as in the ETag of GET"`
	RawBody []byte
}

// configBody documents the body of setConfig.
func configBody() *huma.RequestBody {
	schema := document(nil).Schema(nil)
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema},
		"application/yaml": {Schema: schema},
	}}
}

type resetConfigInput struct {
	DryRunQuery
	IfMatch string `header:"If-Match" doc:"Generations, one of which must be active, as in the ETag of GET"`
}

type mappingOutput struct{ Body mappingAnswer }

// mappingAnswer is the result of a change or of a dry run.
type mappingAnswer struct {
	status *wire.MappingStatus
	dryRun *wire.MappingDryRun
}

func (m mappingAnswer) MarshalJSON() ([]byte, error) {
	if m.dryRun != nil {
		return json.Marshal(m.dryRun)
	}
	return json.Marshal(m.status)
}

// Schema describes both answers.
func (mappingAnswer) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[wire.MappingStatus](), true, "MappingStatus"),
		r.Schema(reflect.TypeFor[wire.MappingDryRun](), true, "MappingDryRun"),
	}}
}

func (a *API) setConfig(ctx context.Context, in *setConfigInput) (*mappingOutput, error) {
	expect, err := a.expected(in.IfMatch)
	if err != nil {
		return nil, err
	}
	doc, err := mapping.Decode(in.RawBody)
	if err != nil {
		return nil, a.problem(ctx, admin, "set metrics mapping", err)
	}
	if in.dry {
		data, err := a.opts.Mapping.Check(doc)
		if err != nil {
			return nil, a.problem(ctx, admin, "try metrics mapping", err)
		}
		return a.dryRun(ctx, data, in.wait)
	}
	return a.changed(ctx, "set metrics mapping")(a.opts.Mapping.Publish(ctx, doc, expect))
}

func (a *API) resetConfig(ctx context.Context, in *resetConfigInput) (*mappingOutput, error) {
	expect, err := a.expected(in.IfMatch)
	if err != nil {
		return nil, err
	}
	if in.dry {
		return a.dryRun(ctx, nil, in.wait)
	}
	return a.changed(ctx, "reset metrics mapping")(a.opts.Mapping.Reset(ctx, expect))
}

func (a *API) changed(ctx context.Context, doing string) func(Change, error) (*mappingOutput, error) {
	return func(c Change, err error) (*mappingOutput, error) {
		if err != nil {
			return nil, a.problem(ctx, admin, doing, err)
		}
		return &mappingOutput{Body: mappingAnswer{status: &wire.MappingStatus{Status: "ok", Generation: c.Generation, Workers: c.Workers, Unchanged: !c.Changed}}}, nil
	}
}

// expected reads If-Match: the generation that must still be active when the change is made, or AnyGeneration. A weak tag counts as a
// strong one, because compressing proxies make tags weak.
func (a *API) expected(ifMatch string) (int64, error) {
	ifMatch = strings.TrimSpace(ifMatch)
	if ifMatch == "" || ifMatch == "*" {
		return AnyGeneration, nil
	}
	current := a.opts.Mapping.Current().Number
	for tag := range strings.SplitSeq(ifMatch, ",") {
		tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
		if n, err := strconv.ParseInt(tag, 10, 64); err == nil && n == current {
			return current, nil
		}
	}
	return 0, a.generationMismatch()
}

type okOutput struct{ Body string }

func (a *API) healthz(context.Context, *none) (*okOutput, error) { return &okOutput{Body: "ok"}, nil }

func (a *API) readyz(ctx context.Context, _ *none) (*okOutput, error) {
	if err := a.opts.Ready(); err != nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "not ready: " + a.opts.DataDir.For(ctx, err.Error())}
	}
	return &okOutput{Body: "ok"}, nil
}
