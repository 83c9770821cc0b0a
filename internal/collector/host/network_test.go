package host

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

const netHead = "Inter-|   Receive                                                |  Transmit\n" +
	" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"

func netLine(device string, received int) string {
	return fmt.Sprintf("%6s: %d 1 2 3 0 0 0 0 5 1 6 7 0 0 0 0\n", device, received)
}

func TestNetworksOfAContainerAreThoseOfTheMachine(t *testing.T) {
	files := map[string]string{
		"proc/self/net/dev":               netHead + netLine("eth0", 1),
		"sys/class/net/eth0/device/class": "", "sys/class/net/eth0/operstate": "up",
	}
	r := tree(t, files)
	samples, err := newNetworkReader(r).read(t.Context())
	if diff := cmp.Diff([]string{`device="eth0" 1`}, values(samples, "receive_bytes")); diff != "" || err != nil {
		t.Errorf("without process 1: %v (-want +got)\n%s", err, diff)
	}
	plant(t, r, "proc/1/net/dev", netHead+netLine("eth0", 2))
	samples, err = newNetworkReader(r).read(t.Context())
	if diff := cmp.Diff([]string{`device="eth0" 2`}, values(samples, "receive_bytes")); diff != "" || err != nil {
		t.Errorf("with process 1: %v (-want +got)\n%s", err, diff)
	}
	r.open = fakes(map[string]source{"proc/1/net/dev": fake{err: syscall.EACCES}, "proc/self/net/dev": fake{err: syscall.ENOENT}})
	if _, err := newNetworkReader(r).read(t.Context()); !errors.Is(err, syscall.EACCES) {
		t.Errorf("got error %v", err)
	}
	if _, err := newNetworkReader(newHostFS(t.TempDir())).read(t.Context()); !errors.Is(err, errAbsent) {
		t.Errorf("got error %v", err)
	}
}

func TestBondGetsItsMembersLater(t *testing.T) {
	r := tree(t, map[string]string{
		"proc/1/net/dev":               netHead + netLine("bond0", 1) + netLine("eth0", 2) + netLine("veth1", 3),
		"sys/class/net/bond0/uevent":   "DEVTYPE=bond\nINTERFACE=bond0\n",
		"sys/class/net/bond0/speed":    "-1\n",
		"sys/class/net/veth1/uevent":   "INTERFACE=veth1\n",
		"sys/class/net/bond0/lower_lo": "",
	})
	n := newNetworkReader(r)
	if samples, err := n.read(t.Context()); !errors.Is(err, errAbsent) {
		t.Errorf("%v, %v", samples, err)
	}
	plant(t, r, "sys/class/net/eth0/device/class", "")
	plant(t, r, "sys/class/net/bond0/lower_eth0", "")
	plant(t, r, "sys/class/net/bond0/operstate", "up\n")
	var samples []sample
	for range rareEvery + 1 {
		samples, _ = n.read(t.Context())
	}
	if diff := cmp.Diff([]string{`device="bond0" 1`, `device="eth0" 2`}, values(samples, "receive_bytes")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{`device="bond0" 1`}, values(samples, "network_up")); diff != "" {
		t.Errorf("eth0 has no state: (-want +got)\n%s", diff)
	}
	plant(t, r, "proc/1/net/dev", netHead+netLine("eth0", 2))
	if _, err := n.read(t.Context()); err != nil || len(n.known) != 1 {
		t.Errorf("knows %d devices, error %v", len(n.known), err)
	}
}

func TestStacksAreBounded(t *testing.T) {
	files := map[string]string{"proc/1/net/dev": netHead + netLine("v0", 1), "sys/class/net/eth0/device/class": ""}
	for i := range 50 { // each lies on the next, the last on the first
		files[fmt.Sprintf("sys/class/net/v%d/uevent", i)] = "DEVTYPE=vlan\n"
		files[fmt.Sprintf("sys/class/net/v%d/lower_v%d", i, (i+1)%50)] = ""
	}
	if samples, err := newNetworkReader(tree(t, files)).read(t.Context()); !errors.Is(err, errAbsent) {
		t.Errorf("%v, %v", samples, err)
	}
}

