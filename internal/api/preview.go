package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/exposition"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/translate"
	"github.com/stackscope/stackscope/internal/wire"
)

// Bounds of a preview.
const (
	// maxPageBytes bounds its page, as a worker bounds an engine's page.
	maxPageBytes = 16 << 20
	// maxPreviewBody includes the JSON escapes of the page, and a mapping.
	maxPreviewBody = 2*maxPageBytes + 2*mapping.MaxDocumentBytes
	// maxUnifiedBytes bounds the page in the answer.
	maxUnifiedBytes = 32 << 20
	// maxPreviewWork bounds translate.Work. An engine's page of 16 MiB under the built-in mapping needs less than a tenth.
	maxPreviewWork = 10_000_000
	// maxPreviews bounds the concurrent previews.
	maxPreviews = 2
)

func (a *API) registerPreview(h huma.API, tag string) {
	register(a, h, route{
		id: "get-metrics-config-schema", method: "GET", path: "/v2/metrics/config/schema", access: viewer, tag: tag,
		summary: "The JSON Schema of metrics mappings",
	}, a.getConfigSchema)
	register(a, h, route{
		id: "preview-metrics", method: "POST", path: "/v2/metrics/preview", access: viewer, tag: tag, maxBody: maxPreviewBody,
		summary:     "What a mapping makes of a metrics page",
		description: "Only computes: nothing is fetched, stored or activated. Two are computed at a time.",
		errors:      []int{http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		slots:       make(chan struct{}, maxPreviews),
	}, a.preview)
	h.OpenAPI().Paths["/v2/metrics/config/schema"].Get.Responses["200"].Content = map[string]*huma.MediaType{
		schemaType: {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}},
	}
}

const schemaType = "application/schema+json"

type schemaOutput struct {
	ContentType string `header:"Content-Type"`
	Cache       string `header:"Cache-Control"`
	Body        []byte
}

func (a *API) getConfigSchema(context.Context, *none) (*schemaOutput, error) {
	return &schemaOutput{ContentType: schemaType, Cache: "no-cache", Body: mapping.Schema()}, nil
}

type previewInput struct{ Body wire.PreviewRequest }

type previewOutput struct{ Body wire.Preview }

func (a *API) preview(ctx context.Context, in *previewInput) (*previewOutput, error) {
	req := &in.Body
	if len(req.Page) > maxPageBytes {
		return nil, invalidBody("/page", fmt.Sprintf("found %d bytes, allowed are %d", len(req.Page), maxPageBytes))
	}
	compiled, err := a.previewMapping(req.Mapping)
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		return nil, previewFaults(faults)
	}
	if err != nil {
		return nil, a.problem(ctx, viewer, "preview", err)
	}
	plan := compiled.Plan(req.Runtime, req.Version)
	if plan.Empty() {
		return nil, invalidBody("/runtime", fmt.Sprintf("found %q and version %q, for which the mapping has nothing: %s", req.Runtime, req.Version, compiled.Missing(req.Runtime, req.Version)))
	}
	page := []byte(req.Page)
	format := translate.DetectFormat("", page)
	if work := translate.Work(page, format, plan); work > maxPreviewWork {
		return nil, invalidBody("/page", fmt.Sprintf("found %d pairs of a sample and a target of the mapping, allowed are %d", work, maxPreviewWork))
	}
	var result translate.Result
	result.Translate(page, format, plan, translate.NewSource([]translate.Label{{Name: "runtime", Value: req.Runtime}}))
	var w exposition.Writer
	translate.Merge(&w, compiled.Families(), &result)
	if w.Len() > maxUnifiedBytes {
		return nil, invalidBody("/page", fmt.Sprintf("it would become %d bytes, allowed are %d", w.Len(), maxUnifiedBytes))
	}
	answer := wire.Preview{Unified: string(w.Bytes()), Native: nativeReports(translate.Explain(page, format, plan))}
	answer.Coverage.Families, answer.Coverage.Of = result.Coverage(plan)
	return &previewOutput{Body: answer}, nil
}

// previewMapping returns the mapping of a request, or the active one if the request has none.
func (a *API) previewMapping(document json.RawMessage) (*mapping.Compiled, error) {
	data := []byte(document)
	if len(data) == 0 {
		data = a.opts.Mapping.Current().Document
	}
	if data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return nil, mapping.Faults{{Detail: err.Error()}}
		}
		data = []byte(text)
	}
	doc, err := mapping.Decode(data)
	if err != nil {
		return nil, err
	}
	return mapping.Compile(doc)
}

func nativeReports(reports []translate.NativeReport) []wire.NativeReport {
	list := make([]wire.NativeReport, len(reports))
	for i, r := range reports {
		list[i] = wire.NativeReport{Name: r.Name, Type: r.Type, Samples: r.Samples, Unreadable: r.Unreadable, Why: r.Why}
		for _, o := range r.Outcomes {
			list[i].Outcomes = append(list[i].Outcomes, wire.NativeOutcome(o))
		}
	}
	return list
}

// invalidBody is the problem of a part of a request's body.
func invalidBody(pointer, detail string) *Problem {
	return &Problem{
		Status: http.StatusUnprocessableEntity, Detail: strings.TrimPrefix(pointer, "/") + ": " + detail,
		Errors: []wire.Fault{{Pointer: pointer, Detail: detail}},
	}
}

// previewFaults is the problem of a faulty mapping in the request of a preview.
func previewFaults(faults mapping.Faults) *Problem {
	p := mappingFaults(faults)
	p.Detail = strings.TrimSuffix(p.Detail, mappingUnchanged)
	for i := range p.Errors {
		p.Errors[i].Pointer = "/mapping" + p.Errors[i].Pointer
	}
	return p
}
