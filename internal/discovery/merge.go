package discovery

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// merging makes one list of what the sources found.
type merging struct {
	machine                   *machine
	processes                 *processes // nil: switched off
	processTally, dockerTally *tally

	byID map[string]*container // by full id and by name
	here bool                  // we are in the machine's own network
	out  []*merged
}

// merged is one engine with what is needed to recognise it in another source.
type merged struct {
	Found

	id     string // full id of its container
	places []netip.AddrPort
}

func (m *merging) merge(declared []declaration, processes []*running, containers []*container) *snapshot {
	m.byID = map[string]*container{}
	m.here = len(containers) > 0 && m.machine.inHostNetwork()
	for _, c := range containers {
		m.byID[c.id], m.byID[c.name] = c, c
	}
	inside := map[*container][]*running{}
	var outside []*running
	for _, r := range processes {
		if c := m.containerOf(r, containers); c != nil {
			inside[c] = append(inside[c], r)
		} else {
			outside = append(outside, r)
		}
	}
	for _, c := range containers {
		m.container(c, inside[c])
	}
	for _, r := range outside {
		m.process(r)
	}
	return m.snapshot(declared)
}

// containerOf returns the container in which a process runs, nil if Docker knows none.
func (m *merging) containerOf(r *running, containers []*container) *container {
	if r.id != "" {
		return m.byID[r.id]
	}
	for _, c := range containers {
		if c.pid > 0 && m.processes.isBelow(r.pid, c.pid) {
			return c
		}
	}
	return nil
}

// process adds an engine that was found among the processes alone.
func (m *merging) process(r *running) {
	id := strconv.Itoa(r.pid)
	switch {
	case r.set.disabled:
		m.processTally.skip(reasonDisabled, id, "pid", r.pid)
	case r.off:
		m.processTally.skip(reasonMetricsOff, id, "pid", r.pid)
	case r.lost != "":
		m.processTally.skip(r.lost, id, "pid", r.pid)
	default:
		place := placeOf(r.url)
		key := "process:" + strconv.Itoa(r.port)
		if !r.own {
			key = "process:" + place.String()
		}
		e := &merged{id: r.id, places: []netip.AddrPort{place}}
		e.Found = Found{
			Key: key, Source: SourceProcess, Runtime: r.sign.Runtime, Model: cmp.Or(r.set.model, r.model), Instance: r.set.instance,
			URL: r.url, Path: cmp.Or(r.set.path, r.sign.Path), PID: r.pid, Container: shortID(r.id), Started: r.started, Listening: r.listening,
			Lockstep: r.lockstep,
		}
		m.add(e, m.processTally, "pid", r.pid)
	}
}

// container adds the engines of a container, with what the processes in it say about them.
func (m *merging) container(c *container, inside []*running) {
	if len(inside) == 0 {
		if m.isEngine(c) {
			m.inContainer(c, nil, c.set)
		}
		return
	}
	// What was set for the container is meant for its engine; where it runs several, for the one at the port that was set,
	// else the first.
	first := max(0, slices.IndexFunc(inside, func(r *running) bool { return r.port == c.set.port }))
	for i, r := range inside {
		set := c.set
		if i != first {
			set.port, set.model, set.instance = 0, "", ""
		}
		m.inContainer(c, r, set.over(r.set))
	}
}

// isEngine reports whether a container in which no engine was found among the processes is one nevertheless.
func (m *merging) isEngine(c *container) bool {
	switch {
	case c.helper:
		return false
	case c.labelled, c.sign != nil:
		return true
	case c.image == nil:
		return false
	}
	// An image alone is used for other things too. Where its processes can be seen, they tell.
	return len(c.image.commands) == 0 || m.processes == nil || !m.processes.alive(c.pid)
}

// inContainer adds one engine of a container; r is nil if it was not found among the processes.
func (m *merging) inContainer(c *container, r *running, set settings) {
	sign, f := cmp.Or(c.sign, c.image), c.facts
	if r != nil {
		sign, f = r.sign, r.facts
	}
	runtime := set.runtime
	if sign != nil {
		runtime = cmp.Or(runtime, sign.Runtime)
	}
	port, path := set.port, set.path
	if r != nil {
		port = cmp.Or(port, r.port)
	}
	port = cmp.Or(port, f.port)
	if sign != nil {
		port = cmp.Or(port, c.env.port(sign.PortEnv), sign.Port)
		if runtime == sign.Runtime {
			path = cmp.Or(path, sign.Path)
		}
	}
	port = cmp.Or(port, c.only)
	e := &merged{id: c.id}
	at, why := m.reach(c, r, port)
	switch {
	case set.disabled:
		why = reasonDisabled
	case f.off:
		why = reasonMetricsOff
	case port == 0:
		why = reasonNoPort
	}
	if why != "" {
		m.dockerTally.skip(why, c.id, "container", c.name)
		return
	}
	e.Found = Found{
		Key: "docker:" + c.name + ":" + strconv.Itoa(port), Source: SourceDocker, Runtime: runtime, Model: cmp.Or(set.model, f.model),
		Instance: set.instance, URL: "http://" + at.String(), Path: path, PID: c.pid, Container: shortID(c.id), Started: c.started,
		Lockstep: f.lockstep,
	}
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
	e.places = append(m.places(c, port, 0), at)
	m.add(e, m.dockerTally, "container", c.name)
}

// add adds an engine unless one of its key or place is there already. Of two at one place the one that listens stays, else the
// older.
func (m *merging) add(e *merged, t *tally, key string, value any) {
	for i, other := range m.out {
		if other.Key != e.Key && other.URL != e.URL {
			continue
		}
		if other.Source != e.Source {
			// Docker's engines come first: this is the same one, seen as a process.
			if other.PID == 0 || !other.Listening {
				other.PID, other.Started, other.Listening = e.PID, e.Started, e.Listening
			}
			return
		}
		if before(e, other) {
			m.out[i] = e
		}
		t.skip(reasonPortTaken, e.Key, key, value)
		return
	}
	m.out = append(m.out, e)
}

func before(a, b *merged) bool {
	if a.Listening != b.Listening {
		return a.Listening
	}
	return a.Started.Before(b.Started)
}

// snapshot puts the declared engines over the others and makes the lists.
func (m *merging) snapshot(declared []declaration) *snapshot {
	s := &snapshot{byPID: map[int]string{}, byContainer: map[string]string{}, sources: map[Source]int{}}
	taken := map[*merged]bool{}
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
		for _, e := range m.out {
			if !taken[e] && d.isAt(m.machine, e.places) {
				taken[e] = true
				f, id = e.Found, e.id
				break
			}
		}
		f.Key, f.Source, f.URL, f.Path, f.Instance = d.Key, SourceDeclared, d.URL, "", ""
		keys[f.Key] = true
		note(f, id)
	}
	for _, e := range m.out {
		if taken[e] || keys[e.Key] {
			continue
		}
		note(e.Found, e.id)
	}
	for id, n := range perContainer {
		if n > 1 {
			delete(s.byContainer, id)
		}
	}
	slices.SortFunc(s.engines, func(a, b Found) int { return strings.Compare(a.Key, b.Key) })
	return s
}
