package discovery

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func vllm(pid int, args ...string) fakeProcess {
	return fakeProcess{pid: pid, ppid: 1, argv: append([]string{"/opt/venv/bin/python3", "/opt/venv/bin/vllm", "serve"}, args...)}
}

func TestProcess(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "org/qwen", "--port", "8123", "--api-key", "canary")
	p.sockets, p.listen = []uint64{500}, []listener{anywhere(8123, 500)}
	m.add(p)
	m.add(fakeProcess{pid: 101, ppid: 100, argv: []string{"VLLM::EngineCore"}})
	m.add(fakeProcess{pid: 102, ppid: 1, argv: []string{"sh", "-c", "vllm serve x"}})
	d, _ := m.discover(nil)
	if len(d.Engines()) != 0 {
		t.Error("engines are there before they were looked for")
	}
	changes := 0
	d.onChange = func() { changes++ }
	d.runRound()
	want := []Found{{
		Key: "process:8123", Source: SourceProcess, Runtime: "vLLM", Model: "org/qwen", URL: "http://127.0.0.1:8123", PID: 100,
		Started: time.Unix(bootSecond+100, 0), Listening: true, ModelSource: "huggingface", ModelSourceKey: "org/qwen",
	}}
	if diff := cmp.Diff(want, d.Engines()); diff != "" {
		t.Error(diff)
	}
	d.runRound()
	if changes != 1 {
		t.Errorf("%d changes, want 1", changes)
	}
	m.remove(100)
	m.remove(101)
	d.runRound()
	if got := d.Engines(); len(got) != 0 || changes != 2 {
		t.Errorf("%d changes; still there: %+v", changes, got)
	}
	// The same engine, started again, keeps its key.
	p.pid, p.start = 200, 99_999
	m.add(p)
	d.runRound()
	if got := d.Engines(); len(got) != 1 || got[0].Key != want[0].Key || got[0].PID != 200 || got[0].Started.Equal(want[0].Started) {
		t.Errorf("%+v", got)
	}
}

func TestOneTreeIsOneEngine(t *testing.T) {
	m := newTree(t)
	m.add(fakeProcess{pid: 90, ppid: 1, argv: []string{"bash", "-c", "vllm serve m"}})
	p := vllm(100, "m", "--api-server-count", "2")
	p.ppid = 90
	m.add(p)
	m.add(fakeProcess{pid: 101, ppid: 100, argv: []string{"python3", "-c", "from multiprocessing.resource_tracker import main"}})
	for _, pid := range []int{102, 103} {
		p.pid, p.ppid = pid, 101
		m.add(p)
	}
	m.add(fakeProcess{pid: 110, ppid: 1, argv: []string{"python3", "-m", "sglang.launch_server", "--model-path", "/w/m", "--port", "9000"}})
	m.add(fakeProcess{pid: 111, ppid: 110, argv: []string{"sglang::scheduler_TP0"}})
	d, _ := m.discover(nil)
	d.runRound()
	got := d.Engines()
	if keys(got) != "process:8000 process:9000" || got[0].PID != 100 || got[1].PID != 110 || got[1].Runtime != "SGLang" || got[1].Model != "" {
		t.Errorf("%+v", got)
	}
	if got[0].Listening {
		t.Error("nothing listens yet")
	}
}

