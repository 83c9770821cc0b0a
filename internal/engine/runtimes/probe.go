package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/engine/fetch"
	"github.com/stackscope/stackscope/internal/fleet"
)

// Bounds of the requests for an engine's version and model.
const (
	probeTimeout    = 3 * time.Second
	maxProbeBytes   = 1 << 20
	maxVersionBytes = 128
	maxModelBytes   = 512
	// maxLongModelBytes bounds a label that is too long for the inventory, but is returned, so that it can be shown in part.
	maxLongModelBytes = 4096
)

// prober requests version and model from one engine. Its errors never contain the answer.
type prober struct {
	fetcher *fetch.Fetcher
	target  fetch.Target
	root    *string // is set to the root of the first listed model; nil: it is not wanted
}

// probe is one request to an engine.
type probe func(ctx context.Context, p prober) (string, error)

// stringAt requests path and returns the string under key at the top of the JSON object in the answer. It decodes token by token and keeps
// nothing else.
func stringAt(key, path string) probe {
	return func(ctx context.Context, p prober) (value string, err error) {
		err = p.ask(ctx, path, func(body io.Reader) (err error) {
			value, err = topLevelString(body, key)
			return err
		})
		if err != nil {
			return "", err
		}
		return bounded(path, key, value)
	}
}

// or makes a second request if the first fails.
func (ask probe) or(second probe) probe {
	return func(ctx context.Context, p prober) (string, error) {
		if value, err := ask(ctx, p); err == nil {
			return value, nil
		}
		return second(ctx, p)
	}
}

// onPort sends the request to port to if the engine's metrics are on port from.
func (ask probe) onPort(from, to string) probe {
	return func(ctx context.Context, p prober) (string, error) {
		p.target = p.target.OnPort(from, to)
		return ask(ctx, p)
	}
}

// trimPath removes suffix from the base address, which has it if it was made from the address of a metrics page.
func (ask probe) trimPath(suffix string) probe {
	return func(ctx context.Context, p prober) (string, error) {
		p.target = p.target.TrimPath(suffix)
		return ask(ctx, p)
	}
}

// notTold is the model probe of runtimes that do not show which model they serve.
func notTold(context.Context, prober) (string, error) { return "", errNoModel }

// bounded refuses a value that is too long for a name.
func bounded(path, key, value string) (string, error) {
	limit := maxModelBytes
	if strings.HasSuffix(key, "version") {
		limit = maxVersionBytes
	}
	if len(value) > limit {
		return "", fmt.Errorf("GET %s: %q has %d bytes", path, key, len(value))
	}
	return value, nil
}

// ListedModel is an entry of OpenAI's list of models, with the members that vLLM and SGLang add.
type ListedModel struct {
	ID string `json:"id"`
	// Root is what the name stands for: the weights of a served name, or of an adapter.
	Root optionalText `json:"root"`
	// Parent is the model of a LoRA adapter; empty: it is no adapter.
	Parent optionalText `json:"parent"`
}

// optionalText is a JSON string. Any other value is empty: it must not cost the rest of the answer.
type optionalText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *optionalText) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*t = optionalText(text)
	}
	return nil
}

// modelList is an OpenAI-compatible list of models.
type modelList struct {
	Data []ListedModel `json:"data"`
}

const modelsPath = "/v1/models"

func (p prober) models(ctx context.Context) (list modelList, err error) {
	err = p.ask(ctx, modelsPath, func(body io.Reader) (err error) {
		list, err = httpjson.Decode[modelList](body, maxProbeBytes)
		return err
	})
	return list, err
}

// maxListed bounds the entries of ListModels.
const maxListed = 4096

// ListModels requests the list of models of OpenAI's API from the engine at t. It returns at most maxListed entries, the first one of
// each ID.
func ListModels(ctx context.Context, f *fetch.Fetcher, t fetch.Target) ([]ListedModel, error) {
	list, err := prober{fetcher: f, target: t}.models(ctx)
	seen := make(map[string]bool, min(len(list.Data), maxListed))
	var first []ListedModel
	for _, m := range list.Data {
		if len(first) < maxListed && m.ID != "" && !seen[m.ID] {
			seen[m.ID] = true
			first = append(first, m)
		}
	}
	return first, err
}

// listedModel requests the list of models of OpenAI's API and returns the first that is no LoRA adapter.
func listedModel(ctx context.Context, p prober) (string, error) {
	list, err := p.models(ctx)
	if err != nil {
		return "", err
	}
	var first ListedModel
	if i := slices.IndexFunc(list.Data, func(m ListedModel) bool { return m.Parent == "" }); i >= 0 {
		first = list.Data[i]
	}
	switch {
	case first.ID == "":
		return "", fmt.Errorf("GET %s: names no model", modelsPath)
	case len(first.ID) > maxModelBytes:
		return "", fmt.Errorf("GET %s: the model's name has %d bytes", modelsPath, len(first.ID))
	}
	if root := string(first.Root); p.root != nil && len(root) <= fleet.MaxSourceKey {
		*p.root = root
	}
	return first.ID, nil
}

var (
	errNoAnswer = errors.New("no usable answer")
	errNoModel  = errors.New("this engine does not show which model it serves")
)

// ask requests path and passes the JSON answer to read.
func (p prober) ask(ctx context.Context, path string, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := p.fetcher.Get(ctx, p.target, path, "application/json", maxProbeBytes, func(body io.Reader) error {
		if read(body) != nil {
			return errNoAnswer // a decoder's error may contain part of the answer
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// topLevelString reads a JSON object up to its member key, which must be a non-empty string.
func topLevelString(r io.Reader, key string) (string, error) {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", errNoAnswer
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return "", err
		}
		if name == key {
			t, err := dec.Token()
			if value, ok := t.(string); err == nil && ok && value != "" {
				return value, nil
			}
			return "", errNoAnswer
		}
		if err := skipValue(dec); err != nil {
			return "", err
		}
	}
	return "", errNoAnswer
}

func skipValue(dec *json.Decoder) error {
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
