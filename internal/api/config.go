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

	"github.com/stackscope/stackscope/internal/base/answer"
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
			"extends":          {Type: huma.TypeString, Description: "default: the document adds to the built-in one and overrides its entries", Enum: []any{mapping.ExtendsDefault}},
			"gpustack_metrics": entry("Unified metrics by name: type and description"),
			"runtime_mapping":  entry("Native metrics by runtime and version range, and the unified metrics that they become"),
		},
	}
}

func (a *API) getConfig(ctx context.Context, in *FormQuery) (*huma.StreamResponse, error) {
	g := a.opts.Mapping.Current()
	body, tag, err := a.forms.of(&g, in.form)
	if err != nil {
		return nil, a.problem(ctx, viewer, "read metrics mapping", err)
	}
	return configAnswer(body, tag, in.form, g.Default), nil
}

func (a *API) getDefaultConfig(context.Context, *none) (*huma.StreamResponse, error) {
	return configAnswer(a.opts.Mapping.Builtin(), generationTag(0), form{}, true), nil
}

// configAnswer sends a document without copying it: slow clients share its memory. A client whose If-None-Match has the tag gets none. The tag
// of the built-in document in its usual form names the generation alone, and an upgrade changes that document, so it proves nothing.
func configAnswer(doc []byte, tag string, f form, isDefault bool) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		h := w.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Vary", "Accept")
		if fixed := !isDefault || f != (form{}); fixed && answer.Matches(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", f.contentType())
		h.Set("Content-Length", strconv.Itoa(len(doc)+1))
		if _, err := w.Write(doc); err == nil {
			_, _ = w.Write([]byte{'\n'})
		}
	}}
}

// configResponse documents what configAnswer sends.
func configResponse() *huma.Response {
	text := func(description string) *huma.Param {
		return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	schema := document(nil).Schema(nil)
	return &huma.Response{
		Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: schema}, "application/yaml": {Schema: schema}},
		Headers: map[string]*huma.Param{"ETag": text("The generation"), "Cache-Control": text("no-cache")},
	}
}

// configBody documents the body of setConfig.
func configBody() *huma.RequestBody {
	schema := document(nil).Schema(nil)
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema},
		"application/yaml": {Schema: schema},
	}}
}

type setConfigInput struct {
	ChangeQuery
	Merge   string `query:"merge" doc:"1: the document extends the built-in one, as if it said extends: default"`
	IfMatch string `header:"If-Match" doc:"Generations, one of which must be active, as in the ETag of GET"`
	RawBody []byte
}

func (a *API) setConfig(ctx context.Context, in *setConfigInput) (*mappingOutput, error) {
	decode := mapping.Decode
	if in.merge {
		decode = mapping.DecodeOverlay
	}
	expect, err := a.expected(in.IfMatch)
	if err != nil {
		return nil, err
	}
	doc, err := decode(in.RawBody)
	if err != nil {
		return nil, a.problem(ctx, admin, "set metrics mapping", err)
	}
	return a.change(ctx, &in.ChangeQuery, proposal{doing: "set metrics mapping", document: doc, expect: expect})
}

type resetConfigInput struct {
	ChangeQuery
	IfMatch string `header:"If-Match" doc:"Generations, one of which must be active, as in the ETag of GET"`
}

func (a *API) resetConfig(ctx context.Context, in *resetConfigInput) (*mappingOutput, error) {
	expect, err := a.expected(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return a.change(ctx, &in.ChangeQuery, proposal{doing: "reset metrics mapping", expect: expect})
}

type mappingOutput struct {
	ETag string `header:"ETag" doc:"The generation that is active now"`
	Body mappingAnswer
}

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

// expected reads If-Match: the generation that must still be active when the change is made, or AnyGeneration. A weak tag counts as a
// strong one, because compressing proxies make tags weak. A tag of another form of the document names the same generation.
func (a *API) expected(ifMatch string) (int64, error) {
	ifMatch = strings.TrimSpace(ifMatch)
	if ifMatch == "" || ifMatch == "*" {
		return AnyGeneration, nil
	}
	current := a.opts.Mapping.Current()
	named := AnyGeneration
	for tag := range strings.SplitSeq(ifMatch, ",") {
		if n, ok := taggedGeneration(tag); ok {
			if n == current.Number {
				return n, nil
			}
			named = n
		}
	}
	return 0, a.generationMismatch(named)
}

func generationTag(number int64) string { return strconv.Quote(strconv.FormatInt(number, 10)) }

// taggedGeneration reads the generation from an ETag.
func taggedGeneration(tag string) (int64, bool) {
	tag, _, _ = strings.Cut(strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`), "-")
	n, err := strconv.ParseInt(tag, 10, 64)
	return n, err == nil && n >= 0
}

type okOutput struct{ Body string }

func (a *API) healthz(context.Context, *none) (*okOutput, error) { return &okOutput{Body: "ok"}, nil }

func (a *API) readyz(ctx context.Context, _ *none) (*okOutput, error) {
	if err := a.opts.Ready(); err != nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Detail: "not ready: " + a.opts.DataDir.For(ctx, err.Error())}
	}
	return &okOutput{Body: "ok"}, nil
}
