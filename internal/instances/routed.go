package instances

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/stackscope/stackscope/internal/engine"
	"github.com/stackscope/stackscope/internal/fleet"
)

// describe gives the engine what discovery shows of it.
func (in *Instance) describe() {
	if f := &in.found; in.isFound() {
		in.described = engine.Description{
			Role: f.Role, Group: f.Group, Connector: f.Connector, Upstreams: f.Upstreams, Source: f.ModelSource, SourceKey: f.ModelSourceKey, Model: in.described.Model,
		}
	}
	in.engine.Describe(in.described)
}

// SetRoutedModel takes the model of the engines to which a router passes requests, as the server knows them. What this worker knows comes
// first.
func (m *Manager) SetRoutedModel(name, model string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.routed[name] == model {
		return
	}
	if _, known := m.routed[name]; !known && len(m.routed) >= m.max {
		m.forgetRouted()
	}
	if m.routed == nil {
		m.routed = make(map[string]string)
	}
	m.routed[name] = model
	m.refresh.send()
}

// forgetRouted forgets the models of routers that are not there. The caller holds m.mu.
func (m *Manager) forgetRouted() {
	there := make(map[string]bool, len(m.byKey))
	for _, in := range m.byKey {
		there[in.engine.Status().Name] = true
	}
	maps.DeleteFunc(m.routed, func(name, _ string) bool { return !there[name] })
}

// route gives each router the model of the engines that it passes requests to. It keeps the last one while none of them is known. The caller
// holds m.mu.
func (m *Manager) route() {
	here := thisMachine(m.opts.Worker)
	for _, in := range m.byKey {
		model := m.routedModel(in, here)
		if model == "" && len(m.routed) > 0 {
			model = m.routed[in.engine.Status().Name]
		}
		if model != "" {
			in.described.Model = model
			in.engine.Describe(in.described)
		}
	}
}

// routedModel returns the model of the engines to which a router passes requests; "" if none of them is known here, if they serve several,
// or if it is no router. The caller holds m.mu.
func (m *Manager) routedModel(router *Instance, here func(host string) bool) string {
	s := router.engine.Status()
	if s.Role != fleet.RoleRouter || s.Upstreams == "" {
		return ""
	}
	upstreams := parseUpstreams(s.Upstreams)
	model := ""
	for _, in := range m.byKey {
		if in == router {
			continue
		}
		other := in.engine.Status()
		if other.Model == "" || other.Model == model || !isUpstream(in, other.URL, upstreams, here) {
			continue
		}
		if model != "" {
			return ""
		}
		model = other.Model
	}
	return model
}

// An upstream is an address to which a router passes requests.
type upstream struct{ address, host, port string }

// parseUpstreams reads addresses with spaces between them. It leaves out what is none.
func parseUpstreams(text string) (list []upstream) {
	for address := range strings.SplitSeq(text, " ") {
		if host, port, err := net.SplitHostPort(address); err == nil {
			list = append(list, upstream{address, host, port})
		}
	}
	return list
}

// isUpstream reports whether one of the addresses leads to an instance: by its URL, or by the name of its container, which is a host name
// for containers of its network.
func isUpstream(in *Instance, address string, upstreams []upstream, here func(host string) bool) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host, port := u.Hostname(), u.Port()
	for _, up := range upstreams {
		if container := "docker:" + up.address; in.key == container || in.found.Key == container {
			return true
		}
		if up.port == port && (strings.EqualFold(up.host, host) || here(up.host) && here(host)) {
			return true
		}
	}
	return false
}

// thisMachine returns a function that says whether a host is this machine. It reads the machine's addresses once, when it is first needed.
func thisMachine(worker string) func(host string) bool {
	var own map[string]bool
	return func(host string) bool {
		if own == nil {
			own = map[string]bool{strings.ToLower(worker): true}
			if name, err := os.Hostname(); err == nil {
				own[strings.ToLower(name)] = true
			}
			addrs, _ := net.InterfaceAddrs() // without them, loopback addresses are recognised
			for _, a := range addrs {
				if prefix, err := netip.ParsePrefix(a.String()); err == nil {
					own[prefix.Addr().Unmap().String()] = true
				}
			}
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			return ip.IsUnspecified() || fleet.IsLoopback(host) || own[ip.Unmap().String()]
		}
		return fleet.IsLoopback(host) || own[strings.ToLower(host)]
	}
}
