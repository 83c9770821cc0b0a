package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/secret"
)

const (
	adminTokenFile  = "admin-token"
	workerTokenFile = "worker-token"
	minTokenLength  = 16
)

// readOrCreateToken reads the token in DIR/name, or makes it at the first start.
func readOrCreateToken(dir, name string, logger *slog.Logger) (string, error) {
	path := filepath.Join(dir, name)
	text, err := secret.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = rand.Text()
		return text, durable.WriteFile(path, []byte(text+"\n"), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("token file %s: %w; put that right, or remove it and a token is made", path, err)
	}
	if len(text) < minTokenLength {
		return "", fmt.Errorf("token file %s holds %d characters: write at least %d, or remove the file and a token is made", path, len(text), minTokenLength)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		logger.Warn("token file can be read by others on this machine; make it private with chmod 600", "file", path, "mode", info.Mode().Perm())
	}
	return text, nil
}
