package prom

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stackscope/stackscope/internal/base/logging"
)

const (
	// maxRepairs bounds how often damage is moved aside and opening is tried again within one start.
	maxRepairs = 8
	// reopenInterval is how long to wait after a failure that may pass by itself: a full disk, a missing right.
	reopenInterval = 15 * time.Second
)

// outage says why the data can't be opened.
type outage struct {
	dir    string
	cause  *dirError // nil: the faults are
	faults []fault
	passes bool // may pass without a restart
	repair bool // the repair was allowed, and did not help
}

func (o *outage) Error() string {
	if o.cause != nil {
		return o.cause.err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "prometheus: the data in %s can't be opened", o.dir)
	for i, f := range o.faults {
		b.WriteString([]string{": ", "; "}[min(i, 1)] + f.String())
	}
	return b.String()
}

// way says what to do about it.
func (o *outage) way() string {
	switch {
	case o.cause != nil:
		return fmt.Sprintf("%s; it is tried again every %v", o.cause.do, reopenInterval)
	case o.passes:
		return fmt.Sprintf("put that right; it is tried again every %v", reopenInterval)
	case o.repair:
		return "move the directory away or restore it from a backup, and start the server again; the repair did not help"
	}
	return "restore from a backup what is damaged, or start the server with --builtin-prometheus-repair, which moves it to " +
		filepath.Join(o.dir, "damaged-TIME") + " and goes on without it; nothing has been changed"
}

// open opens the data, as soon as that is possible. It returns nil when ctx ended before.
func (p *Prometheus) open(ctx context.Context) *core {
	for told := ""; ; {
		c, out := p.tryOpen()
		if out == nil {
			p.health.opened()
			return c
		}
		if text := out.Error(); text != told {
			told = text
			p.opts.Logger.Error("the embedded Prometheus is out of service; everything else goes on", logging.KeyComponent, "prometheus",
				"error", out, "do", out.way())
		}
		p.health.closed(out)
		if !out.passes {
			<-ctx.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reopenInterval):
		}
	}
}

// tryOpen takes the directory, where New could not, and opens the data in it, after repairs where they are allowed.
func (p *Prometheus) tryOpen() (*core, *outage) {
	if p.lock == nil {
		lock, err := lockDir(p.opts.Dir)
		if err != nil {
			return nil, &outage{dir: p.opts.Dir, cause: err, passes: true}
		}
		p.lock = lock
	}
	into := newAside(p.opts.Dir, time.Now(), p.logger)
	for round := 0; ; round++ {
		faults := inspect(p.opts.Dir, false)
		if len(faults) == 0 {
			faults = p.space.faults()
		}
		if len(faults) == 0 {
			c, err := p.openOnce()
			if err == nil {
				return c, nil
			}
			faults = diagnose(p.opts.Dir, err)
		}
		out := &outage{dir: p.opts.Dir, faults: faults, repair: p.opts.Repair}
		for _, f := range faults {
			out.passes = out.passes || surroundingsFail(f.err)
		}
		if out.passes || !p.opts.Repair || round == maxRepairs {
			return nil, out
		}
		for _, f := range faults {
			if f.mend == nil {
				return nil, out
			}
			p.logger.Warn("data of Prometheus is damaged", "path", f.path, "error", f.err, "lost", f.lost)
			if err := f.mend(into); err != nil {
				out.faults = append(out.faults, fault{path: f.path, what: "repair of", err: err})
				return nil, out
			}
		}
	}
}

// openOnce opens the data and leaves no new file behind where it fails. Each try has a registry of its own, because what a failed
// one registered stays.
func (p *Prometheus) openOnce() (c *core, err error) {
	wal := filepath.Join(p.opts.Dir, "wal")
	before, _, _ := numbered(wal)
	err = caught(func() (err error) {
		c, err = openCore(p.opts, p.logger, prometheus.NewRegistry(), p.stats, p.around)
		return err
	})
	if err == nil {
		return c, nil
	}
	if c == nil && errors.Is(err, errPanic) {
		err = &dataError{err}
	}
	after, _, _ := numbered(wal)
	for n, path := range after {
		if info, statErr := os.Stat(path); before[n] == "" && statErr == nil && info.Size() == 0 {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return nil, err
}

// dataError is one of the TSDB about what it reads, as opposed to one of what is built on top of it.
type dataError struct{ err error }

func (e *dataError) Error() string { return e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }

var errPanic = errors.New("reading it failed")

// caught turns a panic, and an access to a mapped file that the disk doesn't give back, into an error.
func caught(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%w: %v", errPanic, e)
		}
	}()
	return do()
}

// diagnose finds out what in the directory made opening fail. Where that can't be found, it is what lies in no block yet.
func diagnose(dir string, err error) []fault {
	if surroundingsFail(err) {
		return []fault{{path: dir, what: "data directory", err: err}}
	}
	if faults := inspect(dir, true); len(faults) > 0 {
		return faults
	}
	if _, ok := errors.AsType[*dataError](err); !ok {
		return []fault{{path: dir, what: "data directory", err: err}}
	}
	for _, part := range []struct{ name, what, lost string }{
		{"chunks_head", "chunks of the head", lostNothing},
		{"wbl", "log of samples out of order", "samples out of order in no block yet"},
		{"wal", "write-ahead log", "all samples that are in no block yet"},
	} {
		path := filepath.Join(dir, part.name)
		if entries, readErr := os.ReadDir(path); readErr == nil && len(entries) > 0 {
			return []fault{fault{path: path, what: part.what, err: err, lost: part.lost}.moved()}
		}
	}
	return []fault{{path: dir, what: "data directory", err: err}}
}

// surroundingsFail tells a failure of the disk, the system or the rights from damage in the data.
func surroundingsFail(err error) bool {
	for _, e := range []error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EBUSY,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
