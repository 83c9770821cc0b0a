package store_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/mapping"
)

// Whatever somebody wrote into the rows, they are read one by one, newest first, and a damaged one is not taken for the default.
func TestGenerationsOneByOne(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, doc := range [][]byte{[]byte("{}"), nil, []byte("first"), []byte("second"), []byte("third"), []byte("fourth")} {
		if _, err := s.AppendGeneration(t.Context(), doc, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, s)
	db := raw(t, dir)
	for _, statement := range []string{
		"UPDATE mapping_generations SET document = '', created_at = 'yesterday' WHERE number = 3",
		"UPDATE mapping_generations SET document = x'ff00', created_at = x'00' WHERE number = 4",
		"UPDATE mapping_generations SET document = 7 WHERE number = 5",
		"UPDATE mapping_generations SET document = zeroblob(100000000) WHERE number = 6",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	want := []string{strings.Repeat("\x00", mapping.MaxDocumentBytes+1), "7", "\xff\x00", "", "default", "{}"}
	before := int64(math.MaxInt64)
	for k, text := range want {
		g, ok, err := s.GenerationBefore(t.Context(), before)
		if err != nil || !ok || g.Number != int64(len(want)-k) {
			t.Fatalf("before %d: %v, %v, number %d", before, ok, err, g.Number)
		}
		if isDefault := g.Document == nil; isDefault != (text == "default") || !isDefault && string(g.Document) != text {
			t.Errorf("generation %d: default %v, %d bytes, %.20q", g.Number, isDefault, len(g.Document), g.Document)
		}
		before = g.Number
	}
	if _, ok, err := s.GenerationBefore(t.Context(), before); ok || err != nil {
		t.Errorf("before the first: %v, %v", ok, err)
	}
}