func TestExec(t *testing.T) {
	m := newTree(t)
	m.add(fakeProcess{pid: 100, ppid: 1, argv: []string{"bash", "/start.sh"}})
	d, _ := m.discover(nil)
	for range 50 {
		d.runRound()
	}
	// The shell becomes the engine: same process, another program.
	p := vllm(100, "m")
	p.comm = "vllm"
	m.add(p)
	d.runRound()
	if keys(d.Engines()) != "process:8000" {
		t.Fatalf("after exec: %+v", d.Engines())
	}
	// The engine takes a title and stays one.
	p.comm, p.argv = "VLLM::APIServer", []string{"VLLM::APIServer"}
	m.add(p)
	d.runRound()
	d.runRound()
	if keys(d.Engines()) != "process:8000" {
		t.Errorf("after it took a title: %+v", d.Engines())
	}
	// Its id is taken by something else.
	m.add(fakeProcess{pid: 100, ppid: 1, start: 77, argv: []string{"cat"}})
	d.runRound()
	if got := d.Engines(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	// A process seen between fork and exec is read again.
	m.add(fakeProcess{pid: 300, ppid: 1, argv: []string{"python3", "launcher.py"}})
	d.runRound()
	p.pid, p.start, p.argv = 300, 0, vllm(0, "m").argv
	p.comm = "python3"
	m.add(p)
	d.runRound()
	if keys(d.Engines()) != "process:8000" {
		t.Errorf("between fork and exec: %+v", d.Engines())
	}
}

func TestReusedID(t *testing.T) {
	m := newTree(t)
	m.add(fakeProcess{pid: 100, ppid: 1, argv: []string{"cat"}})
	d, _ := m.discover(nil)
	for range 70 {
		d.runRound()
	}
	p := vllm(100, "m")
	p.start = 5
	m.add(p)
	for range 61 { // of a second each
		d.runRound()
	}
	if keys(d.Engines()) != "process:8000" {
		t.Errorf("%+v", d.Engines())
	}
}

func TestPorts(t *testing.T) {
	loop := netip.MustParseAddr("127.0.0.1")
	for name, test := range map[string]struct {
		args    []string
		env     []string
		sockets []uint64
		listen  []listener
		child   []uint64
		want    string // URL, "" none
		open    bool
	}{
		"default":              {want: "http://127.0.0.1:8000"},
		"told":                 {args: []string{"--port", "9"}, want: "http://127.0.0.1:9"},
		"told, workers listen": {args: []string{"--port", "9"}, sockets: []uint64{1}, listen: []listener{anywhere(4000, 1)}, want: "http://127.0.0.1:9"},
		"any, not yet":         {args: []string{"--port", "0"}},
		"any":                  {args: []string{"--port", "0"}, sockets: []uint64{1}, listen: []listener{anywhere(4000, 1), anywhere(3000, 7)}, want: "http://127.0.0.1:4000", open: true},
		"any, in a worker":     {args: []string{"--port", "0"}, child: []uint64{1}, listen: []listener{anywhere(4000, 1)}, want: "http://127.0.0.1:4000", open: true},
		"taken":                {args: []string{"--port", "9"}, sockets: []uint64{1}, listen: []listener{anywhere(9, 5), anywhere(4000, 1)}, want: "http://127.0.0.1:4000", open: true},
		"taken, not yet":       {args: []string{"--port", "9"}, listen: []listener{anywhere(9, 5)}, want: "http://127.0.0.1:9"},
		"from a file":          {sockets: []uint64{1, 2}, listen: []listener{{loop, 3000, 2}, anywhere(4000, 1)}, want: "http://127.0.0.1:4000", open: true},
		"worker's port":        {child: []uint64{1}, listen: []listener{anywhere(4000, 1)}, want: "http://127.0.0.1:8000"},
		"in a worker":          {child: []uint64{1}, listen: []listener{anywhere(8000, 1)}, want: "http://127.0.0.1:8000", open: true},
		"set":                  {args: []string{"--port", "9"}, env: []string{"STACKSCOPE_METRICS_PORT=77"}, listen: []listener{anywhere(77, 9)}, want: "http://127.0.0.1:77", open: true},
		"one address":          {sockets: []uint64{1}, listen: []listener{{netip.MustParseAddr("192.0.2.7"), 8000, 1}}, want: "http://192.0.2.7:8000", open: true},
		"IPv6":                 {sockets: []uint64{1}, listen: []listener{{netip.MustParseAddr("2001:db8::1"), 8000, 1}}, want: "http://[2001:db8::1]:8000", open: true},
		"all of IPv6":          {sockets: []uint64{1}, listen: []listener{{netip.IPv6Unspecified(), 8000, 1}}, want: "http://127.0.0.1:8000", open: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newTree(t)
			p := vllm(100, append([]string{"m"}, test.args...)...)
			p.env, p.sockets, p.listen = test.env, test.sockets, test.listen
			m.add(p)
			m.add(fakeProcess{pid: 101, ppid: 100, argv: []string{"VLLM::EngineCore"}, sockets: test.child})
			d, _ := m.discover(nil)
			d.runRound()
			url, open := "", false
			if list := d.Engines(); len(list) == 1 {
				url, open = list[0].URL, list[0].Listening
			}
			if url != test.want || open != test.open {
				t.Errorf("%q, open %t; want %q, open %t", url, open, test.want, test.open)
			}
		})
	}
}

func TestPortFromEnvironment(t *testing.T) {
	m := newTree(t)
	m.add(fakeProcess{pid: 100, argv: []string{"./bin/mindieservice_daemon"}, env: []string{"X=1", "MIES_METRICS_PORT=1234", "=", "MIES_METRICS_PORT"}})
	d, _ := m.discover(nil)
	d.runRound()
	if keys(d.Engines()) != "process:1234" || d.Engines()[0].Runtime != "MindIE" {
		t.Errorf("%+v", d.Engines())
	}
}

