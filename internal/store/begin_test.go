package store_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/store"
)

// Tokens without a database may be those that an operator provided, or what is left of a server whose other files were removed: the
// server starts, and says so once.
func TestTokensWithoutADatabaseAreTold(t *testing.T) {
	told := func(t *testing.T, dir string) bool {
		t.Helper()
		var log bytes.Buffer
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Tokens: tokens, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err != nil {
			t.Fatal(err)
		}
		closed(t, s)
		return strings.Contains(log.String(), "the inventory begins empty")
	}
	dir := t.TempDir()
	if told(t, dir) {
		t.Error("a first start in an empty directory warns")
	}
	put(t, dir, tokens[1], strings.Repeat("t", 20))
	if told(t, dir) {
		t.Error("a start with a database warns")
	}
	remove(t, dir, store.FileName, expected)
	if !told(t, dir) {
		t.Error("a start with tokens and without a database does not warn")
	}
	if told(t, dir) {
		t.Error("the start after it warns again")
	}
}
