package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// maxNetworkDevices bounds the exported network devices.
	maxNetworkDevices = 64
	// maxStack bounds how many virtual devices may be stacked: a VLAN on a bond is two.
	maxStack = 4
	// speedEvery is how many samples pass between two readings of a link's speed, which the driver asks the hardware for.
	speedEvery = 12
)

// networkReader reads /proc/net/dev, and /sys/class/net for the kind and the link of a device.
type networkReader struct {
	*hostFS

	tables []kernelFile // the first one that can be read is used
	buf    []byte
	known  map[string]*netDevice // by name: what /sys says of a device is read once
	round  int
	found  []netReading
	hangs  hangGuard[[]byte]
}

// netDevice is a network device.
type netDevice struct {
	name         string
	exported     bool
	labels       exposition.Labels
	state, speed kernelFile
	round        int // the last sample that had it
	link         link
	speedRound   int // when its speed was read last
}

// link is the state of a link.
type link struct {
	known, up      bool
	bytesPerSecond float64 // 0: unknown
}

type netReading struct {
	device *netDevice
	netCounters
}

// netCounters are what is taken of a line.
type netCounters struct {
	received, receiveErrors, receiveDropped      uint64
	transmitted, transmitErrors, transmitDropped uint64
}

func newNetworkReader(r *hostFS) *networkReader {
	return &networkReader{
		hostFS: r,
		// The table of process 1 is the machine's, even if the worker runs in a container with its own network namespace.
		tables: []kernelFile{r.kernelFile("proc", "1", "net", "dev"), r.kernelFile("proc", "self", "net", "dev")},
		known:  map[string]*netDevice{},
	}
}

func (n *networkReader) read(context.Context) ([]sample, error) {
	text, path, err := firstTable(n.tables, &n.buf)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errAbsent
	case err != nil:
		return nil, err
	}
	n.round++
	var errs []error
	n.found = n.found[:0]
	left := 0
	for at, line := range numberedLines(text) {
		name, numbers, ok := bytes.Cut(line, []byte(":"))
		switch {
		case !ok && bytes.Contains(line, []byte("|")): // the head of the table
			continue
		case !ok || !isDeviceName(name) || bytes.Contains(name, []byte("/")):
			errs = append(errs, fmt.Errorf("%s: line %d does not begin with a device and a colon", path, at))
			continue
		}
		dev := n.lookup(name)
		if !dev.exported {
			continue
		}
		counters, ok := parseNetwork(numbers)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: the line of %s does not have the 16 numbers of a device", path, name))
		case len(n.found) == maxNetworkDevices:
			left++
		default:
			n.found = append(n.found, netReading{dev, counters})
		}
	}
	n.forget()
	if left > 0 {
		errs = append(errs, fmt.Errorf("there are %d network devices: the first %d are exported", maxNetworkDevices+left, maxNetworkDevices))
	}
	if len(n.found) == 0 && len(errs) == 0 {
		return nil, errAbsent
	}
	for _, r := range n.found {
		if err := n.readLink(r.device); err != nil {
			errs = append(errs, err)
		}
	}
	return n.samples(), joinErrors(errs)
}

// forget drops the devices that are gone and, every rareEvery samples, those whose kind has changed: a bond gets its members
// after it was made.
func (n *networkReader) forget() {
	again := n.round%rareEvery == 0
	for name, dev := range n.known {
		if dev.round != n.round || again && dev.exported != n.isExported(name, 0) {
			dev.state.close()
			delete(n.known, name)
		}
	}
}

func (n *networkReader) samples() []sample {
	samples := make([]sample, 0, 8*len(n.found))
	add := func(metric *catalog.Metric, value func(*netCounters) uint64) {
		for i := range n.found {
			samples = append(samples, sample{metric, float64(value(&n.found[i].netCounters)), n.found[i].device.labels})
		}
	}
	add(&catalog.WorkerNodeNetworkReceived, func(c *netCounters) uint64 { return c.received })
	add(&catalog.WorkerNodeNetworkTransmitted, func(c *netCounters) uint64 { return c.transmitted })
	add(&catalog.WorkerNodeNetworkReceiveErrors, func(c *netCounters) uint64 { return c.receiveErrors })
	add(&catalog.WorkerNodeNetworkTransmitErrors, func(c *netCounters) uint64 { return c.transmitErrors })
	add(&catalog.WorkerNodeNetworkReceiveDropped, func(c *netCounters) uint64 { return c.receiveDropped })
	add(&catalog.WorkerNodeNetworkTransmitDropped, func(c *netCounters) uint64 { return c.transmitDropped })
	for _, r := range n.found {
		if r.device.link.known {
			samples = append(samples, sample{&catalog.WorkerNodeNetworkUp, boolValue(r.device.link.up), r.device.labels})
		}
	}
	for _, r := range n.found {
		if r.device.link.bytesPerSecond > 0 {
			samples = append(samples, sample{&catalog.WorkerNodeNetworkSpeed, r.device.link.bytesPerSecond, r.device.labels})
		}
	}
	return samples
}

