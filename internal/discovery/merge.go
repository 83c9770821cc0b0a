package discovery

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/fleet"
)

// merger makes one list of the engines that the sources found.
type merger struct {
	machine                   *machine
	processes                 *processes // nil: disabled
	processSkips, dockerSkips *skipCounter

	byID          map[string]*container // by full id and by name
	inHostNetwork bool                  // the worker is in the machine's own network namespace
	engines       []*mergedEngine
}

// mergedEngine is an engine with what identifies it in another source.
type mergedEngine struct {
	Found

	containerID string // full id of its container
	addresses   []netip.AddrPort
}

func (m *merger) merge(declared []declaration, processes []*engineProcess, containers []*container) *snapshot {
	m.byID = map[string]*container{}
	m.inHostNetwork = len(containers) > 0 && m.machine.inHostNetwork()
	for _, c := range containers {
		m.byID[c.id], m.byID[c.name] = c, c
	}
	inside := map[*container][]*engineProcess{}
	var outside []*engineProcess
	for _, r := range processes {
		if c := m.containerOf(r, containers); c != nil {
			inside[c] = append(inside[c], r)
		} else {
			outside = append(outside, r)
		}
	}
	for _, c := range containers {
		m.addContainer(c, inside[c])
	}
	for _, r := range outside {
		m.addProcess(r)
	}
	return m.snapshot(declared)
}

// containerOf returns the container in which a process runs, nil if Docker lists none.
func (m *merger) containerOf(r *engineProcess, containers []*container) *container {
	if r.containerID != "" {
		return m.byID[r.containerID]
	}
	for _, c := range containers {
		if c.pid > 0 && m.processes.isBelow(r.pid, c.pid) {
			return c
		}
	}
	return nil
}

// addProcess adds an engine that runs in no known container.
func (m *merger) addProcess(r *engineProcess) {
	id := strconv.Itoa(r.pid)
	switch {
	case r.settings.disabled:
		m.processSkips.skip(skipDisabled, id, "pid", r.pid)
	case r.metricsOff:
		m.processSkips.skip(skipMetricsOff, id, "pid", r.pid)
	case r.unreachable != "":
		m.processSkips.skip(r.unreachable, id, "pid", r.pid)
	default:
		place := urlAddress(r.url)
		key := "process:" + strconv.Itoa(r.port)
		if !r.ownNetwork {
			key = "process:" + place.String()
		}
		e := &mergedEngine{containerID: r.containerID, addresses: []netip.AddrPort{place}}
		e.Found = Found{
			Key: key, Source: SourceProcess, Runtime: r.rule.Runtime, Model: cmp.Or(r.settings.model, r.model), Instance: r.settings.instance,
			URL: r.url, Path: cmp.Or(r.settings.path, r.rule.Path), PID: r.pid, Container: shortID(r.containerID), Started: r.started, Listening: r.listening,
			Lockstep: r.lockstep, Role: cmp.Or(r.settings.role, r.role), Group: r.settings.group, Connector: r.connector, Upstreams: r.upstreams,
			Served: r.served, Adapters: r.adapters,
		}
		e.ModelSource, e.ModelSourceKey = modelSource(r.weights, r.rule, r.env)
		m.add(e, m.processSkips, "pid", r.pid)
	}
}

// addContainer adds the engines of a container. inside are its processes that are engines.
func (m *merger) addContainer(c *container, inside []*engineProcess) {
	if len(inside) == 0 {
		if m.isEngine(c) {
			m.addContainerEngine(c, nil, c.settings)
		}
		return
	}
	// Of several engines in one container, the container's settings apply to the one at the port that they set, else to the first.
	first := max(0, slices.IndexFunc(inside, func(r *engineProcess) bool { return r.port == c.settings.port }))
	for i, r := range inside {
		set := c.settings
		if i != first {
			set.port, set.model, set.instance, set.role = 0, "", "", ""
		}
		m.addContainerEngine(c, r, set.withDefaults(r.settings))
	}
}

// isEngine reports whether a container is an engine although none of its processes was recognised as one.
func (m *merger) isEngine(c *container) bool {
	switch {
	case c.helper:
		return false
	case c.hasLabels, c.rule != nil:
		return true
	case c.imageRule == nil:
		return false
	}
	// An engine's image may run something else. If its processes can be read, none of them is an engine.
	return len(c.imageRule.commands) == 0 || m.processes == nil || !m.processes.alive(c.pid)
}

