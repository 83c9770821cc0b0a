package worker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/httpjson"
)

const (
	userKeyFile     = "user-hash-key"
	minUserKeyBytes = 16
	maxUserKeyBytes = 4096
)

// userKey reads the secret for users' hashes; nil: names are not hashed. The worker's own file is made at the first start.
func userKey(o *Options) ([]byte, error) {
	if !o.HashUsers {
		return nil, nil
	}
	path, own := o.UserHashKeyFile, o.UserHashKeyFile == ""
	if own {
		path = filepath.Join(o.DataDir, userKeyFile)
	}
	key, err := readUserKey(path)
	switch {
	case own && errors.Is(err, fs.ErrNotExist):
		key = rand.Text()
		err = durable.WriteFile(path, []byte(key+"\n"), 0o600)
	case err == nil && len(key) < minUserKeyBytes:
		err = fmt.Errorf("%d characters are too few for a secret: write at least %d", len(key), minUserKeyBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("--user-hash-key-file %s: %w", path, err)
	}
	return []byte(key), nil
}

func readUserKey(path string) (key string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := httpjson.ReadAll(f, maxUserKeyBytes)
	return strings.TrimSpace(string(data)), err
}
