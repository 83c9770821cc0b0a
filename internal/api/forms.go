package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stackscope/stackscope/internal/mapping"
)

// maxRendering bounds the documents that are read from the store, compared or encoded for requests at a time. Others wait.
const maxRendering = 2

// form is how a document is asked for. The zero value is JSON as it was posted.
type form struct{ effective, yaml bool }

func (f form) contentType() string {
	if f.yaml {
		return yamlType
	}
	return "application/json"
}

const yamlType = "application/yaml"

// FormQuery has what says in which form a document is to be sent.
type FormQuery struct {
	Effective string `query:"effective" doc:"1: what workers use"`
	Accept    string `header:"Accept" doc:"application/yaml or application/json, which is the default"`

	form form
}

// Resolve reads the parameters.
func (q *FormQuery) Resolve(ctx huma.Context) []error {
	query, err := readQuery(ctx, []string{effectiveParameter}, effectiveParameter)
	if err == nil {
		q.form.effective, err = readFlag(query, effectiveParameter)
	}
	if err != nil {
		return []error{ofRead(err)}
	}
	q.form.yaml = prefersYAML(q.Accept)
	return nil
}

// prefersYAML reports whether a header Accept names YAML and does not prefer JSON. Of two types of one weight the first one counts.
func prefersYAML(accept string) bool {
	yaml, json := 0.0, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, ok := parameters["q"]; ok {
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		switch kind {
		case yamlType, "text/yaml", "application/x-yaml", "text/x-yaml":
			if weight > json {
				yaml = max(yaml, weight)
			}
		case "application/json":
			json = max(json, weight)
		}
	}
	return yaml > 0 && yaml >= json
}

// forms keeps the forms of the active document that were asked for. The zero value is ready to use.
type forms struct {
	mu     sync.Mutex
	number int64
	byForm map[form]func() ([]byte, error)
}

// of returns a form of the active generation with its ETag.
func (f *forms) of(g *Generation, want form) (body []byte, tag string, err error) {
	if want == (form{}) {
		return g.Document, generationTag(g.Number), nil
	}
	f.mu.Lock()
	if f.byForm == nil || f.number != g.Number {
		f.number, f.byForm = g.Number, map[form]func() ([]byte, error){}
	}
	encode := f.byForm[want]
	if encode == nil {
		document := g.Document
		if want.effective {
			document = g.Effective
		}
		encode = sync.OnceValues(func() ([]byte, error) {
			if !want.yaml {
				return document, nil
			}
			return yamlOf(document)
		})
		f.byForm[want] = encode
	}
	f.mu.Unlock()
	if body, err = encode(); err != nil {
		return nil, "", err
	}
	return body, digestTag(g.Number, body), nil
}

func yamlOf(document []byte) ([]byte, error) {
	doc, _, err := mapping.DecodeStored(document, mapping.Default())
	if err != nil {
		return nil, err
	}
	return doc.EncodeYAML()
}

// digestTag is the ETag of an answer about a generation that is not always the same.
func digestTag(number int64, body []byte) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf(`"%d-%x"`, number, sum[:8])
}

// render takes a place among the requests that read, compare or encode documents.
func (a *API) render(ctx context.Context) (done func(), err error) {
	select {
	case a.rendering <- struct{}{}:
		return func() { <-a.rendering }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