func TestSettings(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "org/m")
	p.env = []string{"STACKSCOPE_MODEL=mine", "STACKSCOPE_INSTANCE=mine-0", "STACKSCOPE_METRICS_PATH=/x/metrics", "STACKSCOPE_DISABLE=false"}
	m.add(p)
	d, log := m.discover(nil)
	d.runRound()
	got := d.Engines()
	if len(got) != 1 || got[0].Model != "mine" || got[0].Instance != "mine-0" || got[0].Path != "/x/metrics" {
		t.Errorf("%+v", got)
	}
	for _, env := range []string{"STACKSCOPE_DISABLE=1", "GPUSTACK_DISABLE_METRICS=false"} {
		p.start++
		p.env = []string{env}
		m.add(p)
		d.runRound()
		if got := d.Engines(); len(got) != 0 {
			t.Errorf("%s: %+v", env, got)
		}
	}
	d.runRound()
	if n := skippedBy(d, SourceProcess, skipDisabled); n != 1 {
		t.Errorf("%g counted as disabled, want 1", n) // it is one process id that stays out
	}
	p.start++
	p.env = nil
	p.argv = append(p.argv, "--disable-log-stats")
	m.add(p)
	d.runRound()
	if n := skippedBy(d, SourceProcess, skipMetricsOff); n != 1 || len(d.Engines()) != 0 {
		t.Errorf("%g counted as off: %+v", n, d.Engines())
	}
	if !strings.Contains(log.String(), "pid=100") {
		t.Errorf("not named: %s", log)
	}
}

func TestOtherNetwork(t *testing.T) {
	m := newTree(t)
	p := vllm(100, "m")
	p.net, p.trie, p.cgroup = otherNet, podTrie("10.42.0.9"), "0::/kubepods.slice/cri-containerd-"+idA+".scope\n"
	m.add(p)
	d, log := m.discover(nil)
	check := func(want string, open bool) {
		t.Helper()
		d.runRound()
		got := d.Engines()
		if len(got) != 1 || got[0].URL != want || got[0].Listening != open || got[0].Container != idA[:12] || got[0].Key != "process:"+strings.TrimPrefix(want, "http://") {
			t.Errorf("%+v; want %s, open %t", got, want, open)
		}
	}
	check("http://10.42.0.9:8000", false)
	p.sockets, p.listen = []uint64{1}, []listener{anywhere(8000, 1)}
	m.add(p)
	check("http://10.42.0.9:8000", true)
	p.listen = []listener{{netip.MustParseAddr("10.42.0.10"), 8000, 1}}
	m.add(p)
	check("http://10.42.0.10:8000", true)
	p.listen = []listener{{netip.MustParseAddr("127.0.0.1"), 8000, 1}}
	m.add(p)
	for range 3 {
		d.runRound()
	}
	if n := skippedBy(d, SourceProcess, skipLoopback); n != 1 || len(d.Engines()) != 0 {
		t.Errorf("loopback of another network: %g counted, %+v", n, d.Engines())
	}
	if strings.Count(log.String(), skipLoopback) != 1 || !strings.Contains(log.String(), "0.0.0.0") {
		t.Errorf("want it named once, with what to do: %s", log)
	}
	for _, listen := range [][]listener{nil, {anywhere(8000, 1)}} {
		p.listen, p.trie = listen, ""
		m.add(p)
		d.runRound()
		if n := skippedBy(d, SourceProcess, skipNoAddress); n != 1 {
			t.Errorf("without an address, listening at %v: %g counted", listen, n)
		}
	}
}

func TestPortTaken(t *testing.T) {
	m := newTree(t)
	old, young := vllm(100, "a"), vllm(200, "b")
	old.sockets = []uint64{1}
	m.add(old)
	m.add(young)
	m.hostSockets([]int{100, 200}, anywhere(8000, 1))
	d, _ := m.discover(nil)
	d.runRound()
	if got := d.Engines(); len(got) != 1 || got[0].Model != "a" || !got[0].Listening {
		t.Errorf("%+v", got)
	}
	if n := skippedBy(d, SourceProcess, skipPortTaken); n != 1 {
		t.Errorf("%g counted", n)
	}
}

