// Package secret reads tokens from files.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stackscope/stackscope/internal/base/durable"
)

const (
	maxBytes = 4096
	// Some editors begin a file with it.
	byteOrderMark = "\uFEFF"
)

// ReadFile returns the secret that a file holds, without spaces around it, at most 4 KiB. It fails for more than one word of plain
// ASCII.
func ReadFile(path string) (text string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", durable.Cause(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return "", durable.Cause(err)
	}
	if len(data) > maxBytes {
		return "", fmt.Errorf("it is larger than %d bytes, which no token is", maxBytes)
	}
	text = strings.TrimSpace(strings.TrimPrefix(string(data), byteOrderMark))
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("it holds more than one word of plain ASCII")
	}
	return text, nil
}
