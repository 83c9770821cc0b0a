package mapsync_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/mapsync"
)

func TestHistory(t *testing.T) {
	store := &memStore{}
	p := newPublisher(t, store)
	change := func(res mapsync.Result, err error) mapsync.Result {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	one, zero := int64(1), int64(0)
	with := func(note mapsync.Note) mapsync.Change {
		return mapsync.Change{IfGeneration: mapsync.AnyGeneration, Note: note}
	}
	change(p.Publish(t.Context(), decode(t, customA), with(mapsync.Note{Author: "ana", Comment: "first"})))
	if res := change(p.Publish(t.Context(), decode(t, customA), with(mapsync.Note{Author: "bo", Comment: "again"}))); res.Changed {
		t.Error("a comment alone made a generation")
	}
	res := change(p.Publish(t.Context(), decode(t, customB), with(mapsync.Note{})))
	if res.Before.Number != 1 || res.Before.Author != "ana" || res.Generation.Number != 2 || res.Generation.Author != "" {
		t.Errorf("from %+v to %+v", res.Before, res.Generation)
	}
	change(p.Publish(t.Context(), decode(t, customA), with(mapsync.Note{Author: "bo", RestoredFrom: &one})))
	change(p.Reset(t.Context(), with(mapsync.Note{RestoredFrom: &zero})))
	// One of a newer version, and one that is damaged.
	store.gens = append(store.gens,
		mapsync.Generation{Number: 5, Document: []byte(`{"gpustack_metrics":{},"runtime_mapping":{},"from_the_future":1}`)},
		mapsync.Generation{Number: 6, Document: []byte("\xff\x00")})

	builtin := len(compiled(t, string(p.Builtin())).Families())
	want := []mapsync.Entry{
		{Generation: mapsync.Generation{Number: 6}, Description: mapsync.Description{Problem: "UTF-8"}},
		{Generation: mapsync.Generation{Number: 5}, Description: mapsync.Description{Problem: "/from_the_future"}},
		{Generation: mapsync.Generation{Number: 4, Default: true, Note: mapsync.Note{RestoredFrom: &zero}}, Active: true, Description: mapsync.Description{Metrics: builtin}},
		{Generation: mapsync.Generation{Number: 3, Note: mapsync.Note{Author: "bo", RestoredFrom: &one}}, Description: mapsync.Description{Metrics: 1}},
		{Generation: mapsync.Generation{Number: 2}, Description: mapsync.Description{Metrics: 1}},
		{Generation: mapsync.Generation{Number: 1, Note: mapsync.Note{Author: "ana", Comment: "first"}}, Description: mapsync.Description{Metrics: 1}},
		{Generation: mapsync.Generation{Default: true}, Description: mapsync.Description{Metrics: builtin}},
	}
	problems := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Problem" },
		cmp.Comparer(func(a, b string) bool {
			return a == b || a != "" && b != "" && (strings.Contains(a, b) || strings.Contains(b, a))
		}))
	times := cmpopts.IgnoreTypes(time.Time{})
	for _, page := range []struct{ skip, limit int }{{0, 100}, {0, 3}, {3, 3}, {6, 3}, {7, 3}, {50, 1}, {0, 7}, {5, 1}} {
		got, total, err := p.History(t.Context(), page.skip, page.limit)
		if err != nil || total != 7 {
			t.Fatalf("%d generations, %v", total, err)
		}
		from := min(page.skip, 7)
		if diff := cmp.Diff(want[from:min(from+page.limit, 7)], got, problems, times, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%d after %d (-want +got)\n%s", page.limit, page.skip, diff)
		}
	}
	reads := store.reads
	if _, _, err := p.History(t.Context(), 0, 100); err != nil || store.reads != reads {
		t.Errorf("%d documents were read again, %v", store.reads-reads, err)
	}
	for _, e := range want {
		got, err := p.Generation(t.Context(), e.Number)
		if err != nil {
			t.Fatal(err)
		}
		switch document := string(got.Document); {
		case e.Default && document != string(p.Builtin()), (e.Number == 1 || e.Number == 3) && document != customA, document == "":
			t.Errorf("generation %d: %.100s", e.Number, document)
		}
		got.Document, got.Effective = nil, nil
		if diff := cmp.Diff(e, got, problems, times); diff != "" {
			t.Errorf("generation %d (-want +got)\n%s", e.Number, diff)
		}
	}
	for _, number := range []int64{-1, 7} {
		if _, err := p.Generation(t.Context(), number); !errors.Is(err, mapsync.ErrNoGeneration) {
			t.Errorf("generation %d: %v", number, err)
		}
	}
	store.fail = errors.New("disk gone")
	if _, _, err := p.History(t.Context(), 0, 1); err == nil || !strings.Contains(err.Error(), "disk gone") {
		t.Error(err)
	}
	if _, err := p.Generation(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "disk gone") {
		t.Error(err)
	}
}

// An overlay that was stored over another built-in document is described over the one of this program.
func TestHistoryOfOverlaysOverANewerBuiltInDocument(t *testing.T) {
	older, newer := builtins(t)
	store := &memStore{}
	var log bytes.Buffer
	metrics := func(p *mapsync.Publisher) int {
		t.Helper()
		e, err := p.Generation(t.Context(), 1)
		if err != nil || e.Problem != "" || e.Extends != mapping.ExtendsDefault {
			t.Fatalf("%+v, %v", e.Description, err)
		}
		return e.Metrics
	}
	p := publisherOver(t, store, older, &log)
	publish(t, p, overlay)
	if before, after := metrics(p), metrics(publisherOver(t, store, newer, &log)); after != before+1 {
		t.Errorf("%d metrics, and %d over a document with one more", before, after)
	}
	text, err := older.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	without := decode(t, strings.Replace(string(text), `"vllm:num_requests_waiting":"gpustack:num_requests_waiting",`, "", 1))
	if metrics(publisherOver(t, store, without, &log)) == 0 {
		t.Error("no metrics where the overlay no longer fits in places")
	}
}

// A list of large documents costs a bounded time; those that it does not reach are described by later lists.
func TestHistoryDecodesBoundedBytes(t *testing.T) {
	store := &memStore{}
	p := newPublisher(t, store)
	document := append([]byte("{]"), bytes.Repeat([]byte(" "), 4<<20)...) // faulty at its beginning, which is found soon
	for i := range 20 {
		store.gens = append(store.gens, mapsync.Generation{Number: int64(i + 1), Document: document, Note: mapsync.Note{Comment: fmt.Sprint(i + 1)}})
	}
	for list := 1; ; list++ {
		entries, _, err := p.History(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		described := 0
		for _, e := range entries {
			if e.Metrics > 0 || e.Problem != "" {
				described++
			}
			if e.Number > 0 && e.Comment != fmt.Sprint(e.Number) {
				t.Errorf("generation %d: %q", e.Number, e.Comment)
			}
		}
		if limit := list * ((32<<20)/len(document) + 1); store.reads > limit {
			t.Fatalf("%d documents of %d bytes were read", store.reads, len(document))
		}
		if described == len(entries) {
			if list == 1 {
				t.Error("all were decoded at once")
			}
			return
		}
	}
}

func compiled(t *testing.T, text string) *mapping.Compiled {
	t.Helper()
	c, err := mapping.Compile(decode(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
