package discovery

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackscope/stackscope/internal/fleet"
	"github.com/stackscope/stackscope/tests/programs"
)

func testSigns() []fleet.DetectionRule {
	return []fleet.DetectionRule{
		{
			Runtime: "vLLM", Role: fleet.RoleRouter, Commands: []string{"vllm-router"}, Needs: []string{"--prefill", "--worker-urls"}, Images: []string{"vllm/vllm-router"},
			Port: 29000, PortFlags: []string{"--prometheus-port"}, UpstreamFlags: []string{"--prefill", "--decode", "--worker-urls"},
		},
		{
			Runtime: "vLLM", Commands: []string{"vllm serve", "vllm.entrypoints.openai.api_server"},
			Images: []string{"vllm/vllm-openai", "vllm-ascend"}, Port: 8000, PortFlags: []string{"--port"},
			NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model"}, Positional: true, Off: []string{"--disable-log-stats"},
			Lockstep: []string{"--data-parallel-rank"}, TransferFlags: []string{"--kv-transfer-config"}, ModelScopeEnv: []string{"VLLM_USE_MODELSCOPE"},
		},
		{
			Runtime: "SGLang", Commands: []string{"sglang.launch_server", "sglang serve"}, Images: []string{"lmsysorg/sglang"}, Port: 30000,
			PortFlags: []string{"--port"}, NameFlags: []string{"--served-model-name"}, ModelFlags: []string{"--model-path", "--model"},
			RoleFlags: []string{"--disaggregation-mode"}, ConnectorFlags: []string{"--disaggregation-transfer-backend"}, DefaultConnector: "mooncake",
		},
		{
			Runtime: "MindIE", Commands: []string{"mindieservice_daemon"}, Images: []string{"ascendhub/mindie"}, Port: 1027,
			PortEnv: []string{"MIES_METRICS_PORT"}, RoleFlags: []string{"--part"}, Roles: map[string]fleet.Role{"context": fleet.RolePrefill},
		},
		{
			Runtime: "NIM", Images: []string{"nvcr.io/nim/"}, Port: 8000, Path: "/v1/metrics",
		},
	}
}

const (
	hostNet    = "net:[4026531840]"
	otherNet   = "net:[4026532700]"
	bootSecond = 1_700_000_000
)

// machineTree is a machine's file system with processes in it.
type machineTree struct {
	tb   testing.TB
	root string
}

// fakeProcess is a process of such a machine.
type fakeProcess struct {
	pid, ppid int
	start     uint64 // 0: made from pid
	comm      string
	argv      []string
	env       []string
	cgroup    string
	net       string     // "": hostNet
	sockets   []uint64   // of its open files
	listen    []listener // in its network
	trie      string
}

func newTree(tb testing.TB) *machineTree {
	tb.Helper()
	m := &machineTree{tb: tb, root: tb.TempDir()}
	m.write("proc/stat", fmt.Sprintf("cpu  1 2 3\nbtime %d\nprocesses 4\n", bootSecond))
	m.link("proc/self/ns/net", hostNet)
	m.add(fakeProcess{pid: 1, argv: []string{"/sbin/init"}})
	return m
}

func (m *machineTree) write(name, text string) {
	m.tb.Helper()
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.tb.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		m.tb.Fatal(err)
	}
}

func (m *machineTree) link(name, target string) {
	m.tb.Helper()
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.tb.Fatal(err)
	}
	_ = os.Remove(name)
	if err := os.Symlink(target, name); err != nil {
		m.tb.Fatal(err)
	}
}

// add writes a process, over the one that has its id.
func (m *machineTree) add(p fakeProcess) {
	m.tb.Helper()
	m.remove(p.pid)
	dir := "proc/" + strconv.Itoa(p.pid) + "/"
	if p.comm == "" && len(p.argv) > 0 {
		p.comm = filepath.Base(p.argv[0])
	}
	if p.start == 0 {
		p.start = uint64(p.pid) * 100
	}
	if p.net == "" {
		p.net = hostNet
	}
	if p.cgroup == "" {
		p.cgroup = "0::/user.slice/session-1.scope\n"
	}
	line := ""
	if len(p.argv) > 0 {
		line = strings.Join(p.argv, "\x00") + "\x00"
	}
	m.write(dir+"cmdline", line)
	m.write(dir+"environ", strings.Join(p.env, "\x00")+"\x00")
	m.write(dir+"stat", statLine(p.pid, p.comm, p.ppid, p.start))
	m.write(dir+"cgroup", p.cgroup)
	m.write(dir+"net/tcp", socketTable(p.listen, false))
	m.write(dir+"net/tcp6", socketTable(p.listen, true))
	m.write(dir+"net/fib_trie", p.trie)
	m.link(dir+"ns/net", p.net)
	m.link(dir+"fd/0", "/dev/null")
	for i, inode := range p.sockets {
		m.link(dir+"fd/"+strconv.Itoa(i+3), fmt.Sprintf("socket:[%d]", inode))
	}
}

