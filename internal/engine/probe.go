package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/httpjson"
)

// Bounds of the questions that an engine is asked about itself.
const (
	probeTimeout    = 3 * time.Second
	maxProbeBytes   = 1 << 20
	maxVersionBytes = 128
	maxModelBytes   = 512
)

// prober asks one engine about itself. Its errors never hold anything of the answers.
type prober struct {
	fetcher *Fetcher
	target  Target
}

// version asks for path and returns the string under "version" at the top of the JSON object that comes back.
func (p prober) version(ctx context.Context, path string) (string, error) {
	return p.text(ctx, path, "version")
}

// text asks for path and returns the string under key at the top of the JSON object that comes back. The answer is read
// token by token and nothing else of it is kept.
func (p prober) text(ctx context.Context, path, key string) (string, error) {
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

// beside returns a prober of the port to if this one's is from: some engines tell about themselves on another port than
// the one of their metrics.
func (p prober) beside(from, to string) prober {
	if p.target.base.Port() == from {
		u := *p.target.base
		u.Host = net.JoinHostPort(u.Hostname(), to)
		p.target.base = &u
	}
	return p
}

// aside returns a prober without suffix at the end of its address, which is there if the address was cut from a page's.
func (p prober) aside(suffix string) prober {
	u := *p.target.base
	u.Path = strings.TrimSuffix(u.Path, suffix)
	p.target.base = &u
	return p
}

// modelList is what matters of an OpenAI-compatible list of models.
type modelList struct {
	Data []struct {
		ID string `json:"id"`
	} `json:"data"`
}

// model asks for the first model that the engine serves.
func (p prober) model(ctx context.Context) (string, error) {
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

func (p prober) ask(ctx context.Context, path string, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	u := *p.target.base
	u.Path += path
	resp, err := p.fetcher.get(ctx, p.target, &u, "application/json")
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: answered %d %s", path, resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if err := read(io.LimitReader(resp.Body, maxProbeBytes)); err != nil {
		return fmt.Errorf("GET %s: %w", path, errNoAnswer)
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
