package worker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/httpjson"
	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/wire"
)

const maxStateBytes = 4 << 20

// state is what a worker keeps on disk: with it, it goes on under the same name and ids while the server is away.
type state struct {
	// UUID is made once and says which machine this is.
	UUID string `json:"uuid"`
	// Server is the one that gave the ids and the credential.
	Server      string                 `json:"server,omitempty"`
	WorkerID    int64                  `json:"worker_id,omitempty"`
	WorkerName  string                 `json:"worker_name,omitempty"`
	ClusterID   int64                  `json:"cluster_id,omitempty"`
	ClusterName string                 `json:"cluster_name,omitempty"`
	Credential  string                 `json:"credential,omitempty"`
	Engines     map[string]engineState `json:"engines,omitempty"` // by instance name
}

// engineState is what is known about an engine. It is kept for a while after the engine was last there: one that was found
// is found anew each time that the worker starts.
type engineState struct {
	engine.History
	IDs    ids       `json:"ids,omitzero"`
	Key    string    `json:"key,omitempty"` // where it was found, discovery's
	URL    string    `json:"url,omitempty"`
	There  bool      `json:"there,omitempty"` // it was found and not forgotten when the state was saved
	SeenAt time.Time `json:"seen_at,omitzero"`
}

const (
	keepEngines    = 7 * 24 * time.Hour
	maxKeptEngines = 2 * maxEngines
)

// ids are what the server gave to an instance of a model.
type ids struct {
	Model      string `json:"model,omitempty"`
	InstanceID int64  `json:"instance_id,omitempty"`
	ModelID    int64  `json:"model_id,omitempty"`
}

// keeper holds the state in memory and on disk. It is safe for concurrent use.
type keeper struct {
	logger *slog.Logger

	mu      sync.Mutex
	state   state
	awaited map[string]bool // engines that had been found when the worker ended, and not yet since
	file    durable.Mirror
}

// openKeeper reads the state of an earlier run. What another server gave is forgotten.
func openKeeper(path, server string, logger *slog.Logger) (*keeper, error) {
	k := &keeper{file: durable.Mirror{Path: path, Perm: 0o600}, logger: logger}
	data, err := readState(path)
	if err == nil {
		err = json.Unmarshal(data, &k.state)
		k.file.Holds(data)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		aside := path + ".bad"
		if moved := os.Rename(path, aside); moved != nil {
			return nil, fmt.Errorf("worker state %s cannot be read (%w) nor moved aside (%w): remove it", path, err, moved)
		}
		logger.Error("worker state cannot be read; this worker is a new one to the server", "file", path, "moved_to", aside, "error", err)
		k.state = state{}
		k.file.Holds(nil)
	}
	if k.state.UUID == "" {
		k.state.UUID = rand.Text()
	}
	if k.state.Server != server {
		k.state = state{UUID: k.state.UUID, Engines: k.state.Engines}
		for name, e := range k.state.Engines {
			e.IDs = ids{}
			k.state.Engines[name] = e
		}
	}
	k.await()
	return k, nil
}

func readState(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return httpjson.ReadAll(f, maxStateBytes)
}

// current returns the state without its engines.
func (k *keeper) current() state {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state
	s.Engines = nil
	return s
}

func (k *keeper) engine(name string) engineState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state.Engines[name]
}

// nameOf returns the name of the instance that was last found at a place; "": there was none.
func (k *keeper) nameOf(key string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, at := "", time.Time{}
	for name, e := range k.state.Engines {
		if e.Key == key && (found == "" || e.SeenAt.After(at) || e.SeenAt.Equal(at) && name < found) {
			found, at = name, e.SeenAt
		}
	}
	return found
}

// joined notes what the server said when the worker registered.
func (k *keeper) joined(server string, r wire.RegisterResponse) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Server = server
	k.state.WorkerID, k.state.WorkerName = r.WorkerID, r.WorkerName
	k.state.ClusterID, k.state.ClusterName = r.ClusterID, r.ClusterName
	k.state.Credential = r.Credential
}

// identified notes the ids of an instance and reports whether they are new.
func (k *keeper) identified(name string, given ids) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.state.Engines[name]
	if e.IDs == given {
		return false
	}
	e.IDs = given
	if k.state.Engines == nil {
		k.state.Engines = map[string]engineState{}
	}
	k.state.Engines[name] = e
	return true
}

// save writes the state with the engines as they are now and reports whether the file holds it. The worker goes on when it
// doesn't.
func (k *keeper) save(engines []*watched) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := make(map[string]engineState, len(engines))
	now := time.Now().Truncate(time.Hour) // or the file would change with each save
	for _, e := range engines {
		name := e.engine.Status().Name
		s := engineState{History: e.engine.History(), IDs: k.state.Engines[name].IDs, Key: e.key, SeenAt: now}
		if !e.declared {
			s.URL, s.There = e.engine.Status().URL, true
		}
		kept[name] = s
	}
	for name, e := range k.state.Engines {
		if _, there := kept[name]; !there && len(kept) < maxKeptEngines && now.Sub(e.SeenAt) < keepEngines {
			e.There = k.awaited[name]
			kept[name] = e
		}
	}
	k.state.Engines = kept
	data, err := json.MarshalIndent(k.state, "", "  ")
	if err == nil {
		err = k.file.Update(data)
	}
	if err != nil {
		k.logger.Warn("worker state is not kept on disk; a restart without the server would lose ids. It is tried again; look whether the disk of --data-dir is full", "error", err)
	}
	return err == nil && k.file.Kept(data)
}

// retrySaving is when what could not be kept on disk is tried again.
const retrySaving = 30 * time.Second

// keep saves the state whenever it may have changed, and once more at the end. What could not be saved, the mapping too, it
// tries again.
func (w *Worker) keep(ctx context.Context) {
	retry := time.NewTicker(retrySaving)
	defer retry.Stop()
	saved := w.keeper.save(w.roster.engines())
	for {
		select {
		case <-w.saves:
			saved = w.keeper.save(w.roster.engines())
		case <-retry.C:
			if !saved {
				saved = w.keeper.save(w.roster.engines())
			}
			w.follower.Keep()
		case <-ctx.Done():
			w.keeper.save(w.roster.engines())
			return
		}
	}
}
