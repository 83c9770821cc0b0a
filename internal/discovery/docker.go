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
	// resyncEvery is how often the containers are listed while events arrive, resyncWithoutEvents while they do not.
	resyncEvery         = 30 * time.Second
	resyncWithoutEvents = 4 * time.Second
	// callTimeout bounds one request to the daemon.
	callTimeout = 5 * time.Second
	// eventDelay is how long after an event the containers are listed: events come in groups.
	eventDelay = 100 * time.Millisecond
	// minRetry and maxRetry bound the pause after a failure; absentRetry is the pause while there is no daemon.
	minRetry    = time.Second
	maxRetry    = 30 * time.Second
	absentRetry = 10 * time.Second

	maxContainers = 1024
	// maxInspects bounds the concurrent requests about single containers.
	maxInspects = 4
	// maxAnswerBytes bounds one answer of the daemon, a stream of events included.
	maxAnswerBytes = 64 << 20
)

// docker keeps the list of running containers of a Docker daemon, or of another daemon with its API.
type docker struct {
	host        string                        // for messages
	ownsProcess func(pid int, id string) bool // whether a process of this machine is in the container; nil: not to be checked
	daemonAddr  netip.Addr                    // of a daemon on another machine; zero: unknown, or it is on this machine
	rules       *ruleSet
	skips       *skipCounter
	changed     func()
	client      *client.Client
	wake        chan struct{}
	synced      chan struct{} // closed after the first sync, whether it succeeded or not
	// dialErr is why the last attempt to connect failed.
	dialErr   atomic.Pointer[error]
	streaming atomic.Bool
	last      atomic.Pointer[containerList]

	mu          sync.Mutex
	stale       map[string]bool // ids to be inspected again
	allStale    bool            // all of them
	undescribed map[string]bool // ids that the daemon did not describe, "" for those beyond maxContainers
}

// containerList is the running containers. It is immutable.
type containerList struct {
	list []*container // by name
	live bool         // the last sync succeeded
}

func newDocker(host string, known *ruleSet, t *skipCounter, changed func()) (*docker, error) {
	u, err := client.ParseHostURL(host)
	if err != nil || (u.Scheme != "unix" && u.Scheme != "tcp" && u.Scheme != "http") {
		return nil, errors.New("discovery: the container daemon's address is invalid: give --docker-host as unix:///path/to/docker.sock or tcp://HOST:PORT")
	}
	d := &docker{host: u.Scheme + "://" + u.Host, rules: known, skips: t, changed: changed, wake: make(chan struct{}, 1), synced: make(chan struct{}), stale: map[string]bool{}, allStale: true}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if u.Scheme == "unix" {
			network, addr = "unix", u.Host
		}
		conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, network, addr)
		if err != nil {
			if ctx.Err() == nil {
				d.dialErr.Store(&err)
			}
			return nil, err
		}
		d.dialErr.Store(nil)
		return &boundedConn{Conn: conn}, nil
	}
	d.client, err = client.New(client.WithHost(host), client.WithDialContext(dial))
	if err != nil {
		return nil, fmt.Errorf("discovery: the Docker host is invalid: %w", err)
	}
	d.last.Store(&containerList{})
	return d, nil
}

// containers returns the running containers of the last successful sync: containers go on running while the daemon is down.
func (d *docker) containers() []*container { return d.last.Load().list }

// live reports whether the last sync succeeded.
func (d *docker) live() bool { return d.last.Load().live }

