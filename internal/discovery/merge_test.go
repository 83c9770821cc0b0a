package discovery

import (
	"fmt"
	"testing"
)

// Of two engines at one place the one that listens has it, however old it is, and of two that listen the older one.
func TestEngineThatListensHasThePort(t *testing.T) {
	for name, c := range map[string]struct {
		listen      []int
		older, want int
	}{
		"the older listens":             {[]int{100}, 100, 100},
		"the younger listens":           {[]int{200}, 100, 200},
		"the older one, listed last":    {[]int{200}, 200, 200},
		"the younger one, listed first": {[]int{100}, 200, 100},
		"both listen":                   {[]int{100, 200}, 100, 100},
		"both, the older listed last":   {[]int{100, 200}, 200, 200},
	} {
		for _, source := range []Source{SourceProcess, SourceDocker} {
			t.Run(fmt.Sprintf("%s, %s", name, source), func(t *testing.T) {
				m, fake := newTree(t), newDaemon(t)
				for i, pid := range []int{100, 200} {
					p := vllm(pid, fmt.Sprint("model-", pid))
					p.listen, p.start = []listener{anywhere(8000, 100), anywhere(8000, 200)}, 900
					if pid == c.older {
						p.start = 400
					}
					if p.sockets = []uint64{uint64(pid)}; len(c.listen) == 1 {
						p.sockets = nil
						if pid == c.listen[0] {
							p.sockets = []uint64{100, 200}
						}
					}
					if source == SourceDocker {
						id := []string{idA, idB}[i]
						p.cgroup = "0::/docker/" + id
						fake.put(fakeContainer{id: id, name: fmt.Sprint("c", pid), argv: p.argv, network: "host", pid: pid})
					}
					m.add(p)
				}
				d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
				if err := m.sync(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if got := d.Engines(); len(got) != 1 || got[0].PID != c.want || got[0].Model != fmt.Sprint("model-", c.want) || !got[0].Listening || got[0].Source != source {
					t.Errorf("%+v, want %d", got, c.want)
				}
				if n := skippedBy(d, source, skipPortTaken); n != 1 {
					t.Errorf("%g counted as one whose port is taken", n)
				}
			})
		}
	}
}

// Of two engines at one port that do not listen yet, the older one has it, whichever is listed first.
func TestOlderEngineHasThePort(t *testing.T) {
	for _, older := range []int{100, 200} {
		m := newTree(t)
		for _, pid := range []int{100, 200} {
			p := vllm(pid, fmt.Sprint("model-", pid))
			p.start = 900
			if pid == older {
				p.start = 400
			}
			m.add(p)
		}
		d, _ := m.discover(nil)
		d.runRound()
		if got := d.Engines(); len(got) != 1 || got[0].PID != older || got[0].Model != fmt.Sprint("model-", older) {
			t.Errorf("%d is older: %+v", older, got)
		}
	}
}

// A process at the place of a container's engine is that engine, seen from outside of it, and is taken for its process where
// Docker's does not listen.
func TestContainersEngineIsSeenAsAProcess(t *testing.T) {
	for name, test := range map[string]struct {
		pid       int // of the container
		listens   int // pid of the one that holds the socket
		want      int
		listening bool
	}{
		"Docker tells no process":   {0, 90, 90, true},
		"Docker's does not listen":  {70, 90, 90, true},
		"Docker's listens":          {70, 70, 70, true},
		"nobody is known to listen": {0, 0, 90, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, fake := newTree(t), newDaemon(t)
			fake.put(fakeContainer{id: idA, name: "q", argv: []string{"vllm", "serve", "m"}, network: "host", pid: test.pid})
			for _, pid := range []int{70, 90} {
				p := vllm(pid, "m")
				if test.listens != 0 {
					p.listen = []listener{anywhere(8000, 1)}
				}
				if pid == test.listens {
					p.sockets = []uint64{1}
				}
				switch pid {
				case 90:
					m.add(p)
				case test.pid:
					p.cgroup = "0::/docker/" + idA
					m.add(p)
				}
			}
			d, _ := m.discover(func(o *Options) { o.Docker, o.DockerHost = true, "unix://"+fake.socket })
			if err := m.sync(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			got := d.Engines()
			if keys(got) != "docker:q:8000" || got[0].PID != test.want || got[0].Listening != test.listening || got[0].Started.Unix() != bootSecond+int64(test.want) {
				t.Errorf("%+v, want process %d", got, test.want)
			}
			if key, _ := d.Owner(test.want); key != "docker:q:8000" {
				t.Errorf("process %d is %q's", test.want, key)
			}
		})
	}
}
