package runtimes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/engine/fetch"
)

// Bounds of the questions that an engine is asked about itself.
const (
	probeTimeout    = 3 * time.Second
	maxProbeBytes   = 1 << 20
	maxVersionBytes = 128
	maxModelBytes   = 512
)

// Prober asks one engine about itself. Its errors never hold anything of the answers.
type Prober struct {
	Fetcher *fetch.Fetcher
	Target  fetch.Target
}

// version asks for path and returns the string under "version" at the top of the JSON object that comes back.
func (p Prober) version(ctx context.Context, path string) (string, error) {
	return p.text(ctx, path, "version")
}

// text asks for path and returns the string under key at the top of the JSON object that comes back. The answer is read
// token by token and nothing else of it is kept.
func (p Prober) text(ctx context.Context, path, key string) (string, error) {
	var value string
	err := p.ask(ctx, path, func(body io.Reader) (err error) {
		value, err = topLevelString(body, key)
		return err
	})
	return bounded(path, key, value, err)
}

func bounded(path, key, value string, err error) (string, error) {
	limit := maxModelBytes
	if key == "version" {
		limit = maxVersionBytes
	}
	if err == nil && len(value) > limit {
		return "", fmt.Errorf("GET %s: %q has %d bytes", path, key, len(value))
	}
	return value, err
}

// onPort returns a Prober of port to if the engine's metrics are on port from.
func (p Prober) onPort(from, to string) Prober {
	p.Target = p.Target.OnPort(from, to)
	return p
}

// without returns a Prober without suffix at the end of the base address, which is there if the address was cut from a page's.
func (p Prober) without(suffix string) Prober {
	p.Target = p.Target.TrimPath(suffix)
	return p
}

// modelList is what matters of an OpenAI-compatible list of models.
type modelList struct {
	Data []struct {
		ID string `json:"id"`
	} `json:"data"`
}

// model asks for the first model that the engine serves.
func (p Prober) model(ctx context.Context) (string, error) {
	const path = "/v1/models"
	var list modelList
	err := p.ask(ctx, path, func(body io.Reader) (err error) {
		list, err = httpjson.Decode[modelList](body, maxProbeBytes)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case len(list.Data) == 0 || list.Data[0].ID == "":
		return "", fmt.Errorf("GET %s: names no model", path)
	case len(list.Data[0].ID) > maxModelBytes:
		return "", fmt.Errorf("GET %s: the model's name has %d bytes", path, len(list.Data[0].ID))
	}
	return list.Data[0].ID, nil
}

var (
	errNoAnswer = errors.New("no usable answer")
	errNoModel  = errors.New("this engine does not say which model it serves")
)

// ask gets path and hands the JSON that comes back to read.
func (p Prober) ask(ctx context.Context, path string, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := p.Fetcher.Ask(ctx, p.Target, path, "application/json", maxProbeBytes, func(body io.Reader) error {
		if read(body) != nil {
			return errNoAnswer // the error of a decoder may repeat what was answered
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
