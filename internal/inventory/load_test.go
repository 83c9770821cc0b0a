package inventory_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/internal/inventory"
	"github.com/stackscope/stackscope/internal/store"
)

// A row that is damaged, or that refers to one that is not there, costs no other one its place, and whoever is left out can come
// back under the same name.
func TestDamagedRowsCostNoOthers(t *testing.T) {
	for statement, want := range map[string]struct {
		workers, instances string // names that are left
		told               string
	}{
		"UPDATE workers SET cluster_id = 'x' WHERE name = 'a'":          {"b", "b-e", "row=worker id=1"},
		"UPDATE instances SET model_id = 'x' WHERE name = 'a-e'":        {"a b", "b-e", "row=instance id=1"},
		"DELETE FROM workers WHERE name = 'a'":                          {"b", "b-e", "row=instance id=1"},
		"DELETE FROM models WHERE name = 'a-m'":                         {"a b", "b-e", "row=instance id=1"},
		"UPDATE models SET cluster_id = 'x' WHERE name = 'a-m'":         {"a b", "b-e", "row=model id=1"},
		"DELETE FROM clusters":                                          {"a b", "a-e b-e", "row=cluster id=1"},
		"UPDATE clusters SET id = 9":                                    {"a b", "a-e b-e", "recovered-1"},
		"UPDATE workers SET labels = '{', state = 'x' WHERE name = 'a'": {"a b", "a-e b-e", "row=worker id=1"},
	} {
		t.Run(statement, func(t *testing.T) {
			dir := t.TempDir()
			var log bytes.Buffer
			open := func() (inv *inventory.Inventory, end func()) {
				s, err := store.Open(t.Context(), store.Options{Dir: dir})
				if err != nil {
					t.Fatal(err)
				}
				inv, err = inventory.New(t.Context(), inventory.Options{Store: s, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				return inv, func() {
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					if err := inv.Run(ctx); err != nil { // stores what there is to store
						t.Error(err)
					}
					if err := inv.Err(); err != nil {
						t.Error(err)
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
			}
			fill := func(inv *inventory.Inventory) {
				for _, name := range []string{"a", "b"} {
					joined := join(t, inv, registration(name))
					report(t, inv, joined.Worker.ID, engine(name+"-e", name+"-m"))
				}
			}
			names := func(inv *inventory.Inventory) (workers, instances string) {
				sn := inv.Snapshot()
				for k := range sn.Workers {
					workers += " " + sn.Workers[k].Name
				}
				for k := range sn.Instances {
					instances += " " + sn.Instances[k].Name
				}
				return strings.TrimSpace(workers), strings.TrimSpace(instances)
			}

			inv, end := open()
			fill(inv)
			end()
			db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			log.Reset()

			inv, end = open()
			if workers, instances := names(inv); workers != want.workers || instances != want.instances {
				t.Errorf("left: workers %s, instances %s", workers, instances)
			}
			if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), want.told) {
				t.Errorf("log:\n%s", log.String())
			}
			if strings.Contains(want.workers, "a") { // it goes on under its id
				if w := inv.Snapshot().Workers[0]; w.ID != 1 {
					t.Errorf("a has the id %d", w.ID)
				}
			}
			fill(inv)
			end()
			log.Reset()

			inv, end = open()
			defer end()
			workers, instances := names(inv)
			if len(workers) != 3 || len(instances) != 7 {
				t.Errorf("in the end: workers %s, instances %s", workers, instances)
			}
			if strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("log of the second start:\n%s", log.String())
			}
		})
	}
}

// A model whose instances are left out waits for them to be reported again, and a cluster that is made anew has its place by its id.
func TestWhatDamagedRowsLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.clusters[2] = fleet.Cluster{ID: 2, Name: fleet.DefaultClusterName}
		m.workers[1] = fleet.WorkerRecord{Worker: fleet.Worker{ID: 1, ClusterID: 1, Name: "w", UUID: "u"}}
		m.models[1] = fleet.ModelRecord{Model: fleet.Model{ID: 1, ClusterID: 1, Name: "m"}}
		m.instances[1] = fleet.InstanceRecord{ID: 1, ModelID: 1, WorkerID: 7, Reported: fleet.ReportedInstance{Name: "e", Model: "m"}}
		inv := newInventory(t, m)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- inv.Run(ctx) }()
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		sn := inv.Snapshot()
		if len(sn.Clusters) != 2 || sn.Clusters[0].ID != 1 || sn.Clusters[0].Name != "recovered-1" || sn.Clusters[1].ID != 2 {
			t.Errorf("clusters %+v", sn.Clusters)
		}
		if len(sn.Models) != 1 || len(sn.Instances) != 0 || len(m.instances) != 0 {
			t.Errorf("after 23 h: models %+v, instances %+v, stored %+v", sn.Models, sn.Instances, m.instances)
		}
		time.Sleep(2 * time.Hour)
		if sn := inv.Snapshot(); len(sn.Models) != 0 {
			t.Errorf("after 25 h: models %+v", sn.Models)
		}
		end()
		<-ended
	})
}
