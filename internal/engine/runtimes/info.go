package runtimes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

const infoPath = "/info"

// about is an engine's answer to /info: the wanted string and the names of all members, at the top of the object.
type about struct {
	texts   map[string]string
	members map[string]bool
}

// maxMembers bounds the members of an answer that are looked at.
const maxMembers = 200

// info requests /info, which several runtimes have. It keeps only the string under wanted.
func (p prober) info(ctx context.Context, wanted string) (a about, err error) {
	err = p.ask(ctx, infoPath, func(body io.Reader) (err error) {
		a, err = readAbout(body, wanted)
		return err
	})
	return a, err
}

// infoString returns the string under key in the answer to /info. An answer of another runtime is an error.
func infoString(runtime, key string) probe {
	return func(ctx context.Context, p prober) (string, error) {
		a, err := p.info(ctx, key)
		if err != nil {
			return "", err
		}
		if other := a.runtime(); other != "" && other != runtime {
			return "", fmt.Errorf("GET %s: the answer is one of %s", infoPath, other)
		}
		if a.texts[key] == "" {
			return "", fmt.Errorf("GET %s: %w", infoPath, errNoAnswer)
		}
		return bounded(infoPath, key, a.texts[key])
	}
}

// runtime requests /info to find the engine's runtime, or "". It is for pages without a metric of any runtime, for example before the first
// request.
func (p prober) runtime(ctx context.Context) string {
	a, err := p.info(ctx, "")
	if err != nil {
		return ""
	}
	return a.runtime()
}

// runtime returns the runtime that has these members, or "".
func (a about) runtime() string {
	for _, r := range All() {
		if r.ownsInfo != nil && r.ownsInfo(a.members) {
			return r.Name
		}
	}
	return ""
}

// readAbout reads a JSON object to its end.
func readAbout(r io.Reader, wanted string) (about, error) {
	a := about{texts: map[string]string{}, members: map[string]bool{}}
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return a, errNoAnswer
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return a, err
		}
		key, _ := name.(string)
		if a.members[key] = true; len(a.members) > maxMembers {
			return a, errNoAnswer
		}
		if key != wanted {
			if err := skipValue(dec); err != nil {
				return a, err
			}
			continue
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return a, err
		}
		if text, ok := value.(string); ok {
			a.texts[key] = text
		}
	}
	_, err := dec.Token()
	return a, err
}
