package inventory

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/stackscope/stackscope/internal/fleet"
)

// groups returns the group of each instance that has a role, and the model of the instances to which each router passes requests, both by
// the instance's id. A group is what the operator named it, else that of a router of that name which passes requests to the instance, else
// the model. Where the routers of a model have separate instances, each of them makes a group, MODEL/ROUTER.
func (i *Inventory) groups() (groups, routed map[int64]string) {
	groups, routed = make(map[int64]string), make(map[int64]string)
	var routers []*instance
	for _, in := range i.instanceList {
		if in.Reported.Role == "" {
			continue
		}
		groups[in.ID] = in.Reported.Group
		if in.Reported.Role == fleet.RoleRouter && in.Reported.Upstreams != "" {
			routers = append(routers, in)
		}
	}
	if len(routers) > 0 {
		i.groupByRouters(routers, groups, routed)
	}
	for _, in := range i.instanceList {
		if name, ok := groups[in.ID]; ok && name == "" && in.model != nil {
			groups[in.ID] = in.model.Name
		}
	}
	return groups, routed
}

// routedGroup is a router, or routers that share instances, with the instances.
type routedGroup struct {
	name    string // as the operator named it
	router  *instance
	members []*instance
}

func (i *Inventory) groupByRouters(routers []*instance, groups, routed map[int64]string) {
	at := i.addresses(routers)
	byModel := make(map[*model][]*routedGroup)
	of := make(map[*instance]*routedGroup)
	for _, router := range routers {
		m, members := upstreamInstances(router, at)
		if m == nil {
			continue
		}
		routed[router.ID] = m.Name
		var group *routedGroup
		for _, in := range members {
			if group == nil {
				group = of[in]
			}
		}
		if group == nil {
			group = &routedGroup{name: router.Reported.Group, router: router}
			byModel[m] = append(byModel[m], group)
		}
		group.members = append(append(group.members, router), members...)
		for _, in := range members {
			of[in] = group
		}
	}
	for m, list := range byModel {
		for _, group := range list {
			name := group.name
			if name == "" && len(list) > 1 {
				name = m.Name + "/" + group.router.Reported.Name
			}
			for _, in := range group.members {
				if given, ok := groups[in.ID]; ok && given == "" {
					groups[in.ID] = name
				}
			}
		}
	}
}

// endpoint is a host and port within a cluster.
type endpoint struct {
	cluster    int64
	host, port string
}

// addresses returns the instances of the routers' clusters by where they are reached from another machine, and by the worker and name of
// their containers.
func (i *Inventory) addresses(routers []*instance) map[endpoint]*instance {
	clusters := make(map[int64]bool)
	for _, router := range routers {
		clusters[router.worker.ClusterID] = true
	}
	at := make(map[endpoint]*instance)
	for _, in := range i.instanceList {
		if !clusters[in.worker.ClusterID] || in.model == nil || in.Reported.Role == fleet.RoleRouter {
			continue
		}
		u, err := url.Parse(in.Reported.URL)
		if err != nil || u.Port() == "" {
			continue
		}
		at[in.worker.endpoint(u.Hostname(), u.Port())] = in
	}
	return at
}

// endpoint returns where host and port lead on the worker's machine: its own address stands for loopback ones.
func (w *worker) endpoint(host, port string) endpoint {
	if ip, err := netip.ParseAddr(host); fleet.IsLoopback(host) || err == nil && ip.IsUnspecified() || strings.EqualFold(host, w.Name) {
		host = w.Address
	}
	return endpoint{w.ClusterID, strings.ToLower(host), port}
}

// upstreamInstances returns the instances to which a router passes requests, as far as they are known, and their model; nil if it is not
// one model.
func upstreamInstances(router *instance, at map[endpoint]*instance) (m *model, members []*instance) {
	for upstream := range strings.SplitSeq(router.Reported.Upstreams, " ") {
		host, port, err := net.SplitHostPort(upstream)
		if err != nil {
			continue
		}
		in := at[router.worker.endpoint(host, port)]
		if in == nil {
			continue
		}
		if m != nil && in.model != m {
			return nil, nil
		}
		m, members = in.model, append(members, in)
	}
	return m, members
}