// run keeps the list up to date until ctx ends.
func (d *docker) run(ctx context.Context) {
	defer func() { _ = d.client.Close() }()
	var wg sync.WaitGroup
	wg.Go(func() { d.followEvents(ctx) })
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
		case <-d.wake:
			if !sleep(ctx, eventDelay) {
				return
			}
		}
		start := time.Now()
		err := d.sync(ctx)
		first.Do(func() { close(d.synced) })
		if ctx.Err() != nil {
			return
		}
		err = d.explain(err)
		d.skips.recordRound(time.Since(start), err)
		switch {
		case err == nil:
			failures = 0
			wait := resyncWithoutEvents
			if d.streaming.Load() {
				wait = resyncEvery
			}
			timer.Reset(wait)
			continue
		case errors.Is(err, fs.ErrNotExist):
			timer.Reset(absentRetry)
		default:
			timer.Reset(min(minRetry<<min(failures, 10), maxRetry))
			failures++
		}
		d.markStale("")
		if last := d.last.Load(); last.live {
			d.last.Store(&containerList{list: last.list})
			d.changed()
		}
	}
}

// followEvents reads the daemon's events and reconnects when they end.
func (d *docker) followEvents(ctx context.Context) {
	filters := client.Filters{}.Add("type", string(events.ContainerEventType)).Add("event", "start", "die", "destroy", "rename", "health_status", "update")
	wait := minRetry
	for {
		start := time.Now()
		err := d.readEvents(ctx, filters)
		d.streaming.Store(false)
		if why := d.explain(err); why != nil && !errors.Is(why, fs.ErrNotExist) && ctx.Err() == nil {
			d.skips.logger.Debug("events ended", "error", why)
		}
		if time.Since(start) > maxRetry {
			wait = minRetry
		}
		if !sleep(ctx, wait) {
			return
		}
		wait = min(2*wait, maxRetry)
	}
}

// readEvents requests a sync at each event, until the stream ends, and returns why it ended.
func (d *docker) readEvents(ctx context.Context, filters client.Filters) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slow := time.AfterFunc(maxRetry, cancel)
	result := d.client.Events(ctx, client.EventsListOptions{Filters: filters})
	slow.Stop()
	select {
	case err := <-result.Err:
		return err
	default:
	}
	d.streaming.Store(true)
	d.requestSync("") // events before the stream began were missed
	for {
		select {
		case err := <-result.Err:
			return err
		case event := <-result.Messages:
			d.requestSync(event.Actor.ID)
		}
	}
}

// requestSync starts a sync soon that inspects a container again; "" is all of them.
func (d *docker) requestSync(id string) {
	d.markStale(id)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *docker) markStale(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == "" || len(d.stale) > maxContainers {
		d.allStale = true
		return
	}
	d.stale[id] = true
}

// sync lists the running containers and inspects those that are new or stale.
func (d *docker) sync(ctx context.Context) error {
	d.mu.Lock()
	dirty, all := d.stale, d.allStale
	d.stale, d.allStale = map[string]bool{}, false
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
			// next[i] keeps what was known of it: it is still in the list.
			d.mu.Lock()
			defer d.mu.Unlock()
			mute[item.ID] = true
		})
	}
	wg.Wait()
	d.countUndescribed(mute)
	next = slices.DeleteFunc(next, func(c *container) bool { return c == nil || c.ended })
	slices.SortFunc(next, func(a, b *container) int { return strings.Compare(a.name, b.name) })
	d.last.Store(&containerList{list: next, live: true})
	d.changed()
	return nil
}

// countUndescribed counts containers that the daemon did not describe, each once until it does.
func (d *docker) countUndescribed(mute map[string]bool) {
	before := d.undescribed
	d.undescribed = mute
	for id := range mute {
		switch {
		case before[id]:
		case id == "":
			d.skips.add(skipTooMany, "containers_looked_at", maxContainers)
		default:
			d.skips.add(skipNotAnswered, "container", shortID(id))
		}
	}
}

// inspect asks for the description of one container. It returns nil if the daemon does not answer: the other containers are not
// affected.
func (d *docker) inspect(ctx context.Context, id string) *container {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := d.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return &container{id: id, ended: true} // since it was listed
	}
	if err != nil {
		d.markStale(id)
		return nil
	}
	return d.describe(&result.Container)
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
