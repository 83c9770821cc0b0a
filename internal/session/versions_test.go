package session

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A worker that is too far from its server says so at each registration, and once when its server is upgraded while it goes on.
func TestServersVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.serverVersion, r.interval = "0.3.0", 10
		n, log, _ := connect(t, r)
		warnings := func() int { return strings.Count(log.String(), "too far from the server's") }
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(n.registered) != 1 || warnings() != 0 {
			t.Fatalf("%d registrations, %d warnings: %s", len(n.registered), warnings(), log)
		}
		r.set(func(r *remote) { r.serverVersion = "0.4.0" })
		time.Sleep(time.Minute)
		if !strings.Contains(log.String(), `level=WARN msg="this worker's version is too far`) || warnings() != 1 ||
			!strings.Contains(log.String(), `worker_version=0.2.0 server_version=0.4.0 do="Update the worker: `) {
			t.Errorf("after the server's upgrade, %d warnings: %s", warnings(), log)
		}
		r.set(func(r *remote) { r.serverVersion = "" }) // back to one that does not say it
		time.Sleep(time.Minute)
		r.set(func(r *remote) { r.serverVersion = "dev" })
		time.Sleep(time.Minute)
		if warnings() != 1 {
			t.Errorf("of versions that are not known: %s", log)
		}
		r.set(func(r *remote) { r.serverVersion, r.status["report"] = "0.0.9", 404 })
		time.Sleep(time.Second)
		r.set(func(r *remote) { r.status["report"] = 0 })
		time.Sleep(time.Minute)
		synctest.Wait()
		registrations := len(n.registered) - 1
		if registrations == 0 || warnings() != 1+registrations || !strings.Contains(log.String(), `do="Update the server, which comes before its workers: `) {
			t.Errorf("%d registrations at an older server, %d warnings: %s", registrations, warnings()-1, log)
		}
	})
}
