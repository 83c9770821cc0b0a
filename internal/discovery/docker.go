package discovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

const (
	// resyncEvery is how often the containers are listed where events tell of changes, blindEvery where none do.
	resyncEvery = 30 * time.Second
	blindEvery  = 4 * time.Second
	// callTimeout bounds one question to the daemon.
	callTimeout = 5 * time.Second
	// settle is how long after an event the containers are listed, as events come in groups.
	settle = 100 * time.Millisecond
	// minWait and maxWait bound the pause after a failure, absentWait is it where there is no daemon.
	minWait    = time.Second
	maxWait    = 30 * time.Second
	absentWait = 10 * time.Second

	maxContainers = 1024
	// maxInspects is how many containers are asked about at a time.
	maxInspects = 4
	// maxAnswerBytes bounds what the daemon may answer to one question, its stream of events included.
	maxAnswerBytes = 64 << 20
)

// docker follows the containers of a Docker daemon, or of one that speaks its language.
type docker struct {
	host    string                        // for messages
	owns    func(pid int, id string) bool // whether a process of this machine is in a container; nil: all are
	at      netip.Addr                    // of a daemon that may be another machine's; zero: not known, or there is none
	signs   *signs
	tally   *tally
	changed func()
	client  *client.Client
	kick    chan struct{}
	asked   chan struct{} // closed when the daemon was asked once, whatever came of it
	// dialed is why the daemon could not be reached when that was last tried.
	dialed    atomic.Pointer[error]
	streaming atomic.Bool
	last      atomic.Pointer[containerList]

	mu    sync.Mutex
	dirty map[string]bool // ids to be asked about again
	all   bool            // all of them
	mute  map[string]bool // ids about which the daemon says nothing, "" for those that are too many
}

// containerList is the running containers. It is immutable.
type containerList struct {
	list []*container // by name
	live bool         // the daemon answered when it was last asked
}

func newDocker(host string, known *signs, t *tally, changed func()) (*docker, error) {
	u, err := client.ParseHostURL(host)
	if err != nil || (u.Scheme != "unix" && u.Scheme != "tcp" && u.Scheme != "http") {
		return nil, errors.New("discovery: the container daemon's address cannot be used: give --docker-host as unix:///path/to/docker.sock or tcp://HOST:PORT")
	}
	d := &docker{host: u.Scheme + "://" + u.Host, signs: known, tally: t, changed: changed, kick: make(chan struct{}, 1), asked: make(chan struct{}), dirty: map[string]bool{}, all: true}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if u.Scheme == "unix" {
			network, addr = "unix", u.Host
		}
		conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, network, addr)
		if err != nil {
			if ctx.Err() == nil {
				d.dialed.Store(&err)
			}
			return nil, err
		}
		d.dialed.Store(nil)
		return &boundedConn{Conn: conn}, nil
	}
	d.client, err = client.New(client.WithHost(host), client.WithDialContext(dial))
	if err != nil {
		return nil, fmt.Errorf("discovery: the Docker host cannot be used: %w", err)
	}
	d.last.Store(&containerList{})
	return d, nil
}

// containers returns the running containers as they were last seen. While the daemon does not answer they are the last
// ones that it spoke of: they run without it.
func (d *docker) containers() []*container { return d.last.Load().list }

// live reports whether the daemon answered when it was last asked.
func (d *docker) live() bool { return d.last.Load().live }

// run follows the containers until ctx ends.
func (d *docker) run(ctx context.Context) {
	defer func() { _ = d.client.Close() }()
	var wg sync.WaitGroup
	wg.Go(func() { d.follow(ctx) })
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	var first sync.Once
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-d.kick:
			if !pause(ctx, settle) {
				return
			}
		}
		start := time.Now()
		err := d.sync(ctx)
		first.Do(func() { close(d.asked) })
		if ctx.Err() != nil {
			return
		}
		err = d.explain(err)
		d.tally.verdict(time.Since(start), err)
		switch {
		case err == nil:
			failures = 0
			wait := blindEvery
			if d.streaming.Load() {
				wait = resyncEvery
			}
			timer.Reset(wait)
			continue
		case errors.Is(err, fs.ErrNotExist):
			timer.Reset(absentWait)
		default:
			timer.Reset(min(minWait<<min(failures, 10), maxWait))
			failures++
		}
		d.ask("")
		if last := d.last.Load(); last.live {
			d.last.Store(&containerList{list: last.list})
			d.changed()
		}
	}
}

