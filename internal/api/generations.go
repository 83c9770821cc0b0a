package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stackscope/stackscope/internal/base/answer"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

type generationsQuery struct {
	Page    int `query:"page" default:"1" minimum:"1" maximum:"1000000" doc:"Number of a page, from 1"`
	PerPage int `query:"perPage" default:"100" minimum:"1" maximum:"100" doc:"Items of a page"`
}

type generationsOutput struct {
	Cache string `header:"Cache-Control"`
	Body  wire.List[wire.Generation]
}

func (a *API) listGenerations(ctx context.Context, in *generationsQuery) (*generationsOutput, error) {
	done, err := a.render(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	entries, total, err := a.opts.Mapping.History(ctx, (in.Page-1)*in.PerPage, in.PerPage)
	if err != nil {
		return nil, a.problem(ctx, viewer, "read the history of the metrics mapping", err)
	}
	list := wire.List[wire.Generation]{Items: make([]wire.Generation, len(entries)), Pagination: &wire.Pagination{
		Page: in.Page, PerPage: in.PerPage, Total: total, TotalPage: (total + in.PerPage - 1) / in.PerPage,
	}}
	for i := range entries {
		list.Items[i] = wireGeneration(ctx, &entries[i])
	}
	return &generationsOutput{Cache: "no-store", Body: list}, nil // the next client may be another one
}

// wireGeneration describes a generation for the client of a request.
func wireGeneration(ctx context.Context, e *Entry) wire.Generation {
	g := wire.Generation{
		Number: e.Number, Active: e.Active, Default: e.Default, Extends: e.Extends, At: optional(e.At), Comment: e.Comment,
		RestoredFrom: e.RestoredFrom, Metrics: e.Metrics, Problem: e.Problem,
	}
	if e.Author != "" && adminOf(ctx) != "" {
		g.Author = e.Author
	}
	return g
}

type generationInput struct {
	Number int64 `path:"generation" minimum:"0" doc:"0 is the built-in mapping"`
	FormQuery
}

func (a *API) getGeneration(ctx context.Context, in *generationInput) (*huma.StreamResponse, error) {
	done, err := a.render(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	e, err := a.generation(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	document := e.Document
	if in.form != (form{}) {
		doc, err := usable(e)
		if err != nil {
			return nil, err
		}
		if in.form.effective {
			doc = doc.Effective()
		}
		encode := doc.MarshalJSON
		if in.form.yaml {
			encode = doc.EncodeYAML
		}
		if document, err = encode(); err != nil {
			return nil, a.problem(ctx, viewer, "encode metrics mapping", err)
		}
	}
	if in.form.yaml {
		return a.bodyAnswer(in.Number, document, yamlType), nil
	}
	if !json.Valid(document) { // it is damaged, as its problem says
		document = []byte("null")
	}
	return a.jsonAnswer(ctx, in.Number, wire.GenerationDocument{Generation: wireGeneration(ctx, e), Document: document})
}

type diffInput struct {
	Number int64  `path:"generation" minimum:"0" doc:"0 is the built-in mapping"`
	To     string `query:"to" doc:"Generation to compare with; by default the active one; 0 is the built-in mapping"`
}

func (a *API) diffGenerations(ctx context.Context, in *diffInput) (*huma.StreamResponse, error) {
	to := a.opts.Mapping.Current().Number
	if in.To != "" {
		n, err := strconv.ParseInt(in.To, 10, 64)
		if err != nil || n < 0 {
			return nil, &Problem{Status: http.StatusUnprocessableEntity, Detail: fmt.Sprintf("query to: found %.40q, allowed are numbers of generations, from 0", in.To)}
		}
		to = n
	}
	done, err := a.render(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var documents [2]*mapping.Document
	for i, number := range []int64{in.Number, to} {
		e, err := a.generation(ctx, number)
		if err != nil {
			return nil, err
		}
		doc, err := usable(e)
		if err != nil {
			return nil, err
		}
		documents[i] = doc.Effective()
	}
	differences := mapping.Diff(documents[0], documents[1])
	diff := wire.GenerationDiff{From: in.Number, To: to, Differences: make([]wire.MappingDifference, len(differences))}
	for i, d := range differences {
		diff.Differences[i] = wire.MappingDifference(d)
	}
	return a.jsonAnswer(ctx, to, diff)
}

type restoreInput struct {
	Number int64 `path:"generation" minimum:"0" doc:"0 is the built-in mapping"`
	ChangeQuery
	IfMatch string `header:"If-Match" doc:"Generations, one of which must be active, as in the ETag of GET"`
}

func (a *API) restoreGeneration(ctx context.Context, in *restoreInput) (*mappingOutput, error) {
	expect, err := a.expected(in.IfMatch)
	if err != nil {
		return nil, err
	}
	e, err := a.generation(ctx, in.Number)
	if err != nil {
		return nil, err
	}
	p := proposal{doing: "restore metrics mapping", expect: expect, restoredFrom: &in.Number}
	if !e.Default {
		if p.document, err = usable(e); err != nil {
			return nil, err
		}
	}
	return a.change(ctx, &in.ChangeQuery, p)
}

// generation reads a generation from the history.
func (a *API) generation(ctx context.Context, number int64) (*Entry, error) {
	e, err := a.opts.Mapping.Generation(ctx, number)
	switch {
	case errors.Is(err, ErrNoGeneration):
		return nil, noGeneration(number)
	case err != nil:
		return nil, a.problem(ctx, viewer, "read the history of the metrics mapping", err)
	}
	return &e, nil
}

// usable returns the document of a generation, or why it cannot be used.
func usable(e *Entry) (*mapping.Document, error) {
	doc, _, err := mapping.DecodeStored(e.Document, mapping.Default())
	if e.Problem == "" && err == nil {
		return doc, nil
	}
	why := e.Problem
	if why == "" {
		why = err.Error()
	}
	return nil, &Problem{Status: http.StatusUnprocessableEntity, Detail: fmt.Sprintf("generation %d of the metrics mapping cannot be used: %s", e.Number, why)}
}

func (a *API) jsonAnswer(ctx context.Context, number int64, v any) (*huma.StreamResponse, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, a.problem(ctx, viewer, "encode metrics mapping", err)
	}
	return a.bodyAnswer(number, b.Bytes(), "application/json"), nil
}

// bodyAnswer sends a body that is made for one client, unless the client has it. What slow clients hold is bounded.
func (a *API) bodyAnswer(number int64, body []byte, contentType string) *huma.StreamResponse {
	tag := digestTag(number, body)
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		h := w.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "private, no-cache")
		h.Set("Vary", "Accept, Accept-Encoding, Authorization")
		if answer.Matches(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		encoded, err := a.answers.Encode(r, contentType, bytes.NewReader(body))
		if err != nil {
			a.write(w, &Problem{Status: http.StatusInternalServerError, Detail: "the answer could not be made"})
			return
		}
		defer encoded.Release()
		encoded.Send(w)
	}}
}
