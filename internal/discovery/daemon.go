package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/moby/moby/client"
)

// boundedConn fails when one answer of the daemon is too long.
type boundedConn struct {
	net.Conn

	received atomic.Int64
}

var errTooLong = fmt.Errorf("the answer is longer than %d MiB", maxAnswerBytes>>20)

func (c *boundedConn) Read(b []byte) (int, error) {
	if c.received.Load() > maxAnswerBytes {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func (c *boundedConn) Write(b []byte) (int, error) {
	c.received.Store(0)
	return c.Conn.Write(b)
}

// verifyPIDs makes describe check the process ids of a daemon that is reached over the network: it may run on another machine.
func (d *docker) verifyPIDs(m *machine, fs *procfs) {
	u, err := url.Parse(d.host)
	if err != nil || u.Scheme == "unix" {
		return
	}
	if host := u.Hostname(); !m.isLocal(host) {
		d.daemonAddr, _ = netip.ParseAddr(host) // a host name is not resolved
	}
	var mu sync.Mutex
	d.ownsProcess = func(pid int, id string) bool {
		if pid <= 0 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		text, err := fs.file(pid, "cgroup", maxCgroupBytes)
		return err == nil && containerID(string(text)) == id
	}
}

// deniedError says that the worker may not use the daemon.
type deniedError string

func (e deniedError) Error() string { return string(e) }

func (deniedError) Is(target error) bool { return target == fs.ErrPermission }

// explain turns an error of the client into one with a remedy. It never repeats the daemon's own text, which may hold anything.
func (d *docker) explain(err error) error {
	if err == nil {
		return nil
	}
	dialed := error(nil)
	if p := d.dialErr.Load(); p != nil {
		dialed = *p
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case errors.Is(dialed, fs.ErrNotExist):
		return fs.ErrNotExist
	case isDenied(dialed):
		return deniedError(fmt.Sprintf("docker: no permission to use %s: add the worker's user to group docker or run the worker as root, or turn the search for containers off", d.host))
	case errors.Is(dialed, syscall.ECONNREFUSED):
		return fmt.Errorf("docker: nothing listens at %s: start the daemon, or turn the search for containers off", d.host)
	case dialed != nil:
		return fmt.Errorf("docker: cannot connect to %s: check the Docker host that the worker was given", d.host)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("docker: the daemon at %s did not answer within %s: see its log, or restart it", d.host, callTimeout)
	case errors.Is(err, errTooLong):
		return fmt.Errorf("docker: the answer of %s is longer than %d MiB: is it a Docker daemon?", d.host, maxAnswerBytes>>20)
	case syntax, kind, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("docker: the answer of %s is no list of containers: is it a Docker daemon?", d.host)
	}
	return fmt.Errorf("docker: the daemon at %s refused to list its containers: see its log; it must support version %s of the API or a later one", d.host, client.MinAPIVersion)
}
