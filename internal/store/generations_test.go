package store_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/store"
)

// Whatever somebody wrote into the rows, they are read one by one, newest first, and a damaged one is not taken for the default.
func TestGenerationsOneByOne(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, doc := range [][]byte{[]byte("{}"), nil, []byte("first"), []byte("second"), []byte("third"), []byte("fourth")} {
		if _, err := s.AppendGeneration(t.Context(), doc, time.Unix(1, 0), store.Note{}); err != nil {
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

// A generation keeps who made it and why, over a restart of the server.
func TestNotesOfGenerations(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Options{Dir: dir, KeepGenerations: 4})
	if err != nil {
		t.Fatal(err)
	}
	zero, second := int64(0), int64(2)
	notes := []store.Note{
		{}, {Author: "ana", Comment: "Renamed the queue's gauge: it's \"running\" now 🦆"}, {Comment: "back", RestoredFrom: &zero}, {Author: "bo", RestoredFrom: &second}, {Author: "local user"},
	}
	var want []store.GenerationInfo
	for i, n := range notes {
		doc := []byte("{}")
		if i == 2 {
			doc = nil
		}
		g, err := s.AppendGeneration(t.Context(), doc, day, n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(store.Generation{Number: int64(i + 1), At: day, Document: doc, Note: n}, g); diff != "" {
			t.Errorf("appended (-want +got)\n%s", diff)
		}
		want = append([]store.GenerationInfo{{Number: g.Number, At: day, Default: doc == nil, Note: n}}, want...)
	}
	want = want[:4] // the first one is forgotten
	closed(t, s)
	s = open(t, dir)
	for _, page := range []struct{ skip, limit int }{{0, 100}, {0, 2}, {1, 2}, {3, 2}, {4, 2}, {100, 1}} {
		got, total, err := s.Generations(t.Context(), page.skip, page.limit)
		if err != nil || total != 4 {
			t.Fatalf("%d of them, %v", total, err)
		}
		from := min(page.skip, 4)
		if diff := cmp.Diff(append([]store.GenerationInfo(nil), want[from:min(from+page.limit, 4)]...), got); diff != "" {
			t.Errorf("%d after %d (-want +got)\n%s", page.limit, page.skip, diff)
		}
	}
	for _, info := range want {
		g, ok, err := s.Generation(t.Context(), info.Number)
		if err != nil || !ok || (g.Document == nil) != info.Default {
			t.Fatalf("generation %d: %v, %v, %q", info.Number, ok, err, g.Document)
		}
		if diff := cmp.Diff(info, store.GenerationInfo{Number: g.Number, At: g.At, Default: g.Document == nil, Note: g.Note}); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	for _, number := range []int64{-1, 0, 1, 6, math.MaxInt64} {
		if _, ok, err := s.Generation(t.Context(), number); ok || err != nil {
			t.Errorf("generation %d: %v, %v", number, ok, err)
		}
	}
}

// Notes that are damaged cost neither the document nor the other generations.
func TestDamagedNotesOfGenerations(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for range 3 {
		if _, err := s.AppendGeneration(t.Context(), []byte("{}"), day, store.Note{Author: "ana"}); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, s)
	db := raw(t, dir)
	for _, statement := range []string{
		"UPDATE mapping_generations SET author = x'ff41', comment = 7, restored_from = 'none', created_at = 'then' WHERE number = 1",
		"UPDATE mapping_generations SET author = zeroblob(10000000), comment = zeroblob(10000000), restored_from = -5 WHERE number = 2",
		"UPDATE mapping_generations SET document = zeroblob(100000000) WHERE number = 3",
		"INSERT INTO mapping_generations (number, created_at, document) VALUES (-3, 0, '{}'), (9223372036854775807, 0, '{}')",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	got, total, err := s.Generations(t.Context(), 0, 10)
	if err != nil || total != 3 || len(got) != 3 {
		t.Fatalf("%+v, %d, %v", got, total, err)
	}
	if g := got[2]; g.Author != "\uFFFDA" || g.Comment != "7" || g.RestoredFrom != nil || !g.At.IsZero() {
		t.Errorf("%+v", g)
	}
	if g := got[1]; len(g.Author) > 4<<10 || len(g.Comment) > 32<<10 || g.RestoredFrom != nil || !g.At.Equal(day) {
		t.Errorf("%d and %d bytes, %v, %s", len(g.Author), len(g.Comment), g.RestoredFrom, g.At)
	}
	if g, ok, err := s.Generation(t.Context(), 3); err != nil || !ok || len(g.Document) != mapping.MaxDocumentBytes+1 || g.Author != "ana" {
		t.Errorf("%d bytes, %v, %v", len(g.Document), ok, err)
	}
}
