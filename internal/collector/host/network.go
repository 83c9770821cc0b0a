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
	// maxStack bounds how many virtual devices may lie one upon the other: a VLAN of a bond of a card is two.
	maxStack = 4
	// speedEvery is how many samples pass between two readings of a link's speed, which the driver has to ask its card for.
	speedEvery = 12
)

// networks reads /proc/net/dev, and /sys/class/net for what is behind a device.
type networks struct {
	*rooted

	tables  []watched // the first that can be read is the one
	buf     []byte
	known   map[string]*netDevice // what was found out about a device, so that it is found out rarely
	round   int
	found   []netReading
	patient patience[[]byte]
}

// netDevice is a network device.
type netDevice struct {
	name         string
	exported     bool
	labels       exposition.Labels
	state, speed watched
	round        int // when it was there last
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

func newNetworks(r *rooted) *networks {
	return &networks{
		rooted: r,
		// That of process 1 is the machine's, also where the worker lives in a container with a network of its own.
		tables: []watched{r.watch("proc", "1", "net", "dev"), r.watch("proc", "self", "net", "dev")},
		known:  map[string]*netDevice{},
	}
}

func (n *networks) read(context.Context) ([]sample, error) {
	text, path, err := n.table()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNone
	case err != nil:
		return nil, err
	}
	n.round++
	var errs []error
	n.found = n.found[:0]
	left := 0
	for at, line := range lines(text) {
		name, numbers, ok := bytes.Cut(line, []byte(":"))
		switch {
		case !ok && bytes.Contains(line, []byte("|")): // the head of the table
			continue
		case !ok || !device(name) || bytes.Contains(name, []byte("/")):
			errs = append(errs, fmt.Errorf("%s: line %d does not begin with a device and a colon", path, at))
			continue
		}
		of := n.lookup(name)
		if !of.exported {
			continue
		}
		counters, ok := parseNetwork(numbers)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: the line of %s does not have the 16 numbers of a device", path, name))
		case len(n.found) == maxNetworkDevices:
			left++
		default:
			n.found = append(n.found, netReading{of, counters})
		}
	}
	n.forget()
	if left > 0 {
		errs = append(errs, fmt.Errorf("there are %d network devices: the first %d are exported", maxNetworkDevices+left, maxNetworkDevices))
	}
	if len(n.found) == 0 && len(errs) == 0 {
		return nil, errNone
	}
	for _, r := range n.found {
		if err := n.readLink(r.device); err != nil {
			errs = append(errs, err)
		}
	}
	return n.samples(), joined(errs)
}

// table returns the first table that can be read.
func (n *networks) table() (text []byte, path string, err error) {
	var errs []error
	for i := range n.tables {
		text, err := n.tables[i].read(&n.buf)
		if err == nil {
			return text, n.tables[i].path, nil
		}
		errs = append(errs, err)
	}
	// An error that is not about a missing file says more.
	for _, err := range errs {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	return nil, "", errs[0]
}

// forget forgets the devices that are gone and, at times, those that may be something else by now: a bond gets its cards
// after it was made.
func (n *networks) forget() {
	again := n.round%rareEvery == 0
	for name, of := range n.known {
		if of.round != n.round || again && of.exported != n.carries(name, 0) {
			of.state.close()
			delete(n.known, name)
		}
	}
}

func (n *networks) samples() []sample {
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
			samples = append(samples, sample{&catalog.WorkerNodeNetworkUp, truth(r.device.link.up), r.device.labels})
		}
	}
	for _, r := range n.found {
		if r.device.link.bytesPerSecond > 0 {
			samples = append(samples, sample{&catalog.WorkerNodeNetworkSpeed, r.device.link.bytesPerSecond, r.device.labels})
		}
	}
	return samples
}

func (n *networks) lookup(name []byte) *netDevice {
	of, ok := n.known[string(name)]
	if !ok {
		s := string(name)
		of = &netDevice{name: s}
		if of.exported = n.carries(s, 0); of.exported {
			of.labels = exposition.RenderLabels("device", s)
			of.state = n.watch("sys", "class", "net", s, "operstate")
			of.speed = n.watch("sys", "class", "net", s, "speed")
			of.speed.once = true
		}
		n.known[s] = of
	}
	of.round = n.round
	return of
}

// carries reports whether a device is a card, or a bond, team or VLAN of cards. Bridges, tunnels and the ends of containers'
// links carry what a card carries.
func (n *networks) carries(name string, depth int) bool {
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
	if !stacked(name, n.word("sys", "class", "net", name, "uevent")) {
		return false
	}
	entries, _ := n.names(n.path("sys", "class", "net", name))
	for _, entry := range entries {
		if lower, ok := strings.CutPrefix(entry, "lower_"); ok && n.carries(lower, depth+1) {
			return true
		}
	}
	return false
}

// stacked reports whether a device's uevent file tells that it is a bond, team or VLAN. Teams have no type there.
func stacked(name, uevent string) bool {
	for line := range strings.Lines(uevent) {
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE="); ok {
			return kind == "bond" || kind == "team" || kind == "vlan"
		}
	}
	return strings.HasPrefix(name, "team")
}

// readLink reads whether a device is up, and at times its speed. A speed that hangs in the driver costs only itself.
func (n *networks) readLink(d *netDevice) error {
	was := d.link
	d.link.known = false
	text, err := d.state.read(&n.buf)
	switch state := string(bytes.TrimSpace(text)); {
	case err != nil:
		d.link = link{}
		return nil
	case state == "unknown": // the driver does not say it: what it knows is whether there is a carrier
		carrier := n.word("sys", "class", "net", d.name, "carrier")
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
	text, ok := n.patient.ask(speed.path, func() []byte {
		var buf []byte
		text, _ := speed.read(&buf) // a device without a speed fails with EINVAL
		return text
	})
	if !ok {
		d.speedRound = 0 // asked at each sample: while it hangs, that costs nothing
		return fmt.Errorf("%s hangs", speed.path)
	}
	d.speedRound = n.round
	d.link.bytesPerSecond = parseSpeed(text)
	return nil
}

// parseSpeed turns Mbit/s into bytes per second. A link without a speed says -1, or in old kernels what is left of it in 16
// or 32 bits: then it is 0.
func parseSpeed(text []byte) float64 {
	const fastest = 100_000_000
	v, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || v <= 0 || v == 1<<16-1 || v > fastest {
		return 0
	}
	return float64(v) * 1e6 / 8
}

// parseNetwork reads what follows the colon: bytes, packets, errors, dropped and four more received, and the same sent.
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

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
