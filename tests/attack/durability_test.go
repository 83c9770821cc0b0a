//go:build linux

package attack

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	durabilityWorkers = 6
	maxInFlight       = 150 * time.Millisecond // between two things that happen to the server
)

// TestDurability kills the server at random moments while workers register, report and are removed and mappings are posted, a
// third of the time on a disk that fills up and is freed again. What was acknowledged is there afterwards; of what was refused
// with 5xx, or not answered, a report may be there, and all else is as before or, without an answer, either.
func TestDurability(t *testing.T) {
	disk := onSmallDisk(t, 48<<20)
	if disk == "" {
		return
	}
	const seed = 12
	rnd := rand.New(rand.NewPCG(seed, 0))
	full := newBallast(disk)
	var known []*knownWorker
	for n := range durabilityWorkers {
		known = append(known, &knownWorker{name: fmt.Sprint("w", n), rnd: rand.New(rand.NewPCG(seed, uint64(n)+1))})
	}
	mapping := &knownMapping{rnd: rand.New(rand.NewPCG(seed, 100))}
	var counts tally
	began := time.Now()
	kills := count(200, 20)
	for k := range kills {
		s := serveIn(t, disk, nil, "--disable-builtin-observability")
		for _, w := range known {
			w.check(t, s)
		}
		mapping.check(t, s)
		if t.Failed() {
			t.Fatalf("after kill %d of %d, seed %d", k, kills, seed)
		}
		killed := make(chan struct{})
		var clients sync.WaitGroup
		for _, w := range known {
			clients.Go(func() { w.live(s, &counts, killed) })
		}
		clients.Go(func() { mapping.live(s, &counts, killed) })
		moment := func() { time.Sleep(10*time.Millisecond + rand.N(maxInFlight)) }
		moment()
		fills, filled := rnd.IntN(3) == 0, false
		if fills {
			if err := full.fill(); err != nil {
				t.Fatal(err)
			}
			filled = true
			moment()
			if rnd.IntN(2) == 0 {
				if err := full.free(); err != nil {
					t.Fatal(err)
				}
				filled = false
				moment()
			}
		}
		s.Stop(syscall.SIGKILL)
		close(killed)
		clients.Wait()
		if filled {
			if err := full.free(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := serveIn(t, disk, nil, "--disable-builtin-observability")
	for _, w := range known {
		w.check(t, s)
	}
	mapping.check(t, s)
	t.Logf("| %s | %d kills | %s | %.0f s |", t.Name(), kills, counts.String(), time.Since(began).Seconds())
	for _, what := range []string{"register", "report", "remove", "allow", "post"} {
		if counts.of(what, outcomeDone) == 0 || counts.of(what, outcomeRefused) == 0 && count(1, 0) == 1 {
			t.Errorf("%s: not tried in every way: %s", what, counts.String())
		}
	}
}
