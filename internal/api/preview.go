package api

import (
	"cmp"
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
		description: "The page is in the request, or is read from the instance as for GET /v2/model-instances/{id}/page: 502 says why that could not be. Nothing is stored or activated. Two are computed at a time.",
		errors:      []int{http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusBadGateway, http.StatusServiceUnavailable},
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
	page, err := a.previewPage(ctx, req)
	if err != nil {
		return nil, err
	}
	select { // after the page was read, which may take long
	case a.previews <- struct{}{}:
		defer func() { <-a.previews }()
	default:
		return nil, huma.ErrorWithHeaders(
			&Problem{Status: http.StatusServiceUnavailable, Detail: fmt.Sprintf("%d of these requests are running already; try again in a moment", maxPreviews)},
			http.Header{"Retry-After": {"1"}})
	}
	compiled, err := a.previewMapping(req.Mapping)
	if faults, ok := errors.AsType[mapping.Faults](err); ok {
		return nil, previewFaults(faults)
	}
	if err != nil {
		return nil, a.problem(ctx, viewer, "preview", err)
	}
	plan := compiled.Plan(page.runtime, page.version)
	if plan.Empty() {
		return nil, invalidBody(page.runtimePointer, fmt.Sprintf("found %q and version %q, for which the mapping has nothing: %s", page.runtime, page.version, compiled.Missing(page.runtime, page.version)))
	}
	format := translate.DetectFormat(page.contentType, page.text)
	if work := translate.Work(page.text, format, plan); work > maxPreviewWork {
		return nil, invalidBody("/page", fmt.Sprintf("found %d pairs of a sample and a target of the mapping, allowed are %d", work, maxPreviewWork))
	}
	var result translate.Result
	result.Translate(page.text, format, plan, translate.NewSource([]translate.Label{{Name: "runtime", Value: page.runtime}}))
	var w exposition.Writer
	translate.Merge(&w, compiled.Families(), &result)
	if w.Len() > maxUnifiedBytes {
		return nil, invalidBody("/page", fmt.Sprintf("it would become %d bytes, allowed are %d", w.Len(), maxUnifiedBytes))
	}
	answer := wire.Preview{Unified: string(w.Bytes()), Native: nativeReports(translate.Explain(page.text, format, plan))}
	answer.Coverage.Families, answer.Coverage.Of = result.Coverage(plan)
	if req.Instance != 0 {
		answer.Page, answer.Truncated, answer.Runtime, answer.Version = string(page.text), page.truncated, page.runtime, page.version
	}
	return &previewOutput{Body: answer}, nil
}

// previewedPage is the page of a preview and what is known of its engine.
type previewedPage struct {
	text                          []byte
	truncated                     bool
	contentType, runtime, version string
	runtimePointer                string // to what of the request says the runtime
}

// previewPage returns the page of a request, or that of its instance.
func (a *API) previewPage(ctx context.Context, req *wire.PreviewRequest) (previewedPage, error) {
	if req.Instance == 0 {
		switch {
		case req.Page == "":
			return previewedPage{}, invalidBody("/page", "it is missing; give a metrics page of an engine, or an instance")
		case req.Runtime == "":
			return previewedPage{}, invalidBody("/runtime", "it is missing; name the engine as the mapping does, or give an instance in place of page and runtime")
		case len(req.Page) > maxPageBytes:
			return previewedPage{}, invalidBody("/page", fmt.Sprintf("found %d bytes, allowed are %d", len(req.Page), maxPageBytes))
		}
		return previewedPage{text: []byte(req.Page), runtime: req.Runtime, version: req.Version, runtimePointer: "/runtime"}, nil
	}
	for pointer, value := range map[string]string{"/page": req.Page, "/runtime": req.Runtime, "/version": req.Version} {
		if value != "" {
			return previewedPage{}, invalidBody(pointer, "it is known of the instance; leave it out, or leave the instance out")
		}
	}
	instance, _, err := findInstance(a.opts.Inventory.Snapshot(), req.Instance)
	if err != nil {
		return previewedPage{}, err
	}
	p, err := a.InstancePage(ctx, req.Instance)
	if err != nil {
		return previewedPage{}, err
	}
	if unread := p.Error != "" && p.Coverage == nil; unread || p.Native == "" {
		return previewedPage{}, &Problem{Status: http.StatusBadGateway, Detail: fmt.Sprintf("the page of instance %s cannot be had: %s", instance.Name, cmp.Or(p.Error, "it is empty"))}
	}
	return previewedPage{
		text: []byte(p.Native), truncated: p.Truncated, contentType: p.ContentType, runtimePointer: "/instance",
		runtime: cmp.Or(p.Runtime, instance.Runtime), version: cmp.Or(p.RuntimeVersion, instance.RuntimeVersion),
	}, nil
}

// previewMapping returns the mapping of a request, or the active one if the request has none.
func (a *API) previewMapping(document json.RawMessage) (*mapping.Compiled, error) {
	data := []byte(document)
	if len(data) == 0 {
		data = a.opts.Mapping.Current().Effective
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