func TestUnreadable(t *testing.T) {
	m := newTree(t)
	m.add(vllm(100, "m"))
	m.add(vllm(200, "n", "--port", "9"))
	m.add(vllm(300, "o", "--port", "10"))
	d, log := m.discover(nil)
	d.processes.fs.fail = func(pid int, name string) error {
		switch {
		case pid == 100 && name == "environ":
			return &fs.PathError{Op: "open", Path: "canary", Err: syscall.EACCES}
		case pid == 200 && name == "cmdline":
			return syscall.EPERM
		case pid == 300:
			return syscall.ESRCH // gone while it is read
		}
		return nil
	}
	for range 35 {
		d.runRound()
	}
	if keys(d.Engines()) != "process:8000" {
		t.Errorf("%+v", d.Engines())
	}
	if n := skippedBy(d, SourceProcess, skipUnreadable); n != 2 {
		t.Errorf("%g counted, want 2", n)
	}
	if got := log.String(); strings.Count(got, "skipped by discovery") != 2 || strings.Contains(got, "canary") || strings.Contains(got, "pid=300") {
		t.Errorf("logged %s", got)
	}
}

func TestNoProc(t *testing.T) {
	d, err := New(Options{Root: t.TempDir(), Processes: true, Rules: testSigns()})
	if err != nil {
		t.Fatal(err)
	}
	d.runRound()
	if took, err := d.Collectors()[0].Collect(discard); took >= 0 || err != nil {
		t.Errorf("took %s, error %v: a machine without /proc is no failure", took, err)
	}
}

// crowd adds processes of all kinds, none of them an engine.
func crowd(m *machineTree, n int) {
	for i := range n {
		pid := 1000 + i
		p := fakeProcess{pid: pid, ppid: 1, comm: "worker"}
		switch i % 4 {
		case 0: // a kernel thread
		case 1:
			p.argv = []string{"/usr/bin/python3", "/srv/app/main.py", "--port", strconv.Itoa(pid), strings.Repeat("x", 200)}
		case 2:
			p.argv = []string{"/usr/lib/systemd/systemd-thing", "--flag", strings.Repeat("y", 100)}
		case 3:
			p.argv = []string{"/usr/bin/java", "-Xmx4g", "-cp", strings.Repeat("z", 2000), "com.example.Main"}
		}
		m.add(p)
	}
}

func TestSteadyRoundReadsNoCommandLine(t *testing.T) {
	m := newTree(t)
	crowd(m, 200)
	p := vllm(5000, "m")
	p.sockets, p.listen = []uint64{1}, []listener{anywhere(8000, 1)}
	m.add(p)
	m.add(fakeProcess{pid: 5001, ppid: 1, argv: []string{"bash"}})
	d, _ := m.discover(nil)
	for range 65 {
		d.runRound()
	}
	opened := map[string]int{}
	d.processes.fs.fail = func(_ int, name string) error {
		opened[name]++
		return nil
	}
	const rounds, scripts = 60, 50
	for range rounds {
		d.runRound()
	}
	if opened["cmdline"]+opened["environ"]+opened["cgroup"] != 0 {
		t.Errorf("opened %v", opened)
	}
	// Each once in 60 rounds, Python's in 10, the engine and the shell in each.
	if want := 201 - scripts + scripts*rounds/10 + 2*rounds; opened["stat"] < want-4 || opened["stat"] > want+4 {
		t.Errorf("opened stat %d times, want about %d", opened["stat"], want)
	}
}

func BenchmarkRound(b *testing.B) {
	m := newTree(b)
	crowd(m, 2000)
	for i := range 8 {
		p := vllm(5000+i, "m", "--port", strconv.Itoa(8000+i))
		p.sockets = []uint64{uint64(i + 1)}
		p.listen = []listener{anywhere(8000+i, uint64(i+1))}
		m.add(p)
	}
	for _, test := range []struct {
		name  string
		first bool
	}{{"first", true}, {"steady", false}} {
		b.Run(test.name, func(b *testing.B) {
			d, _ := m.discover(func(o *Options) { o.Interval = DefaultInterval })
			for range 40 {
				d.runRound()
			}
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				if test.first {
					d, _ = m.discover(nil)
				}
				d.runRound()
			}
			b.ReportMetric((cpuTime()-start).Seconds()*1e3/float64(b.N), "cpu-ms/op")
			d.runRound()
			if len(d.Engines()) != 8 {
				b.Fatal(fmt.Sprint(d.Engines()))
			}
		})
	}
}

// BenchmarkThisMachine goes over the processes that are there, however many.
func BenchmarkThisMachine(b *testing.B) {
	m := &machineTree{tb: b, root: "/"}
	for _, first := range []bool{true, false} {
		b.Run(map[bool]string{true: "first", false: "steady"}[first], func(b *testing.B) {
			d, _ := m.discover(func(o *Options) { o.Interval = DefaultInterval })
			for range 40 {
				d.runRound()
			}
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				if first {
					d, _ = m.discover(nil)
				}
				d.runRound()
			}
			b.ReportMetric((cpuTime()-start).Seconds()*1e3/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(len(d.processes.all)), "processes")
		})
	}
}

// cpuTime is the CPU time that this process has used.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
