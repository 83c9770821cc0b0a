package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/client"
	"github.com/stackscope/stackscope/internal/mapping"
)

// generationNumber is a generation of a server's mapping: 3 or @3.
type generationNumber int64

// UnmarshalText is called by kong.
func (g *generationNumber) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(strings.TrimPrefix(string(text), "@"), 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no generation: give a number, as in `stackscope mapping history`", text)
	}
	*g = generationNumber(n)
	return nil
}

// active stands for the generation that is active.
const active = client.AnyGeneration

// generation returns the generation that a name in place of a file stands for: @N, @active or @default, which is 0. ok is false for a file.
func generation(name string) (n int64, ok bool, err error) {
	word, ok := strings.CutPrefix(name, "@")
	switch {
	case !ok:
		return 0, false, nil
	case word == "active":
		return active, true, nil
	case word == "default":
		return 0, true, nil
	}
	var g generationNumber
	if g.UnmarshalText([]byte(word)) != nil || strings.HasPrefix(word, "@") {
		return 0, true, fmt.Errorf("%s is no generation: give @N with a number as in `stackscope mapping history`, @active or @default; ./%s is a file", name, name)
	}
	return int64(g), true, nil
}

// A side is a mapping that is compared or used: the whole document, with what an overlay gets from the built-in one.
type side struct {
	name string
	doc  *mapping.Document
}

// sides reads documents and generations. An overlay gets the built-in entries of the server, if one is asked for anything.
type sides struct {
	env     *command.Env
	client  *client.Client    // nil if all are files
	builtin *mapping.Document // of the server, or of this program
}

// newSides connects to a server if one of the names is a generation.
func newSides(e *command.Env, r *remote, names ...string) (*sides, error) {
	s := &sides{env: e, builtin: mapping.Default()}
	for _, name := range names {
		_, ok, err := generation(name)
		if err != nil {
			return nil, err
		}
		if ok && s.client == nil {
			if s.client, err = r.patient(e); err != nil {
				return nil, err
			}
			config, err := s.client.GetDefaultConfig(e.Context)
			if err != nil {
				return nil, err
			}
			if s.builtin, err = mapping.Decode(config.Document); err != nil {
				return nil, fmt.Errorf("the server's built-in document, which may be of another version: %w", err)
			}
		}
	}
	return s, nil
}

// defaultSide is the built-in document.
func (s *sides) defaultSide() side {
	if s.client != nil {
		return side{"the server's built-in document", s.builtin}
	}
	return side{"the built-in document", s.builtin}
}

// read reads the document or generation of a name, and prints the faults of a document.
func (s *sides) read(name string) (side, error) {
	n, ok, err := generation(name)
	switch {
	case err != nil:
		return side{}, err
	case ok && n == 0:
		return s.defaultSide(), nil
	case ok:
		return s.readGeneration(n)
	}
	doc, _, err := decodeFile(s.env, name, func(data []byte) (*mapping.Document, error) { return mapping.DecodeOver(data, s.builtin) })
	if err != nil {
		return side{}, printFaults(s.env, err)
	}
	return side{name, doc.Effective()}, nil
}

func (s *sides) readGeneration(n int64) (side, error) {
	var found side
	var data []byte
	if n == active {
		config, err := s.client.GetEffectiveConfig(s.env.Context)
		if err != nil {
			return side{}, err
		}
		found.name, data = fmt.Sprintf("generation %d, which is active", config.Generation), config.Document
	} else {
		g, err := s.client.EffectiveGeneration(s.env.Context, n)
		if err != nil {
			return side{}, noHistory(s.env.Context, s.client, err)
		}
		found.name, data = fmt.Sprintf("generation %d", n), g.Document
	}
	var err error
	if found.doc, err = mapping.DecodeOver(data, s.builtin); err != nil {
		return side{}, fmt.Errorf("%s: %w", found.name, err)
	}
	found.doc = found.doc.Effective()
	return found, nil
}

// noHistory says of an error that the server is too old for what was asked.
func noHistory(ctx context.Context, cl *client.Client, err error) error {
	if statusOf(err) != http.StatusNotFound {
		return err
	}
	if _, ask := cl.Generations(ctx, 1, 1); statusOf(ask) == http.StatusNotFound {
		return fmt.Errorf("%w; the server is older and has no history of the mapping: update it", err)
	}
	return err
}
