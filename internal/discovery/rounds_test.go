package discovery

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestOtherNetworkOfIPv6(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "m")
	p.net, p.sockets = otherNet, []uint64{1}
	p.listen = []listener{{netip.IPv6Unspecified(), 8000, 1}}
	m.add(p)
	m.write("proc/100/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\nfd000077000000000000000000000002 02 40 00 80     eth0\n")
	d, _ := m.discover(nil)
	d.round()
	if got := d.Engines(); len(got) != 1 || got[0].URL != "http://[fd00:77::2]:8000" || got[0].Key != "process:[fd00:77::2]:8000" {
		t.Errorf("%+v", got)
	}
	p.listen = []listener{anywhere(8000, 1)}
	m.add(p)
	m.write("proc/100/net/if_inet6", "fd000077000000000000000000000002 02 40 00 80     eth0\n")
	d.round()
	if n := skippedBy(d, SourceProcess, reasonNoAddress); n != 1 {
		t.Errorf("%g counted: %+v", n, d.Engines())
	}
}

// An engine is the same one whether its worker, which has its command line until it takes a title, was looked at before it or
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
		d.round()
		if d.processes.partial != (i == 0) {
			t.Errorf("round %d looked at %d", i, len(d.processes.all))
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

// A child that is listed before its parent is no engine while its parent was not looked at: it may be one itself.
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
	d.round()
	if got := d.Engines(); !d.processes.partial || keys(got) != "process:9000" {
		t.Errorf("when a part was looked at (%t): %+v", d.processes.partial, got)
	}
	d.round()
	if got := d.Engines(); d.processes.partial || keys(got) != "process:8000 process:9000" || got[0].PID != parent {
		t.Errorf("when all were looked at: %+v", got)
	}
	// A parent that is gone is not one that was not looked at.
	m.remove(parent)
	d.round()
	if got := d.Engines(); keys(got) != "process:8000 process:9000" || got[0].PID != child {
		t.Errorf("when the parent has ended: %+v", got)
	}
}

func TestProcessesThatCannotBeListedHaveNotEnded(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	d, _ := m.discover(nil)
	d.round()
	root := d.processes.fs.root
	d.processes.fs.root = filepath.Join(root, "stat") // is no directory
	d.round()
	if keys(d.Engines()) != "process:8000" {
		t.Errorf("%+v", d.Engines())
	}
	if _, err := d.Collectors()[0].Collect(discard); err == nil {
		t.Error("no failure")
	}
	d.processes.fs.root = root
	m.remove(100)
	d.round()
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
			d.processes.slots = 1 << 20 // its turn does not come
			d.round()
			p := vllm(5000, "m")
			p.start = 7
			m.add(p)
			d.round()
			if got := keys(d.Engines()); got != test.found {
				t.Errorf("found %q, want %q", got, test.found)
			}
		})
	}
}
