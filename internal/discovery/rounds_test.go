package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestOtherNetworkOfIPv6(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "m")
	p.net, p.sockets = otherNet, []uint64{1}
	p.listen = []listener{{netip.IPv6Unspecified(), 8000, 1}}
	m.add(p)
	m.write("proc/100/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\nfd000077000000000000000000000002 02 40 00 80     eth0\n")
	d, _ := m.discover(nil)
	d.runRound()
	if got := d.Engines(); len(got) != 1 || got[0].URL != "http://[fd00:77::2]:8000" || got[0].Key != "process:[fd00:77::2]:8000" {
		t.Errorf("%+v", got)
	}
	p.listen = []listener{anywhere(8000, 1)}
	m.add(p)
	m.write("proc/100/net/if_inet6", "fd000077000000000000000000000002 02 40 00 80     eth0\n")
	d.runRound()
	if n := skippedBy(d, SourceProcess, skipNoAddress); n != 1 {
		t.Errorf("%g counted: %+v", n, d.Engines())
	}
}

// An engine is the same one whether its worker, which has its command line until it takes a title, was read before it or
// not.
func TestManyProcessesAreSharedByTwoRounds(t *testing.T) {
	m := newTree(t)
	crowd(m, 20)
	m.add(vllm(500, "m"))
	for i := range 20 {
		p := vllm(5000+i, "m")
		p.ppid = 500
		m.add(p)
	}
	d, _ := m.discover(nil)
	d.processes.maxNew = 10
	for i := range 2 {
		d.runRound()
		if d.processes.partial != (i == 0) {
			t.Errorf("round %d read %d", i, len(d.processes.all))
		}
		select {
		case <-d.FirstRoundDone():
			if i == 0 {
				t.Error("not all was read, and it says so")
			}
		default:
			if i > 0 {
				t.Error("all was read, and it does not say so")
			}
		}
		for _, f := range d.Engines() {
			if f.PID != 500 {
				t.Errorf("%+v", f)
			}
		}
	}
	if keys(d.Engines()) != "process:8000" {
		t.Errorf("%+v", d.Engines())
	}
}

// A child that is listed before its parent is no engine while its parent was not read: it may be one itself.
func TestChildThatIsListedBeforeItsParent(t *testing.T) {
	m := newTree(t)
	crowd(m, 38)
	d, _ := m.discover(nil)
	listed, err := d.processes.fs.pids(nil)
	if err != nil {
		t.Fatal(err)
	}
	listed = slices.DeleteFunc(listed, func(pid int) bool { return pid == 1 })
	d.processes.maxNew = len(listed)/2 + 1
	child, orphan, parent := listed[0], listed[1], listed[len(listed)-1]
	// Files are written in place, which leaves the order as it is.
	become := func(pid, ppid int, port string) {
		m.write(fmt.Sprintf("proc/%d/stat", pid), statLine(pid, "vllm", ppid, uint64(pid)))
		m.write(fmt.Sprintf("proc/%d/cmdline", pid), strings.Join(vllm(0, "m", "--port", port).argv, "\x00")+"\x00")
	}
	become(child, parent, "8000")
	become(parent, 1, "8000")
	become(orphan, 0, "9000") // has no parent that could be one
	d.runRound()
	if got := d.Engines(); !d.processes.partial || keys(got) != "process:9000" {
		t.Errorf("when a part was read (%t): %+v", d.processes.partial, got)
	}
	d.runRound()
	if got := d.Engines(); d.processes.partial || keys(got) != "process:8000 process:9000" || got[0].PID != parent {
		t.Errorf("when all were read: %+v", got)
	}
	// A parent that is gone is not one that was not read.
	m.remove(parent)
	d.runRound()
	if got := d.Engines(); keys(got) != "process:8000 process:9000" || got[0].PID != child {
		t.Errorf("when the parent has ended: %+v", got)
	}
}

func TestProcessesThatCannotBeListedHaveNotEnded(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	d, _ := m.discover(nil)
	d.runRound()
	root := d.processes.fs.root
	d.processes.fs.root = filepath.Join(root, "stat") // is no directory
	d.runRound()
	if keys(d.Engines()) != "process:8000" {
		t.Errorf("%+v", d.Engines())
	}
	if _, err := d.Collectors()[0].Collect(discard); err == nil {
		t.Error("no failure")
	}
	d.processes.fs.root = root
	m.remove(100)
	d.runRound()
	if len(d.Engines()) != 0 {
		t.Errorf("%+v", d.Engines())
	}
}

// A worker that starts while an engine does may see the engine with its parent's command line first. Old processes are not
// read again for that.
func TestEngineThatStartsWithTheWorker(t *testing.T) {
	for _, test := range []struct {
		name, load string
		found      string
	}{
		{"just forked", "0.50 0.40 0.30 2/321 5010\n", "process:8000"},
		{"old", "0.50 0.40 0.30 2/321 9000\n", ""},
		{"not told", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newTree(t)
			if test.load != "" {
				m.write("proc/loadavg", test.load)
			}
			m.add(fakeProcess{pid: 5000, start: 7, argv: []string{"supervisor", "--all"}})
			d, _ := m.discover(nil)
			d.processes.recheckRounds = 1 << 20 // its turn does not come
			d.runRound()
			p := vllm(5000, "m")
			p.start = 7
			m.add(p)
			d.runRound()
			if got := keys(d.Engines()); got != test.found {
				t.Errorf("found %q, want %q", got, test.found)
			}
		})
	}
}

