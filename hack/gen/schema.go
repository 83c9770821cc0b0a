package main

import (
	"os"
	"path/filepath"

	"github.com/stackscope/stackscope/internal/mapping"
)

// writeSchema writes the JSON Schema of mapping documents, for editors.
func writeSchema() error {
	return os.WriteFile(filepath.Join("docs", "metrics-config.schema.json"), mapping.Schema(), 0o644) //nolint:gosec // a page for everybody
}
