package programs

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"testing"
)

// Unpack returns the files of a tar.gz by name. Each must be for its owner alone.
func Unpack(tb testing.TB, packed io.Reader) map[string]string {
	tb.Helper()
	zipped, err := gzip.NewReader(packed)
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			tb.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil || header.Mode != 0o600 {
			tb.Fatalf("%s: mode %o: %v", header.Name, header.Mode, err)
		}
		files[header.Name] = string(text)
	}
}
