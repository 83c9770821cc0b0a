package mapsync_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/mapsync"
	"github.com/stackscope/stackscope/internal/wire"
)

const overlay = `{"extends":"default","gpustack_metrics":{"acme:mine":{"type":"gauge"}},"runtime_mapping":{"vLLM":{"*":{"vllm:a":"acme:mine","vllm:num_requests_waiting":null}}}}`

// builtins returns two built-in documents: the program's own, and one as a newer version could have it.
func builtins(t *testing.T) (older, newer *mapping.Document) {
	t.Helper()
	text, err := mapping.Default().EncodeYAML()
	if err != nil {
		t.Fatal(err)
	}
	const native = "      vllm:num_requests_running: "
	more := strings.Replace(string(text), native, "      vllm:newer: gpustack:newer\n"+native, 1)
	more = strings.Replace(more, "gpustack_metrics:\n", "gpustack_metrics:\n  gpustack:newer:\n    type: gauge\n", 1)
	return mapping.Default(), decode(t, more)
}

func publisherOver(t *testing.T, s mapsync.Store, builtin *mapping.Document, log *bytes.Buffer) *mapsync.Publisher {
	t.Helper()
	p, err := mapsync.NewPublisher(t.Context(), mapsync.PublisherOptions{Store: s, Builtin: builtin, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// event returns what a server sends its workers.
func event(p *mapsync.Publisher) wire.MappingEvent {
	g := p.Current()
	return wire.MappingEvent{Generation: g.Number, Default: g.Default, Document: json.RawMessage(g.Effective)}
}

// An overlay is stored as it was posted. Workers get the effective document, after an upgrade of the server another one under the same
// number.
func TestOverlayTakesUpANewerBuiltInDocument(t *testing.T) {
	older, newer := builtins(t)
	var log bytes.Buffer
	store := &memStore{}
	p := publisherOver(t, store, older, &log)
	if res := publish(t, p, overlay); res.Generation.Number != 1 || string(res.Generation.Document) != overlay {
		t.Fatalf("generation %d: %s", res.Generation.Number, res.Generation.Document)
	}
	if string(store.gens[0].Document) != overlay {
		t.Errorf("stored is %s", store.gens[0].Document)
	}
	if res := publish(t, p, strings.ReplaceAll(overlay, ",", ", ")); res.Changed {
		t.Error("the same overlay counts as a change")
	}

	path := filepath.Join(t.TempDir(), "mapping.json")
	f := newFollower(t, path, nil)
	changed, cancel := f.Changed()
	defer cancel()
	reads := func(native string) bool {
		c, _ := f.Current()
		return len(c.Plan("vLLM", "0.11.0").Lookup([]byte(native))) > 0
	}
	apply(t, f, event(p))
	<-changed
	if bytes.Contains(event(p).Document, []byte("extends")) {
		t.Error("workers get an overlay, which older ones refuse")
	}
	if !reads("vllm:a") || !reads("vllm:num_requests_running") || reads("vllm:num_requests_waiting") || reads("vllm:newer") {
		t.Error("the worker's mapping is not the built-in one with the overlay's changes")
	}
	digest := f.Document()
	if digest != mapping.Digest(p.Current().Effective) {
		t.Error("the worker has another digest than the server")
	}
	if again := newFollower(t, path, nil); again.Document() != digest {
		t.Error("after a restart the worker has another digest")
	}

	p = publisherOver(t, store, newer, &log)
	if g := p.Current(); g.Number != 1 || g.Default || string(g.Document) != overlay || mapping.Digest(g.Effective) == digest {
		t.Errorf("after the upgrade: generation %d, default %t, %s", g.Number, g.Default, g.Document)
	}
	apply(t, f, event(p))
	if len(changed) != 1 || !reads("vllm:newer") || !reads("vllm:a") || reads("vllm:num_requests_waiting") {
		t.Error("the worker does not take up the new built-in entry under the same number")
	}
	apply(t, newFollower(t, path, nil), event(p))

	p = publisherOver(t, store, older, &log)
	apply(t, f, event(p))
	if reads("vllm:newer") || f.Document() != digest {
		t.Error("the worker does not follow a server that goes back to the older version")
	}
	if log.Len() > 0 && strings.Contains(log.String(), "WARN") {
		t.Errorf("logged:\n%s", &log)
	}
}

// An overlay that no longer fits the built-in document in places stays active otherwise.
func TestOverlayStaysWhenABuiltInEntryGoes(t *testing.T) {
	older, _ := builtins(t)
	text, err := older.EncodeYAML()
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(text), "      vllm:num_requests_waiting: gpustack:num_requests_waiting\n", "", 1)
	if without == string(text) {
		t.Fatal("the built-in document has no such line")
	}
	store := &memStore{}
	var log bytes.Buffer
	publish(t, publisherOver(t, store, older, &log), overlay)
	p := publisherOver(t, store, decode(t, without), &log)
	if g := p.Current(); g.Number != 1 || !strings.Contains(string(g.Effective), `"vllm:a":"acme:mine"`) {
		t.Errorf("generation %d is active", g.Number)
	}
	entries, _, err := p.History(t.Context(), 0, 1)
	if err != nil || len(entries) != 1 || entries[0].Problem != "" || entries[0].Extends != mapping.ExtendsDefault {
		t.Errorf("in the history it is %+v, %v", entries, err)
	}
	if !strings.Contains(log.String(), "/runtime_mapping/vLLM/*/vllm:num_requests_waiting") {
		t.Errorf("logged:\n%s", &log)
	}
}

func TestFollowerTellsItsDocument(t *testing.T) {
	f := newFollower(t, "", nil)
	if got := f.Document(); got != "" {
		t.Errorf("of the built-in document %q", got)
	}
	apply(t, f, custom(1, customA))
	if got := f.Document(); got != mapping.Digest([]byte(customA)) {
		t.Errorf("of a document %q", got)
	}
	apply(t, f, wire.MappingEvent{Generation: 2, Default: true})
	if got := f.Document(); got != "" {
		t.Errorf("of the default again %q", got)
	}
}
