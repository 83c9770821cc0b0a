package host

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// hca are the files of an active port of an adapter.
func hca(name string) map[string]string {
	dir := "sys/class/infiniband/" + name + "/ports/1/"
	return map[string]string{
		dir + "state": "4: ACTIVE\n", dir + "phys_state": "5: LinkUp\n", dir + "rate": "100 Gb/sec (4X EDR)\n", dir + "link_layer": "InfiniBand\n",
		dir + "counters/port_rcv_data": "10\n", dir + "counters/port_xmit_data": "20\n", dir + "counters/link_downed": "1\n", dir + "counters/symbol_error": "2\n",
	}
}

func hcas(t *testing.T, names ...string) *hostFS {
	t.Helper()
	r := newHostFS(t.TempDir())
	for _, name := range names {
		for file, text := range hca(name) {
			plant(t, r, file, text)
		}
	}
	return r
}

func TestMachineWithoutInfiniBandIsSilent(t *testing.T) {
	without, empty := newHostFS(t.TempDir()), newHostFS(t.TempDir())
	if err := os.MkdirAll(empty.path("sys", "class", "infiniband"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*hostFS{without, empty} {
		if samples, err := newInfiniBandReader(r).read(t.Context()); !errors.Is(err, errAbsent) || len(samples) > 0 {
			t.Errorf("%v, %v", samples, err)
		}
	}
}

func TestAdapterThatHangsCostsOnlyItself(t *testing.T) {
	r := hcas(t, "mlx5_0", "mlx5_1", "mlx5_2")
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var asked atomic.Int32
		r.open = fakes(map[string]source{"mlx5_1/ports/1/state": hanging{fake{text: "4: ACTIVE"}, release, &asked}})
		ib := newInfiniBandReader(r)
		want := []string{`device="mlx5_0",port="1" 40`, `device="mlx5_2",port="1" 40`}
		for range 5 {
			samples, err := ib.read(t.Context())
			if diff := cmp.Diff(want, values(samples, "receive_bytes")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if err == nil || err.Error() != r.path("sys", "class", "infiniband", "mlx5_1")+" hangs" {
				t.Errorf("got error %v", err)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
		close(release)
		synctest.Wait()
		samples, err := ib.read(t.Context())
		if err != nil || len(values(samples, "receive_bytes")) != 3 {
			t.Errorf("after it came back: %v, %v", samples, err)
		}
	})
}

func TestAdaptersComeAndGo(t *testing.T) {
	r := hcas(t, "mlx5_0")
	ib := newInfiniBandReader(r)
	count := func() int {
		t.Helper()
		samples, err := ib.read(t.Context())
		if err != nil && !errors.Is(err, errAbsent) {
			t.Error(err)
		}
		return len(values(samples, "port_state"))
	}
	if n := count(); n != 1 {
		t.Errorf("%d ports", n)
	}
	for file, text := range hca("mlx5_1") {
		plant(t, r, file, text)
	}
	if n := count(); n != 2 {
		t.Errorf("with another adapter: %d ports", n)
	}
	if err := os.RemoveAll(r.path("sys", "class", "infiniband", "mlx5_0")); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 || len(ib.adapters) != 1 {
		t.Errorf("without the first: %d ports, %d adapters known", n, len(ib.adapters))
	}
	// It goes and comes back between two samples: files that were open fail once.
	for _, p := range ib.adapters["mlx5_1"].ports {
		for file := range p.files() {
			file.close()
			file.src = fake{err: syscall.ENODEV}
		}
	}
	if n := count(); n != 1 {
		t.Errorf("after it came back: %d ports", n)
	}
}

func TestPortsAreBounded(t *testing.T) {
	r := hcas(t, "mlx5_0")
	for i := range maxPorts + 10 {
		plant(t, r, fmt.Sprintf("sys/class/infiniband/mlx5_0/ports/%d/state", i+1), "1: DOWN\n")
	}
	for i := range maxPorts + 10 {
		plant(t, r, fmt.Sprintf("sys/class/infiniband/vf_%d/ports/1/state", i), "1: DOWN\n")
	}
	samples, err := newInfiniBandReader(r).read(t.Context())
	if n := len(values(samples, "port_state")); n != maxPorts || err == nil || !strings.Contains(err.Error(), "more than 64 InfiniBand") {
		t.Errorf("%d ports, error %v", n, err)
	}
}

func TestBrokenFileOfAPortCostsOnlyItself(t *testing.T) {
	const dir = "sys/class/infiniband/mlx5_0/ports/1/"
	for file, c := range map[string]struct {
		text  string
		less  int // samples
		wants string
	}{
		"state":                    {"ACTIVE\n", 3, `says "ACTIVE", not a number, a colon and a state`},
		"phys_state":               {"LinkUp", 1, `says "LinkUp"`},
		"rate":                     {"fast\n", 1, `says "fast", not a rate in Gb/sec`},
		"counters/symbol_error":    {"0x12\n", 1, `says "0x12", not a number`},
		"counters/port_rcv_data":   {"-1\n", 1, `says "-1", not a number`},
		"counters/link_downed":     {strings.Repeat("9", 300), 1, `says "` + strings.Repeat("9", 40) + `"`},
		"counters/port_xmit_data":  {"N/A (no PMA)\n", 1, ""},
		"counters/port_rcv_errors": {"", 0, ""},
	} {
		r := hcas(t, "mlx5_0", "mlx5_1")
		plant(t, r, dir+file, c.text)
		samples, err := newInfiniBandReader(r).read(t.Context())
		if len(samples) != 14-c.less {
			t.Errorf("%s: %d samples: %v", file, len(samples), samples)
		}
		if (err != nil) != (c.wants != "") || err != nil && !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: got error %v", file, err)
		}
	}
}

func TestErrorsOfAPortAreOneLine(t *testing.T) {
	r := hcas(t, "mlx5_0")
	plant(t, r, "sys/class/infiniband/mlx5_0/ports/1/phys_state", "LinkUp")
	plant(t, r, "sys/class/infiniband/mlx5_0/ports/1/rate", "4X")
	if _, err := newInfiniBandReader(r).read(t.Context()); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "phys_state says") {
		t.Errorf("got error %q", err)
	}
}

func TestCounterThatCannotBeReadIsAbsent(t *testing.T) {
	r := hcas(t, "mlx5_0")
	plant(t, r, "sys/class/infiniband/mlx5_0/ports/1/hw_counters/rx_bytes", "7\n")
	r.open = fakes(map[string]source{
		"counters/port_rcv_data": fake{err: syscall.EINVAL}, "counters/symbol_error": fake{err: syscall.EOPNOTSUPP}, "rate": fake{err: syscall.EINVAL},
	})
	samples, err := newInfiniBandReader(r).read(t.Context())
	if err != nil || len(samples) != 5 {
		t.Errorf("%v, %v", samples, err)
	}
	if diff := cmp.Diff([]string{`device="mlx5_0",port="1" 7`}, values(samples, "receive_bytes")); diff != "" {
		t.Errorf("the other counter is not taken: (-want +got)\n%s", diff)
	}
}

func TestUp(t *testing.T) {
	for _, c := range []struct {
		state, physical string
		want            []string
	}{
		{"4: ACTIVE", "5: LinkUp", []string{`device="mlx5_0",port="1" 1`}},
		{"4: ACTIVE", "6: LinkErrorRecovery", []string{`device="mlx5_0",port="1" 0`}},
		{"2: INIT", "5: LinkUp", []string{`device="mlx5_0",port="1" 0`}},
		{"1: DOWN", "", []string{`device="mlx5_0",port="1" 0`}},
		{"4: ACTIVE", "0: <unknown>", nil},
		{"4: ACTIVE", "", nil},
		{"", "5: LinkUp", nil},
	} {
		r := hcas(t, "mlx5_0")
		plant(t, r, "sys/class/infiniband/mlx5_0/ports/1/state", c.state)
		plant(t, r, "sys/class/infiniband/mlx5_0/ports/1/phys_state", c.physical)
		samples, err := newInfiniBandReader(r).read(t.Context())
		if diff := cmp.Diff(c.want, values(samples, "port_up")); diff != "" || err != nil {
			t.Errorf("%q, %q: error %v (-want +got)\n%s", c.state, c.physical, err, diff)
		}
	}
}

func TestRateOfAPort(t *testing.T) {
	for text, want := range map[string]float64{
		"100 Gb/sec (4X EDR)\n": 1.25e10, "2.5 Gb/sec (1X)": 3.125e8, "800 Gb/sec (4X XDR)": 1e11,
		"": -1, "100": -1, "Gb/sec": -1, "-1 Gb/sec": -1, "NaN Gb/sec": -1, "1e300 Gb/sec": -1, "100 Mb/sec": -1,
	} {
		got, ok := parseRate([]byte(text))
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, ok, want)
		}
	}
}

func FuzzPort(f *testing.F) {
	for _, text := range []string{"4: ACTIVE\n", "100 Gb/sec (4X EDR)\n", "N/A (no PMA)\n", "18446744073709551615", ""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if code, name, ok := parseState(text); ok && (name == "" || len(name) > 40 || code > 1<<16) || !ok && name != "" {
			t.Errorf("state %d %q, %v", code, name, ok)
		}
		if v, ok := parseRate(text); ok && !(v >= 0 && v <= 1.25e14) || !ok && v != 0 {
			t.Errorf("rate %v, %v", v, ok)
		}
		if v, known, ok := parseCounter(text); known && !ok || !known && v != 0 {
			t.Errorf("counter %d, %v, %v", v, known, ok)
		}
		if len(excerpt(text)) > 40 {
			t.Error("long excerpt")
		}
	})
}
