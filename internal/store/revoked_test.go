package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/fleet"
)

// A worker is removed and revoked, and allowed again, in one step each.
func TestRevokedWorkersSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, sampleChanges)
	odd := fleet.RevokedWorker{ID: 3, UUID: "u-3", Name: "gpu-3 \"x\"", Cluster: "default", Address: "10.0.0.3", RevokedAt: day.Add(250 * time.Millisecond)}
	letIn := fleet.RevokedWorker{ID: 7, UUID: "u-7", Name: "gpu-3 \"x\"", Cluster: "default", Address: "10.0.0.7", RevokedAt: day}
	apply(t, s, fleet.Changes{Put: fleet.Records{Revoked: []fleet.RevokedWorker{odd, letIn}}})
	out := fleet.RevokedWorker{ID: 2, UUID: "u-2", Name: "gpu-1", Cluster: "südhaus", Address: "2001:db8::2", RevokedAt: day}
	apply(t, s, fleet.Changes{RemovedWorkers: []int64{2}, RemovedRevoked: []int64{7}, Put: fleet.Records{Revoked: []fleet.RevokedWorker{out}}})
	closed(t, s)
	s = open(t, dir)
	r := load(t, s)
	if diff := cmp.Diff([]fleet.RevokedWorker{out, odd}, r.Revoked); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(r.Workers) != 1 {
		t.Errorf("workers: %v", r.Workers)
	}
	// The identity of one that was allowed may be revoked again, in the same step too.
	again := out
	again.ID = 8
	apply(t, s, fleet.Changes{RemovedRevoked: []int64{2}, Put: fleet.Records{Revoked: []fleet.RevokedWorker{again}}})
	apply(t, s, fleet.Changes{Put: fleet.Records{Revoked: []fleet.RevokedWorker{again}}}) // as after a commit whose fate isn't known
	closed(t, s)
	if diff := cmp.Diff([]fleet.RevokedWorker{odd, again}, load(t, open(t, dir)).Revoked); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