// follow listens to the daemon's events and has the containers listed when one matters.
func (d *docker) follow(ctx context.Context) {
	filters := client.Filters{}.Add("type", string(events.ContainerEventType)).Add("event", "start", "die", "destroy", "rename", "health_status", "update")
	wait := minWait
	for {
		start := time.Now()
		err := d.stream(ctx, filters)
		d.streaming.Store(false)
		if why := d.explain(err); why != nil && !errors.Is(why, fs.ErrNotExist) && ctx.Err() == nil {
			d.tally.logger.Debug("events ended", "error", why)
		}
		if time.Since(start) > maxWait {
			wait = minWait
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, maxWait)
	}
}

// stream reads events until the daemon ends them, and returns why.
func (d *docker) stream(ctx context.Context, filters client.Filters) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slow := time.AfterFunc(maxWait, cancel)
	result := d.client.Events(ctx, client.EventsListOptions{Filters: filters})
	slow.Stop()
	select {
	case err := <-result.Err:
		return err
	default:
	}
	d.streaming.Store(true)
	d.again("") // what happened until now was not heard
	for {
		select {
		case err := <-result.Err:
			return err
		case event := <-result.Messages:
			d.again(event.Actor.ID)
		}
	}
}

// again has the containers listed soon, and one of them, or all, asked about anew.
func (d *docker) again(id string) {
	d.ask(id)
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

func (d *docker) ask(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == "" || len(d.dirty) > maxContainers {
		d.all = true
		return
	}
	d.dirty[id] = true
}

// sync lists the running containers and asks about those that are new or changed.
func (d *docker) sync(ctx context.Context) error {
	d.mu.Lock()
	dirty, all := d.dirty, d.all
	d.dirty, d.all = map[string]bool{}, false
	d.mu.Unlock()
	listCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := d.client.ContainerList(listCtx, client.ContainerListOptions{Limit: maxContainers + 1})
	if err != nil {
		return err
	}
	known := map[string]*container{}
	for _, c := range d.containers() {
		known[c.id] = c
	}
	mute := map[string]bool{}
	if len(result.Items) > maxContainers {
		mute[""] = true
		result.Items = result.Items[:maxContainers]
	}
	next := make([]*container, len(result.Items))
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxInspects)
	for i, item := range result.Items {
		if next[i] = known[item.ID]; next[i] != nil && !all && !dirty[item.ID] {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if c := d.inspect(ctx, item.ID); c != nil {
				next[i] = c
				return
			}
			// What was known of it stands: it is in the list.
			d.mu.Lock()
			defer d.mu.Unlock()
			mute[item.ID] = true
		})
	}
	wg.Wait()
	d.report(mute)
	next = slices.DeleteFunc(next, func(c *container) bool { return c == nil || c.ended })
	slices.SortFunc(next, func(a, b *container) int { return strings.Compare(a.name, b.name) })
	d.last.Store(&containerList{list: next, live: true})
	d.changed()
	return nil
}

// report counts what the daemon says nothing about, once as long as that lasts.
func (d *docker) report(mute map[string]bool) {
	before := d.mute
	d.mute = mute
	for id := range mute {
		switch {
		case before[id]:
		case id == "":
			d.tally.count(reasonTooMany, "containers_looked_at", maxContainers)
		default:
			d.tally.count(reasonNotAnswered, "container", shortID(id))
		}
	}
}

// inspect asks about one container; nil if the daemon doesn't answer, which costs the others nothing.
func (d *docker) inspect(ctx context.Context, id string) *container {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := d.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return &container{id: id, ended: true} // since the list was made
	}
	if err != nil {
		d.ask(id)
		return nil
	}
	return d.describe(&result.Container)
}

// pause waits and reports whether ctx still lasts.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
