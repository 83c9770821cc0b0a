package discovery

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	moby "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// container is what is kept of a running container. It is immutable.
type container struct {
	facts // of its command line; sign is nil if that starts no engine

	id, name string
	set      settings
	env      environment
	image    *sign // whose image it is, nil: nobody's
	ended    bool  // it doesn't run
	labelled bool  // a label says that it is an engine
	helper   bool  // it is there for another container, which may use its network
	pid      int
	started  time.Time

	remote    bool       // it may run on another machine
	host      bool       // in the machine's network
	here      netip.Addr // where its machine is, zero: not known
	joined    string     // id or name of the container whose network it is in
	published map[int]netip.AddrPort
	addrs     []netip.Addr
	// only is its only port, 0 if it says none or several.
	only int
}

// describe takes from the daemon's description of a container what is needed.
func (d *docker) describe(in *moby.InspectResponse) *container {
	if in.State == nil || !in.State.Running || in.Config == nil || in.ID == "" {
		return &container{id: in.ID, ended: true}
	}
	labels := in.Config.Labels
	component := labels[labelGPUStackComponent]
	c := &container{helper: component != "" && component != gpuStackRun, id: in.ID, name: text(strings.TrimPrefix(in.Name, "/"), maxInstanceBytes), pid: max(in.State.Pid, 0)}
	if c.name == "" {
		c.name = shortID(c.id)
	}
	if at, err := time.Parse(time.RFC3339Nano, in.State.StartedAt); err == nil && at.Unix() > 0 {
		c.started = at
	}
	argv := append([]string{in.Path}, in.Args[:min(len(in.Args), maxArgs)]...)
	if sign, rest := d.signs.matchContainer(argv); sign != nil {
		c.facts = sign.read(rest)
	}
	c.image = d.signs.matchImage(in.Config.Image)
	c.labelled = labels[labelRuntime] != "" || labels[labelPort] != ""
	var names []string
	for _, sign := range d.signs.list {
		names = append(names, sign.PortEnv...)
	}
	c.env = readEnvironment(func(yield func([]byte) bool) {
		for _, entry := range in.Config.Env {
			if !yield([]byte(entry)) {
				return
			}
		}
	}, names...)
	c.set = labelSettings(labels).over(c.env.settings())
	if known := d.signs.byRuntime(c.set.runtime); known != nil {
		c.set.runtime = known.Runtime
	}
	if d.owns != nil && !d.owns(c.pid, c.id) {
		c.remote, c.pid = true, 0
	}
	here := loopback
	if c.remote {
		here = d.at
	}
	c.networks(in, here)
	if c.remote {
		c.addrs = nil // another machine may have the same ones
	}
	return c
}

// networks takes how a container is reached; here is where its machine is.
func (c *container) networks(in *moby.InspectResponse, here netip.Addr) {
	if in.HostConfig != nil {
		c.host = in.HostConfig.NetworkMode.IsHost()
		c.joined = in.HostConfig.NetworkMode.ConnectedContainer()
	}
	exposed := map[int]bool{}
	for port := range in.Config.ExposedPorts {
		if port.Proto() == network.TCP {
			exposed[int(port.Num())] = true
		}
	}
	c.here = here
	c.published = map[int]netip.AddrPort{}
	if in.NetworkSettings != nil {
		for port, bindings := range in.NetworkSettings.Ports {
			if port.Proto() != network.TCP {
				continue
			}
			exposed[int(port.Num())] = true
			for _, binding := range bindings {
				number, ok := parsePort(binding.HostPort)
				if !ok || number == 0 {
					continue
				}
				addr := binding.HostIP.Unmap()
				if !addr.IsValid() || addr.IsUnspecified() {
					addr = here
				}
				if !addr.IsValid() || (c.remote && addr.IsLoopback()) {
					continue // its own machine alone reaches it
				}
				at := netip.AddrPortFrom(addr, uint16(number))
				if old, ok := c.published[int(port.Num())]; !ok || preferred(at.Addr(), old.Addr()) < 0 {
					c.published[int(port.Num())] = at
				}
			}
		}
		var v6 []netip.Addr
		for _, endpoint := range in.NetworkSettings.Networks {
			if endpoint == nil {
				continue
			}
			if addr := endpoint.IPAddress; addr.IsValid() && !addr.IsUnspecified() {
				c.addrs = append(c.addrs, addr.Unmap())
			}
			if addr := endpoint.GlobalIPv6Address; addr.IsValid() && !addr.IsUnspecified() {
				v6 = append(v6, addr)
			}
		}
		slices.SortFunc(c.addrs, netip.Addr.Compare)
		slices.SortFunc(v6, netip.Addr.Compare)
		c.addrs = append(c.addrs, v6...)
	}
	if len(exposed) == 1 {
		for port := range exposed {
			c.only = port
		}
	}
}