func (n *networkReader) lookup(name []byte) *netDevice {
	dev, ok := n.known[string(name)]
	if !ok {
		s := string(name)
		dev = &netDevice{name: s}
		if dev.exported = n.isExported(s, 0); dev.exported {
			dev.labels = exposition.RenderLabels("device", s)
			dev.state = n.kernelFile("sys", "class", "net", s, "operstate")
			dev.speed = n.kernelFile("sys", "class", "net", s, "speed")
			dev.speed.closeAfterRead = true
		}
		n.known[s] = dev
	}
	dev.round = n.round
	return dev
}

// isExported reports whether a device is hardware, or a bond, team or VLAN on hardware. Bridges, tunnels and the links of
// containers would count the same bytes again.
func (n *networkReader) isExported(name string, depth int) bool {
	if name == "lo" || depth > maxStack {
		return false
	}
	for _, prefix := range []string{"veth", "docker", "br-", "cali", "cni", "flannel", "virbr", "tap", "lxc", "kube-ipvs"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	if n.exists("sys", "class", "net", name, "device") {
		return true
	}
	if !isStackedType(name, n.readWord("sys", "class", "net", name, "uevent")) {
		return false
	}
	entries, _ := n.listNames(n.path("sys", "class", "net", name))
	for _, entry := range entries {
		if lower, ok := strings.CutPrefix(entry, "lower_"); ok && n.isExported(lower, depth+1) {
			return true
		}
	}
	return false
}

// isStackedType reports whether a device is a bond, team or VLAN by its uevent file. Teams have no type there.
func isStackedType(name, uevent string) bool {
	for line := range strings.Lines(uevent) {
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE="); ok {
			return kind == "bond" || kind == "team" || kind == "vlan"
		}
	}
	return strings.HasPrefix(name, "team")
}

// readLink reads whether a device is up, and every speedEvery samples its speed. If reading the speed hangs, only the speed is lost.
func (n *networkReader) readLink(d *netDevice) error {
	was := d.link
	d.link.known = false
	text, err := d.state.read(&n.buf)
	switch state := string(bytes.TrimSpace(text)); {
	case err != nil:
		d.link = link{}
		return nil
	case state == "unknown": // the driver does not report the state, but it reports the carrier
		carrier := n.readWord("sys", "class", "net", d.name, "carrier")
		d.link.known, d.link.up = carrier == "0" || carrier == "1", carrier == "1"
	case state != "":
		d.link.known, d.link.up = true, state == "up"
	}
	if !d.link.up {
		d.link.bytesPerSecond = 0
		return nil
	}
	if was.up && d.speedRound > 0 && n.round-d.speedRound < speedEvery {
		return nil
	}
	d.link.bytesPerSecond = 0
	speed := d.speed
	text, ok := n.hangs.call(speed.path, func() []byte {
		var buf []byte
		text, _ := speed.read(&buf) // a device without a speed fails with EINVAL
		return text
	})
	if !ok {
		d.speedRound = 0 // tried at each sample: while it hangs, that costs nothing
		return fmt.Errorf("%s hangs", speed.path)
	}
	d.speedRound = n.round
	d.link.bytesPerSecond = parseSpeed(text)
	return nil
}

// parseSpeed converts Mbit/s to bytes per second. A link without a speed has -1, which old kernels cut to 16 or 32 bits:
// parseSpeed returns 0.
func parseSpeed(text []byte) float64 {
	const fastest = 100_000_000
	v, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || v <= 0 || v == 1<<16-1 || v > fastest {
		return 0
	}
	return float64(v) * 1e6 / 8
}

// parseNetwork reads the 16 numbers after the colon: bytes, packets, errors, dropped and four more received, then the same sent.
func parseNetwork(numbers []byte) (c netCounters, ok bool) {
	const fields = 16
	to := [fields]*uint64{
		0: &c.received, 2: &c.receiveErrors, 3: &c.receiveDropped,
		8: &c.transmitted, 10: &c.transmitErrors, 11: &c.transmitDropped,
	}
	n := 0
	for field := range bytes.FieldsSeq(numbers) {
		v, ok := number(field)
		if !ok || n == fields {
			return netCounters{}, false
		}
		if to[n] != nil {
			*to[n] = v
		}
		n++
	}
	if n != fields {
		return netCounters{}, false
	}
	return c, true
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