func (m *machineTree) remove(pid int) {
	m.tb.Helper()
	if err := os.RemoveAll(filepath.Join(m.root, "proc", strconv.Itoa(pid))); err != nil {
		m.tb.Fatal(err)
	}
}

// hostSockets writes the listening sockets of the machine's own network, which all processes in it see.
func (m *machineTree) hostSockets(pids []int, listen ...listener) {
	m.tb.Helper()
	for _, pid := range pids {
		dir := "proc/" + strconv.Itoa(pid) + "/"
		m.write(dir+"net/tcp", socketTable(listen, false))
		m.write(dir+"net/tcp6", socketTable(listen, true))
	}
}

func statLine(pid int, comm string, ppid int, start uint64) string {
	return fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 1 2 3 4 10 20 0 0 20 0 1 0 %d 1000 200 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 2 3 %d 5 6 7 0\n",
		pid, comm, ppid, start, 140000000)
}

func socketTable(list []listener, six bool) string {
	var b strings.Builder
	b.WriteString("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n")
	for i, l := range list {
		if l.addr.Is6() != six {
			continue
		}
		fmt.Fprintf(&b, "%4d: %s:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %d 1 0000000000000000 100 0 0 10 0\n", i, kernelHex(l.addr), l.port, l.inode)
	}
	fmt.Fprintf(&b, "%4d: %s:9C40 00000000:0050 01 00000000:00000000 00:00000000 00000000     0        0 99 1 0000000000000000 20 4 30 10 -1\n", len(list), kernelHex(netip.IPv4Unspecified()))
	return b.String()
}

// kernelHex writes an address as the kernel does: words of the machine's byte order.
func kernelHex(addr netip.Addr) string {
	raw := addr.AsSlice()
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	return strings.ToUpper(hex.EncodeToString(raw))
}

func anywhere(port int, inode uint64) listener {
	return listener{netip.IPv4Unspecified(), port, inode}
}

// podTrie is the fib_trie of a container with one address.
func podTrie(address string) string {
	return "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 127.0.0.0/8 2 0 2\n        |-- 127.0.0.1\n           /32 host LOCAL\n" +
		"     |-- " + address + "\n        /32 host LOCAL\nLocal:\n  +-- 0.0.0.0/0 3 0 5\n     |-- " + address + "\n        /32 host LOCAL\n"
}

// output collects what is logged.
type output struct{ programs.Buffer }

func (o *output) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// discover makes a Discovery of the machine's processes.
func (m *machineTree) discover(edit func(*Options)) (*Discovery, *output) {
	m.tb.Helper()
	log := &output{}
	o := Options{Root: m.root, Rules: testSigns(), Processes: true, Interval: time.Second, Logger: log.logger()}
	if edit != nil {
		edit(&o)
	}
	d, err := New(o)
	if err != nil {
		m.tb.Fatal(err)
	}
	return d, log
}

// hangTimeout ends what hangs. Nothing that a test is about takes as long, on the slowest machine.
const hangTimeout = 30 * time.Second

// await waits until ok holds, which it may when d tells of a change.
func await(t *testing.T, d *Discovery, changed <-chan struct{}, what string, ok func() bool) {
	t.Helper()
	for late := time.After(hangTimeout); !ok(); {
		select {
		case <-changed:
		case <-late:
			t.Fatalf("never came: %s; found %+v", what, d.Engines())
		}
	}
}

// awaitStream waits until a daemon tells what happens to its containers.
func awaitStream(t *testing.T, d *Discovery) {
	t.Helper()
	for deadline := time.Now().Add(hangTimeout); !d.docker.streaming.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the stream of events never began")
		}
	}
}

func keys(list []Found) string {
	var names []string
	for _, f := range list {
		names = append(names, f.Key)
	}
	return strings.Join(names, " ")
}

// skippedBy returns how many were left out by a reason.
func skippedBy(d *Discovery, source Source, why skipReason) float64 {
	n := 0.0
	t := d.processSkips
	if source == SourceDocker {
		t = d.dockerSkips
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.totals {
		if c.why == why {
			n += float64(c.n)
		}
	}
	return n
}

var errDenied = syscall.EACCES