// addContainerEngine adds one engine of a container. r is its process, nil if that is unknown.
func (m *merger) addContainerEngine(c *container, r *engineProcess, set settings) {
	matched, f := cmp.Or(c.rule, c.imageRule), c.launchArguments
	if r != nil {
		matched, f = r.rule, r.launchArguments
	}
	runtime := set.runtime
	if matched != nil {
		runtime = cmp.Or(runtime, matched.Runtime)
	}
	port, path := set.port, set.path
	if r != nil {
		port = cmp.Or(port, r.port)
	}
	port = cmp.Or(port, f.port)
	if matched != nil {
		port = cmp.Or(port, c.env.port(matched.PortEnv), matched.Port)
		if runtime == matched.Runtime {
			path = cmp.Or(path, matched.Path)
		}
	}
	port = cmp.Or(port, c.onlyPort)
	e := &mergedEngine{containerID: c.id}
	at, why := m.address(c, r, port)
	switch {
	case set.disabled:
		why = skipDisabled
	case f.metricsOff:
		why = skipMetricsOff
	case port == 0:
		why = skipNoPort
	}
	if why != "" {
		m.dockerSkips.skip(why, c.id, "container", c.name)
		return
	}
	e.Found = Found{
		Key: "docker:" + c.name + ":" + strconv.Itoa(port), Source: SourceDocker, Runtime: runtime, Model: cmp.Or(set.model, f.model),
		Instance: set.instance, URL: "http://" + at.String(), Path: path, PID: c.pid, Container: shortID(c.id), Started: c.started,
		Lockstep: f.lockstep, Role: cmp.Or(set.role, m.podRole(c), f.role, matched.fixedRole()), Group: set.group, Connector: f.connector, Upstreams: f.upstreams,
		Served: f.served, Adapters: f.adapters,
	}
	env := c.env
	if r != nil && len(r.env) > 0 {
		env = r.env
	}
	e.ModelSource, e.ModelSourceKey = modelSource(f.weights, matched, env)
	if r != nil {
		e.PID = r.pid
		if !r.started.IsZero() {
			e.Started = r.started
		}
	}
	switch {
	case r != nil && r.port == port:
		e.Listening = r.listening
	case m.processes != nil && e.PID > 0 && m.processes.alive(e.PID):
		e.Listening = m.processes.listens(e.PID, port)
	}
	e.addresses = append(m.addresses(c, port, 0), at)
	m.add(e, m.dockerSkips, "container", c.name)
}

// podRole returns the role in the labels of the container whose network namespace c shares: a pod's labels are there.
func (m *merger) podRole(c *container) fleet.Role {
	if other := m.byID[c.networkOf]; c.networkOf != "" && other != nil {
		return other.settings.role
	}
	return ""
}

// add adds an engine unless another one has its key or URL. Of two engines of one source, preferredEngine says which one stays.
func (m *merger) add(e *mergedEngine, t *skipCounter, key string, value any) {
	for i, other := range m.engines {
		if other.Key != e.Key && other.URL != e.URL {
			continue
		}
		if other.Source != e.Source {
			// Docker's engines were added first: this is the same engine, found as a process.
			if other.PID == 0 || !other.Listening {
				other.PID, other.Started, other.Listening = e.PID, e.Started, e.Listening
			}
			return
		}
		if preferredEngine(e, other) {
			m.engines[i] = e
		}
		t.skip(skipPortTaken, e.Key, key, value)
		return
	}
	m.engines = append(m.engines, e)
}

func preferredEngine(a, b *mergedEngine) bool {
	if a.Listening != b.Listening {
		return a.Listening
	}
	return a.Started.Before(b.Started)
}

// snapshot adds the declared engines, each of which replaces the engine at its address, and builds the indexes.
func (m *merger) snapshot(declared []declaration) *snapshot {
	s := &snapshot{byPID: map[int]string{}, byContainer: map[string]string{}, sources: map[Source]int{}}
	taken := map[*mergedEngine]bool{}
	perContainer := map[string]int{}
	note := func(f Found, id string) {
		s.engines = append(s.engines, f)
		s.sources[f.Source]++
		if f.PID > 0 {
			s.byPID[f.PID] = f.Key
		}
		if id != "" {
			perContainer[id]++
			s.byContainer[id] = f.Key
		}
	}
	keys := map[string]bool{}
	for i := range declared {
		d := &declared[i]
		f, id := Found{}, ""
		for _, e := range m.engines {
			if !taken[e] && d.isAt(m.machine, e.addresses) {
				taken[e] = true
				f, id = e.Found, e.containerID
				break
			}
		}
		f.Key, f.Source, f.URL, f.Path, f.Instance = d.Key, SourceDeclared, d.URL, "", ""
		keys[f.Key] = true
		note(f, id)
	}
	for _, e := range m.engines {
		if taken[e] || keys[e.Key] {
			continue
		}
		note(e.Found, e.containerID)
	}
	for id, n := range perContainer {
		if n > 1 {
			delete(s.byContainer, id)
		}
	}
	slices.SortFunc(s.engines, func(a, b Found) int { return strings.Compare(a.Key, b.Key) })
	return s
}
