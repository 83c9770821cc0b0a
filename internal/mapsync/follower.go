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
	// Path is the file in which the last mapping that was applied is kept. Empty: nothing is kept.
	Path   string
	Logger *slog.Logger // nil: silent
}

// Follower is the worker's half: it holds the compiled mapping in force and keeps the last known good one on disk, so that
// a worker that starts without its server goes on with it. It is safe for concurrent use.
type Follower struct {
	path    string
	logger  *slog.Logger
	builtin *mapping.Compiled
	current atomic.Pointer[applied]
	changed fanout
	mu      sync.Mutex     // serialises Apply
	file    durable.Mirror // guarded by mu
	unkept  bool           // the file does not hold what is in force; guarded by mu
}

// applied is immutable.
type applied struct {
	event    wire.MappingEvent
	compiled *mapping.Compiled
}

// NewFollower loads the last known good mapping from disk. Without one, or when the file cannot be used, the built-in
// default is in force as generation 0; an unusable file is moved aside to Path with ".bad" added and logged.
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
	f.current.Store(&applied{event: wire.MappingEvent{Default: true}, compiled: builtin})
	if o.Path != "" {
		f.load()
	}
	return f, nil
}

// Current returns the mapping in force and its generation; 0 is the built-in default before the server named another.
func (f *Follower) Current() (*mapping.Compiled, int64) {
	a := f.current.Load()
	return a.compiled, a.event.Generation
}

// Changed returns a channel that gets a value after each change of the mapping in force; changes that come faster than
// they are taken count as one. cancel ends it and closes the channel.
func (f *Follower) Changed() (changed <-chan struct{}, cancel func()) { return f.changed.subscribe() }

// Apply puts the mapping of ev in force for the next scrape and on disk. A document that this worker cannot compile, such
// as a newer server's, is refused with an error and the mapping before stays. When only the disk fails, the mapping is
// in force all the same, the failure is logged, and Keep tries again.
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
		was = &applied{event: ev, compiled: compiled}
	}
	f.save(was.event)
	if !same {
		f.current.Store(was)
		f.changed.send()
	}
	return nil
}

// Keep tries again to keep the mapping in force on disk, if that failed.
func (f *Follower) Keep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unkept {
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

// save keeps ev on disk.
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
	f.unkept = err != nil || !f.file.Kept(data)
	if err != nil {
		f.logger.Warn("metrics mapping is active but could not be saved to disk; a restart without the server would use an older one",
			"generation", ev.Generation, "error", err)
	}
}

// encode keeps < and > as they are: escaped, a document could grow beyond what Decode takes.
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
	f.current.Store(&applied{event: ev, compiled: compiled})
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
