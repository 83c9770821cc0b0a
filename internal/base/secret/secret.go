// Package secret reads tokens and keys from files.
package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
func ReadFile(path string) (string, error) {
	text, err := readText(path)
	if err != nil {
		return "", durable.Cause(err)
	}
	text = strings.TrimSpace(strings.TrimPrefix(text, byteOrderMark))
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("it holds more than one word of plain ASCII")
	}
	return text, nil
}

func readText(path string) (text string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxBytes {
		return "", fmt.Errorf("it is larger than %d bytes, which no secret is", maxBytes)
	}
	return strings.TrimSpace(string(data)), nil
}

// MinKeyBytes is how long a key must be.
const MinKeyBytes = 16

// ReadKey returns the text of a file, without spaces around it, as a key: at least MinKeyBytes, at most 4 KiB. If there is no file and
// create is set, it makes one with a random key.
func ReadKey(path string, create bool) ([]byte, error) {
	key, err := readText(path)
	switch {
	case create && errors.Is(err, fs.ErrNotExist):
		key = rand.Text()
		err = durable.WriteFile(path, []byte(key+"\n"), 0o600)
	case err == nil && len(key) < MinKeyBytes:
		err = fmt.Errorf("%d characters are too few for a secret: write at least %d", len(key), MinKeyBytes)
	}
	if err != nil {
		return nil, err
	}
	return []byte(key), nil
}
