package mapsync

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// maxFileBytes bounds the last known good file: a document and the few bytes around it.
const maxFileBytes = 2 * mapping.MaxDocumentBytes

// FollowerOptions configure a Follower.
type FollowerOptions struct {
	// Path is the file to which the last mapping that was applied is saved. Empty: none is saved.
	Path   string
	Logger *slog.Logger // nil: silent
}

// Follower is the worker's half: it holds the compiled active mapping and saves the last known good one to disk, so that a worker
// that starts without its server continues with it. It is safe for concurrent use.
type Follower struct {
	path    string
	logger  *slog.Logger
	builtin *mapping.Compiled
	current atomic.Pointer[applied]
	changed fanout
	mu      sync.Mutex     // serialises Apply
	file    durable.Mirror // guarded by mu
	unsaved bool           // the file does not hold the active mapping; guarded by mu
}

// applied is immutable.
type applied struct {
	event    wire.MappingEvent
	digest   string // of the document
	compiled *mapping.Compiled
}

func newApplied(ev wire.MappingEvent, compiled *mapping.Compiled) *applied {
	a := &applied{event: ev, compiled: compiled}
	if !ev.Default {
		a.digest = mapping.Digest(ev.Document)
	}
	return a
}

// NewFollower loads the last known good mapping from disk. Without one the built-in default is active as generation 0. A file that
// cannot be used is logged and renamed to Path with ".bad" added.
func NewFollower(o FollowerOptions) (*Follower, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	builtin, err := mapping.Compile(mapping.Default())
	if err != nil {
		return nil, fmt.Errorf("built-in metrics mapping: %w", err)
	}
	f := &Follower{
		path:    o.Path,
		file:    durable.Mirror{Path: o.Path, Perm: 0o600},
		logger:  o.Logger.With(logging.KeyComponent, "mapsync"),
		builtin: builtin,
	}
	f.current.Store(newApplied(wire.MappingEvent{Default: true}, builtin))
	if o.Path != "" {
		f.load()
	}
	return f, nil
}

// Current returns the active mapping and its generation; 0 is the built-in default before the server sent another.
func (f *Follower) Current() (*mapping.Compiled, int64) {
	a := f.current.Load()
	return a.compiled, a.event.Generation
}

// Document returns the digest of the active mapping's document as the server sent it (mapping.Digest), "" for a default generation.
func (f *Follower) Document() string { return f.current.Load().digest }

// Changed returns a channel that gets a value after each change of the active mapping. Changes that come faster than they are
// received count as one. cancel ends the subscription and closes the channel.
func (f *Follower) Changed() (changed <-chan struct{}, cancel func()) { return f.changed.subscribe() }

// Apply activates the mapping of ev from the next scrape on and saves it to disk. If this worker cannot compile the document, for
// example one of a newer server, Apply returns an error and the previous mapping stays active. If only saving fails, the mapping is
// active, the failure is logged, and Keep retries. One generation can come with another document: the effective one of an overlay
// under a server with another built-in document.
func (f *Follower) Apply(ev wire.MappingEvent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.current.Load()
	same := sameEvent(was.event, ev)
	if !same {
		compiled, err := f.compile(ev)
		if err != nil {
			return fmt.Errorf("metrics mapping generation %d is refused, generation %d stays active: %w", ev.Generation, was.event.Generation, err)
		}
		ev.Document = bytes.Clone(ev.Document)
		was = newApplied(ev, compiled)
	}
	f.save(was.event)
	if !same {
		f.current.Store(was)
		f.changed.send()
	}
	return nil
}

// Keep saves the active mapping to disk if the last attempt failed.
func (f *Follower) Keep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unsaved {
		f.save(f.current.Load().event)
	}
}

func (f *Follower) compile(ev wire.MappingEvent) (*mapping.Compiled, error) {
	if ev.Generation < 0 {
		return nil, fmt.Errorf("generation %d is negative", ev.Generation)
	}
	if ev.Default {
		return f.builtin, nil
	}
	if len(ev.Document) == 0 {
		return nil, errors.New("it has neither a document nor the mark of the default")
	}
	doc, err := mapping.Decode(ev.Document)
	if err != nil {
		return nil, err
	}
	return mapping.Compile(doc)
}

func sameEvent(a, b wire.MappingEvent) bool {
	return a.Generation == b.Generation && a.Default == b.Default && (a.Default || bytes.Equal(a.Document, b.Document))
}

// save saves ev to disk.
func (f *Follower) save(ev wire.MappingEvent) {
	if f.path == "" {
		return
	}
	if ev.Default {
		ev.Document = nil
	}
	data, err := encode(ev)
	if err == nil {
		err = f.file.Update(data)
	}
	f.unsaved = err != nil || !f.file.Kept(data)
	if err != nil {
		f.logger.Warn("metrics mapping is active but could not be saved to disk; a restart without the server would use an older one",
			"generation", ev.Generation, "error", err)
	}
}

// encode does not escape < and >: a document could grow beyond what Decode accepts.
func encode(ev wire.MappingEvent) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(ev)
	return buf.Bytes(), err
}

func (f *Follower) load() {
	ev, data, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var compiled *mapping.Compiled
	if err == nil {
		compiled, err = f.compile(ev)
	}
	if err != nil {
		aside := f.path + ".bad"
		if mvErr := os.Rename(f.path, aside); mvErr != nil {
			err = errors.Join(err, mvErr)
		}
		f.logger.Error("last known good metrics mapping cannot be used; the built-in default is active until the server sends one",
			"file", f.path, "moved_to", aside, "error", err)
		return
	}
	f.file.Holds(data)
	f.current.Store(newApplied(ev, compiled))
}

func (f *Follower) read() (ev wire.MappingEvent, data []byte, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return ev, nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if data, err = httpjson.ReadAll(file, maxFileBytes); err != nil {
		return ev, nil, err
	}
	return ev, data, json.Unmarshal(data, &ev)
}