// A process that ended after the list was made is none in this round already.
func TestProcessThatEndsWhileItIsListed(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	m.add(vllm(200, "n", "--port", "9"))
	d, _ := m.discover(nil)
	d.runRound()
	d.processes.fs.fail = func(pid int, _ string) error {
		if pid == 100 {
			return syscall.ESRCH
		}
		return nil
	}
	d.runRound()
	if got := keys(d.Engines()); got != "process:9" {
		t.Errorf("found %q", got)
	}
}

// A worker of an engine may get the number of another engine that has ended. Its title does not make it that engine.
func TestTitleOfAReusedID(t *testing.T) {
	for _, title := range []string{"VLLM::EngineCore", "sglang::scheduler_TP0"} {
		m := newTree(t)
		m.add(vllm(100, "m"))
		d, _ := m.discover(nil)
		d.runRound()
		m.add(fakeProcess{pid: 100, ppid: 1, start: 77, argv: []string{title}})
		for range 3 {
			d.runRound()
			if got := d.Engines(); len(got) != 0 {
				t.Errorf("%s: %+v", title, got)
			}
		}
	}
}

// A socket that somebody else holds may be handed to the engine, as by a supervisor that opens it.
func TestSocketThatIsHandedOver(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "m", "--port", "9")
	p.listen = []listener{anywhere(9, 5)}
	m.add(p)
	d, _ := m.discover(nil)
	d.runRound()
	if got := d.Engines(); len(got) != 1 || got[0].Listening {
		t.Fatalf("while it is somebody else's: %+v", got)
	}
	m.link("proc/100/fd/7", "socket:[5]")
	for range d.processes.recheckRounds {
		d.runRound()
	}
	if got := d.Engines(); len(got) != 1 || !got[0].Listening || got[0].URL != "http://127.0.0.1:9" {
		t.Errorf("when it was handed over: %+v", got)
	}
}

// Where the network of a process may not be read, a container's is another one than ours.
func TestNetworkThatIsHidden(t *testing.T) {
	for cgroup, want := range map[string]string{
		"":                                 "http://127.0.0.1:8000",
		"0::/docker/" + idA:                "http://10.42.0.9:8000",
		"0::/user.slice/session-3.scope\n": "http://127.0.0.1:8000",
		"0::/kubepods.slice/crio-" + idA + ".scope": "http://10.42.0.9:8000",
	} {
		m := newTree(t)
		p := vllm(100, "m")
		p.cgroup, p.trie = cgroup, podTrie("10.42.0.9")
		m.add(p)
		for _, name := range []string{"ns/net", "net/tcp", "net/tcp6"} {
			if err := os.Remove(filepath.Join(m.root, "proc/100", name)); err != nil {
				t.Fatal(err)
			}
		}
		d, _ := m.discover(nil)
		d.runRound()
		if got := d.Engines(); len(got) != 1 || got[0].URL != want {
			t.Errorf("in %q: %+v, want %s", cgroup, got, want)
		}
	}
}

// What comes back is left out anew; what stays was counted before. The log names the first few.
func TestWhatIsLeftOutCountsOnce(t *testing.T) {
	m := newTree(t)
	off := func(pid int) fakeProcess {
		p := vllm(pid, "m", "--port", strconv.Itoa(pid))
		p.env = []string{"STACKSCOPE_DISABLE=1"}
		return p
	}
	m.add(off(100))
	d, log := m.discover(nil)
	check := func(want float64) {
		t.Helper()
		for range 3 {
			d.runRound()
		}
		if n := skippedBy(d, SourceProcess, skipDisabled); n != want {
			t.Errorf("%g counted, want %g", n, want)
		}
	}
	check(1)
	m.remove(100)
	check(1)
	m.add(off(100))
	check(2)
	for pid := range 2 * maxLoggedPerReason {
		m.add(off(1000 + pid))
	}
	check(2 + 2*maxLoggedPerReason)
	if n := strings.Count(log.String(), "skipped by discovery"); n != maxLoggedPerReason {
		t.Errorf("%d are named in the log, want %d", n, maxLoggedPerReason)
	}
	if n := strings.Count(log.String(), "last_one_named=true"); n != 1 {
		t.Errorf("said %d times that more are not named", n)
	}
}

// The first round waits for what the daemon says, for a while.
func TestFirstRoundWaitsForTheDaemon(t *testing.T) {
	for name, answers := range map[string]time.Duration{"it answers": dockerFirstWait / 2, "it does not answer": time.Hour} {
		t.Run(name, func(t *testing.T) {
			m := newTree(t)
			m.add(vllm(100, "m"))
			synctest.Test(t, func(t *testing.T) {
				d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix:///nowhere/docker.sock" })
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go d.runRounds(ctx)
				time.AfterFunc(answers, func() { close(d.docker.synced) })
				wait := min(answers, dockerFirstWait)
				time.Sleep(wait - 1)
				if got := d.Engines(); len(got) != 0 {
					t.Errorf("before: %+v", got)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if keys(d.Engines()) != "process:8000" {
					t.Errorf("after %s: %+v", wait, d.Engines())
				}
			})
		})
	}
}
