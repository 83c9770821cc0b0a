package instances

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
)

// maxStateBytes bounds worker.json. Names of models on engines' pages make up most of it: those of 512 usual engines take less than a tenth.
const maxStateBytes = 32 << 20

// Identity is the worker's own UUID, and the names and ids that a server gave it.
type Identity struct {
	// UUID is generated once.
	UUID string `json:"uuid"`
	// Server is the URL of the server that gave the fields below; empty: none yet.
	Server      string `json:"server,omitempty"`
	WorkerID    int64  `json:"worker_id,omitempty"`
	WorkerName  string `json:"worker_name,omitempty"`
	ClusterID   int64  `json:"cluster_id,omitempty"`
	ClusterName string `json:"cluster_name,omitempty"`
	Credential  string `json:"credential,omitempty"`
}

// state is the content of worker.json. With it a worker keeps its name and its ids while the server is away.
type state struct {
	Identity
	Engines map[string]engineState `json:"engines,omitempty"` // by instance name
}

// engineState is the stored state of an engine. It is kept for keepEngines after the engine last ran, because discovered engines are
// discovered again after each start of the worker.
type engineState struct {
	engine.History
	IDs    ids       `json:"ids,omitzero"`
	Key    string    `json:"key,omitempty"` // discovery's, where it was found
	URL    string    `json:"url,omitempty"`
	There  bool      `json:"there,omitempty"` // it was a discovered instance when the state was saved
	SeenAt time.Time `json:"seen_at,omitzero"`
	// Models are the models of a page that names several. Of is, for the instance of one of them, the name of the engine's.
	Models []storedModel `json:"models,omitempty"`
	Of     string        `json:"of,omitempty"`
	// What is reported of it while it is awaited. The source of its model is not: it may be a path, which is not kept on disk.
	Role      fleet.Role `json:"role,omitempty"`
	Group     string     `json:"group,omitempty"`
	Connector string     `json:"connector,omitempty"`
	Upstreams string     `json:"upstreams,omitempty"`
}

const (
	keepEngines    = 7 * 24 * time.Hour
	maxKeptEngines = 2 * MaxEngines
)

// ids are the ids that the server gave an instance with a model.
type ids struct {
	Model      string `json:"model,omitempty"`
	InstanceID int64  `json:"instance_id,omitempty"`
	ModelID    int64  `json:"model_id,omitempty"`
}

// Store holds the worker's state in memory and in a file. It is safe for concurrent use.
type Store struct {
	logger *slog.Logger

	mu      sync.Mutex
	state   state
	awaited map[string]bool // engines that ran when the worker ended and have not been found again yet
	file    durable.Mirror

	idsVersion atomic.Uint64 // counts the changes of ids
}

// OpenStore reads the state that an earlier run saved at path. Names and ids of another server are dropped.
func OpenStore(path, server string, logger *slog.Logger) (*Store, error) {
	s := &Store{file: durable.Mirror{Path: path, Perm: 0o600}, logger: logger}
	data, err := readState(path)
	if err == nil {
		err = json.Unmarshal(data, &s.state)
		s.file.Holds(data)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		aside := path + ".bad"
		if moved := os.Rename(path, aside); moved != nil {
			return nil, fmt.Errorf("worker state %s cannot be read (%w) nor moved aside (%w): remove it", path, err, moved)
		}
		logger.Error("worker state cannot be read; the server will see a new worker", "file", path, "moved_to", aside, "error", err)
		s.state = state{}
		s.file.Holds(nil)
	}
	if s.state.UUID == "" {
		s.state.UUID = rand.Text()
	}
	if s.state.Server != server {
		s.state.Identity = Identity{UUID: s.state.UUID}
		for name, e := range s.state.Engines {
			e.IDs = ids{}
			s.state.Engines[name] = e
		}
	}
	s.await()
	return s, nil
}

func readState(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return httpjson.ReadAll(f, maxStateBytes)
}

// Path is the file of the state.
func (s *Store) Path() string { return s.file.Path }

// Identity returns what is known of the worker.
func (s *Store) Identity() Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Identity
}

// SetIdentity stores the names and ids that a server gave the worker. The UUID stays.
func (s *Store) SetIdentity(id Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id.UUID = s.state.UUID
	s.state.Identity = id
}

func (s *Store) engine(name string) engineState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Engines[name]
}

// nameOf returns the name of the instance that last had the key; "": there was none.
func (s *Store) nameOf(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, at := "", time.Time{}
	for name, e := range s.state.Engines {
		if e.Key == key && e.Of == "" && (found == "" || e.SeenAt.After(at) || e.SeenAt.Equal(at) && name < found) {
			found, at = name, e.SeenAt
		}
	}
	return found
}

// setIDs stores the ids of an instance and reports whether they are new.
func (s *Store) setIDs(name string, given ids) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.state.Engines[name]
	if e.IDs == given {
		return false
	}
	e.IDs = given
	s.idsVersion.Add(1)
	if s.state.Engines == nil {
		s.state.Engines = map[string]engineState{}
	}
	s.state.Engines[name] = e
	return true
}

// save writes the state with these instances and reports whether the file holds it.
func (s *Store) save(instances []*Instance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := make(map[string]engineState, len(instances))
	now := time.Now().Truncate(time.Hour) // or the file would change with each save
	for _, in := range instances {
		status, models := in.engine.Status(), in.currentModels()
		e := engineState{History: in.engine.History(), IDs: s.state.Engines[status.Name].IDs, Key: in.key, SeenAt: now, Models: models.stored()}
		if !in.declared {
			e.URL, e.There = status.URL, true
			e.Role, e.Group, e.Connector, e.Upstreams = status.Role, status.Group, status.Connector, status.Upstreams
		}
		kept[status.Name] = e
		e.Models, e.Of = nil, status.Name
		for _, model := range models.all() {
			if model.name != status.Name {
				e.IDs, e.Model = s.state.Engines[model.name].IDs, model.model
				kept[model.name] = e
			}
		}
	}
	for name, e := range s.state.Engines {
		if _, there := kept[name]; !there && len(kept) < maxKeptEngines && now.Sub(e.SeenAt) < keepEngines {
			e.There = s.awaited[name]
			kept[name] = e
		}
	}
	s.state.Engines = kept
	data, err := json.MarshalIndent(s.state, "", "  ")
	switch {
	case err != nil:
	case len(data) > maxStateBytes: // the next run could not read it, and would be a new worker
		err = fmt.Errorf("it has %d bytes, at most %d can be read again", len(data), maxStateBytes)
	default:
		err = s.file.Update(data)
	}
	if err != nil {
		s.logger.Warn("worker state is not kept on disk, so that a restart without the server would lose ids; the worker retries. Check whether the disk of --data-dir is full", "error", err)
	}
	return err == nil && s.file.Kept(data)
}
