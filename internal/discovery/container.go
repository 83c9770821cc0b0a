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
	launchArguments // rule is nil if its command starts no engine

	id, name  string
	settings  settings
	env       environment
	imageRule *rule // that matches its image, nil: none
	ended     bool  // it does not run
	hasLabels bool  // its labels declare it an engine
	helper    bool  // a pause or init container of GPUStack
	pid       int
	started   time.Time

	remote      bool       // it may run on another machine
	hostNetwork bool       // in the machine's network namespace
	hostAddr    netip.Addr // of its machine, zero: unknown
	networkOf   string     // id or name of the container whose network namespace it shares
	published   map[int]netip.AddrPort
	addresses   []netip.Addr
	// onlyPort is its port if it exposes exactly one, else 0.
	onlyPort int
}

// describe reads the daemon's description of a container.
func (d *docker) describe(in *moby.InspectResponse) *container {
	if in.State == nil || !in.State.Running || in.Config == nil || in.ID == "" {
		return &container{id: in.ID, ended: true}
	}
	labels := in.Config.Labels
	component := labels[labelGPUStackComponent]
	c := &container{helper: component != "" && component != gpuStackRun, id: in.ID, name: labelText(strings.TrimPrefix(in.Name, "/"), maxInstanceBytes), pid: max(in.State.Pid, 0)}
	if c.name == "" {
		c.name = shortID(c.id)
	}
	if at, err := time.Parse(time.RFC3339Nano, in.State.StartedAt); err == nil && at.Unix() > 0 {
		c.started = at
	}
	argv := append([]string{in.Path}, in.Args[:min(len(in.Args), maxArgs)]...)
	if matched, rest := d.rules.matchContainer(argv); matched != nil {
		c.launchArguments = matched.arguments(rest)
	}
	c.imageRule = d.rules.matchImage(in.Config.Image)
	c.hasLabels = labels[labelRuntime] != "" || labels[labelPort] != ""
	var names []string
	for _, r := range d.rules.all {
		names = append(append(names, r.PortEnv...), r.ModelScopeEnv...)
	}
	c.env = readEnvironment(func(yield func([]byte) bool) {
		for _, entry := range in.Config.Env {
			if !yield([]byte(entry)) {
				return
			}
		}
	}, names...)
	c.settings = labelSettings(labels).withDefaults(c.env.settings())
	if known := d.rules.byRuntime(c.settings.runtime); known != nil {
		c.settings.runtime = known.Runtime
	}
	if d.ownsProcess != nil && !d.ownsProcess(c.pid, c.id) {
		c.remote, c.pid = true, 0
	}
	here := loopback
	if c.remote {
		here = d.daemonAddr
	}
	c.readNetworks(in, here)
	if c.remote {
		c.addresses = nil // this machine may have the same ones
	}
	return c
}

// readNetworks reads the ports and addresses of a container; here is its machine's address.
func (c *container) readNetworks(in *moby.InspectResponse, here netip.Addr) {
	if in.HostConfig != nil {
		c.hostNetwork = in.HostConfig.NetworkMode.IsHost()
		c.networkOf = in.HostConfig.NetworkMode.ConnectedContainer()
	}
	exposed := map[int]bool{}
	for port := range in.Config.ExposedPorts {
		if port.Proto() == network.TCP {
			exposed[int(port.Num())] = true
		}
	}
	c.hostAddr = here
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
					continue // only its own machine reaches it
				}
				at := netip.AddrPortFrom(addr, uint16(number))
				if old, ok := c.published[int(port.Num())]; !ok || compareAddresses(at.Addr(), old.Addr()) < 0 {
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
				c.addresses = append(c.addresses, addr.Unmap())
			}
			if addr := endpoint.GlobalIPv6Address; addr.IsValid() && !addr.IsUnspecified() {
				v6 = append(v6, addr)
			}
		}
		slices.SortFunc(c.addresses, netip.Addr.Compare)
		slices.SortFunc(v6, netip.Addr.Compare)
		c.addresses = append(c.addresses, v6...)
	}
	if len(exposed) == 1 {
		for port := range exposed {
			c.onlyPort = port
		}
	}
}
