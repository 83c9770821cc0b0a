package discovery

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOwner(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	m.add(fakeProcess{pid: 101, ppid: 100, argv: []string{"python3", "-c", "x"}})
	m.add(fakeProcess{pid: 102, ppid: 101, argv: []string{"VLLM::EngineCore"}})
	in := vllm(200, "n", "--port", "9")
	in.cgroup = "0::/kubepods.slice/cri-containerd-" + idA + ".scope\n"
	m.add(in)
	// A process of the same container that isn't a child of the engine, such as one started from outside.
	m.add(fakeProcess{pid: 201, ppid: 1, argv: []string{"x"}, cgroup: "12:memory:/k8s\n1:name=systemd:/kubepods/pod1/" + idA + "\n"})
	m.add(fakeProcess{pid: 202, ppid: 1, argv: []string{"x"}, cgroup: "0::/docker/" + idB + "\n"})
	m.add(fakeProcess{pid: 300, ppid: 1, argv: []string{"sleep"}})
	m.add(fakeProcess{pid: 400, ppid: 400, argv: []string{"own parent"}})
	d, _ := m.discover(nil)
	if key, ok := d.Owner(100); ok {
		t.Errorf("before the first round: %s", key)
	}
	d.runRound()
	for pid, want := range map[int]string{
		100: "process:8000", 101: "process:8000", 102: "process:8000", 200: "process:9", 201: "process:9", 202: "", 300: "", 400: "",
		1: "", 0: "", -1: "", 999: "",
	} {
		for range 2 {
			if key, ok := d.Owner(pid); key != want || ok != (want != "") {
				t.Errorf("%d: %q %t, want %q", pid, key, ok, want)
			}
		}
	}
}

// A container with two engines has no owner of its own: a process in it is an engine's by its ancestors alone. One that is no
// descendant of either, such as a helper, is nobody's.
func TestOwnerInAContainerWithSeveralEngines(t *testing.T) {
	in := func(pid, ppid int, argv ...string) fakeProcess {
		return fakeProcess{pid: pid, ppid: ppid, argv: argv, net: otherNet, cgroup: "0::/docker/" + idA, trie: podTrie("172.17.0.5")}
	}
	for name, engines := range map[string]int{"one": 1, "two": 2, "three": 3} {
		for _, docker := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, by the daemon %t", name, docker), func(t *testing.T) {
				m, fake := newTree(t), newDaemon(t)
				fake.put(fakeContainer{id: idA, name: "q", address: "172.17.0.5", pid: 70})
				m.add(in(70, 1, "supervisord"))
				m.add(in(90, 70, "helper"))
				m.add(in(91, 1, "from", "outside"))
				for i := range engines {
					m.add(in(100+10*i, 70, "vllm", "serve", "m", "--port", strconv.Itoa(8000+i)))
					m.add(in(101+10*i, 100+10*i, "worker"))
				}
				d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = docker, "unix://"+fake.socket })
				if docker {
					if err := m.sync(t.Context(), d); err != nil {
						t.Fatal(err)
					}
				} else {
					d.runRound()
				}
				if len(d.Engines()) != engines {
					t.Fatalf("%+v", d.Engines())
				}
				for i := range engines {
					for _, pid := range []int{100 + 10*i, 101 + 10*i} {
						if key, _ := d.Owner(pid); !strings.HasSuffix(key, strconv.Itoa(8000+i)) {
							t.Errorf("%d is %q's", pid, key)
						}
					}
				}
				for _, pid := range []int{90, 91} {
					if key, ok := d.Owner(pid); ok != (engines == 1) {
						t.Errorf("%d is %q's", pid, key)
					}
				}
			})
		}
	}
}

func TestOwnerIsKept(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	m.add(fakeProcess{pid: 101, ppid: 100, argv: []string{"worker"}})
	d, _ := m.discover(nil)
	d.runRound()
	opened := 0
	d.owners.fs.fail = func(int, string) error {
		opened++
		return nil
	}
	at := time.Now()
	find := func(pid int, after time.Duration, want string) {
		t.Helper()
		if key, _ := d.owners.find(d.current.Load(), pid, at.Add(after)); key != want {
			t.Errorf("%d after %s: %q, want %q", pid, after, key, want)
		}
	}
	find(101, 0, "process:8000")
	d.runRound() // nothing has changed: the answers stay
	before := opened
	find(101, ownerTTL-1, "process:8000")
	if opened != before {
		t.Errorf("%d files opened for an answer that is known", opened-before)
	}
	// The id is another process' now.
	m.add(fakeProcess{pid: 101, ppid: 1, start: 5, argv: []string{"sleep"}})
	find(101, ownerTTL, "")
	// A process of nobody's becomes one of an engine.
	m.add(fakeProcess{pid: 102, ppid: 1, argv: []string{"sleep"}})
	find(102, 0, "")
	m.add(fakeProcess{pid: 102, ppid: 100, argv: []string{"worker"}})
	find(102, noOwnerTTL-1, "")
	find(102, noOwnerTTL, "process:8000")
	m.remove(101)
	find(101, time.Hour, "")
}

// What was said of a process stands as long as the engines are the same.
func TestOwnerOfAnEngineThatChanged(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "m")
	m.add(p)
	m.add(fakeProcess{pid: 101, ppid: 100, argv: []string{"worker"}})
	d, _ := m.discover(nil)
	for i, want := range []string{"process:8000", "process:9", "", "process:8000"} {
		p.start = uint64(i + 1)
		switch want {
		case "process:8000":
			p.argv = vllm(0, "m").argv
		case "process:9":
			p.argv = vllm(0, "m", "--port", "9").argv
		default:
			p.argv = []string{"cat"}
		}
		m.add(p)
		d.runRound()
		for _, pid := range []int{100, 101} {
			if key, ok := d.Owner(pid); key != want || ok != (want != "") {
				t.Errorf("%d: %q, want %q at once", pid, key, want)
			}
		}
	}
}

func TestOwnersAreBounded(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	d, _ := m.discover(nil)
	d.runRound()
	for pid := range maxOwnerAnswers {
		d.Owner(100)
		d.owners.answers[1000+pid] = answer{until: time.Now().Add(time.Hour)}
	}
	m.add(fakeProcess{pid: 101, ppid: 100, argv: []string{"worker"}})
	if key, _ := d.Owner(101); key != "process:8000" {
		t.Errorf("owner is %q", key)
	}
	if n := len(d.owners.answers); n > maxOwnerAnswers {
		t.Errorf("%d answers are kept", n)
	}
}

func TestOwnerIsSafe(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	d, _ := m.discover(nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for pid := range 200 {
				d.Owner(pid)
				d.Engines()
				for _, c := range d.Collectors() {
					_, _ = c.Collect(discard)
				}
			}
		})
	}
	for i := range 20 {
		p := vllm(100, "m")
		p.start = uint64(i + 1)
		m.add(p)
		d.runRound()
	}
	wg.Wait()
}
