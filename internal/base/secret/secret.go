// Package secret reads tokens from files.
package secret

import (
	"errors"
	"os"
	"strings"

	"github.com/stackscope/stackscope/internal/base/httpjson"
)

const maxBytes = 4096

// ReadFile returns the secret that a file holds, without spaces around it, at most 4 KiB. It fails for more than one word of plain
// ASCII.
func ReadFile(path string) (text string, err error) {
	f, err := os.Open(path)
	if err != nil {
		if pe, ok := errors.AsType[*os.PathError](err); ok {
			return "", pe.Err // whoever calls names the path
		}
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := httpjson.ReadAll(f, maxBytes)
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(string(data))
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("it holds more than one word of plain ASCII: write one")
	}
	return text, nil
}