func TestSpeedIsAskedForRarely(t *testing.T) {
	r := tree(t, map[string]string{
		"proc/1/net/dev":                  netHead + netLine("eth0", 1),
		"sys/class/net/eth0/device/class": "", "sys/class/net/eth0/operstate": "up\n", "sys/class/net/eth0/speed": "1000\n",
	})
	asked := 0
	open := r.open
	r.open = func(path string) (source, error) {
		if strings.HasSuffix(path, "speed") {
			asked++
		}
		return open(path)
	}
	n := newNetworkReader(r)
	speeds := func(rounds int) []string {
		t.Helper()
		var samples []sample
		for range rounds {
			var err error
			if samples, err = n.read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return values(samples, "speed_bytes_per_second")
	}
	for i, step := range []struct {
		state, speed string
		rounds       int
		want         []string
		asked        int
	}{
		{"up", "1000", speedEvery, []string{`device="eth0" 1.25e+08`}, 1},
		{"up", "100", 1, []string{`device="eth0" 1.25e+07`}, 2},
		{"down", "-1", 1, nil, 2},
		{"up", "10000", 1, []string{`device="eth0" 1.25e+09`}, 3}, // at once when it is up again
	} {
		plant(t, r, "sys/class/net/eth0/operstate", step.state)
		plant(t, r, "sys/class/net/eth0/speed", step.speed)
		if diff := cmp.Diff(step.want, speeds(step.rounds)); diff != "" || asked != step.asked {
			t.Errorf("step %d: asked %d times (-want +got)\n%s", i, asked, diff)
		}
	}
}

// hanging is a file that hangs until it is released.
type hanging struct {
	fake

	release <-chan struct{}
	asked   *atomic.Int32
}

func (h hanging) ReadAt(p []byte, off int64) (int, error) {
	h.asked.Add(1)
	<-h.release
	return h.fake.ReadAt(p, off)
}

func TestHungSpeedCostsOnlyItself(t *testing.T) {
	r := tree(t, map[string]string{
		"proc/1/net/dev":                  netHead + netLine("eth0", 1) + netLine("eth1", 2),
		"sys/class/net/eth0/device/class": "", "sys/class/net/eth0/operstate": "up",
		"sys/class/net/eth1/device/class": "", "sys/class/net/eth1/operstate": "up", "sys/class/net/eth1/speed": "1000",
	})
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var asked atomic.Int32
		r.open = fakes(map[string]source{"eth0/speed": hanging{fake{text: "1000"}, release, &asked}})
		n := newNetworkReader(r)
		for range 3 * speedEvery {
			samples, err := n.read(t.Context())
			if len(values(samples, "network_up")) != 2 || len(values(samples, "speed_bytes_per_second")) != 1 {
				t.Errorf("%v, %v", samples, err)
			}
			// The error must not come and go: it is logged whenever it does.
			if asked.Load() != 1 || err == nil || !strings.Contains(err.Error(), "speed hangs") {
				t.Errorf("asked %d times, error %v", asked.Load(), err)
			}
		}
		close(release)
		synctest.Wait()
		if samples, err := n.read(t.Context()); len(values(samples, "speed_bytes_per_second")) != 2 || err != nil {
			t.Errorf("it answers again: %v, %v", samples, err)
		}
	})
}

func TestBrokenLineOfNetworksCostsOnlyItself(t *testing.T) {
	r := tree(t, map[string]string{
		"proc/1/net/dev": netHead + netLine("eth0", 1) + "  eth1: 1 2 3\n" + strings.Replace(netLine("eth2", 1), "7 0", "-7 0", 1) +
			strings.TrimSpace(netLine("eth3", 1)) + " 17\nnonsense\n" + "veth0: x\n" + netLine("eth4", 9),
		"sys/class/net/eth0/device/class": "", "sys/class/net/eth1/device/class": "", "sys/class/net/eth2/device/class": "",
		"sys/class/net/eth3/device/class": "", "sys/class/net/eth4/device/class": "",
	})
	samples, err := newNetworkReader(r).read(t.Context())
	if diff := cmp.Diff([]string{`device="eth0" 1`, `device="eth4" 9`}, values(samples, "receive_bytes")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want := strings.ReplaceAll("T: the line of eth1 N; T: the line of eth2 N; T: the line of eth3 N; T: line 7 does not begin with a device and a colon",
		"N", "does not have the 16 numbers of a device")
	want = strings.ReplaceAll(want, "T", r.path("proc", "1", "net", "dev"))
	if err == nil || err.Error() != want {
		t.Errorf("got error %v\nwant %s", err, want)
	}
}

func TestNetworksAreBounded(t *testing.T) {
	files, table := map[string]string{}, netHead
	for i := range maxNetworkDevices + 3 {
		table += netLine(fmt.Sprint("eth", i), i)
		files[fmt.Sprintf("sys/class/net/eth%d/device/class", i)] = ""
	}
	files["proc/1/net/dev"] = table
	samples, err := newNetworkReader(tree(t, files)).read(t.Context())
	if len(samples) != 6*maxNetworkDevices || err == nil || !strings.Contains(err.Error(), "there are 67 network devices") {
		t.Errorf("%d samples, error %v", len(samples), err)
	}
}

func TestCarrierOfADriverThatDoesNotTellItsState(t *testing.T) {
	for carrier, want := range map[string][]string{
		"0\n": {`device="eth0" 0`}, "1\n": {`device="eth0" 1`}, "": nil,
	} {
		r := tree(t, map[string]string{
			"proc/1/net/dev": netHead + netLine("eth0", 1), "sys/class/net/eth0/device/class": "",
			"sys/class/net/eth0/operstate": "unknown\n", "sys/class/net/eth0/carrier": carrier,
		})
		samples, err := newNetworkReader(r).read(t.Context())
		if diff := cmp.Diff(want, values(samples, "network_up")); diff != "" || err != nil {
			t.Errorf("carrier %q: error %v (-want +got)\n%s", carrier, err, diff)
		}
	}
}

func TestSpeed(t *testing.T) {
	for text, want := range map[string]float64{
		"1000\n": 1.25e8, "400000": 5e10, "-1\n": 0, "0": 0, "65535": 0, "4294967295": 0, "": 0, "fast": 0, "1e3": 0,
	} {
		if got := parseSpeed([]byte(text)); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	f.Add([]byte(" 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"))
	f.Add([]byte(" 1 2 3"))
	f.Fuzz(func(t *testing.T, numbers []byte) {
		if c, ok := parseNetwork(numbers); ok != (len(strings.Fields(string(numbers))) == 16) && ok || !ok && c != (netCounters{}) {
			t.Errorf("%v, %v", c, ok)
		}
		if v := parseSpeed(numbers); v < 0 || math.IsNaN(v) || v > 1e14 {
			t.Errorf("speed %v", v)
		}
		isStackedType("x", string(numbers))
	})
}
