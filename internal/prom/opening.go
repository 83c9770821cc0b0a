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
	// maxRepairs bounds the rounds of repair and retry within one start.
	maxRepairs = 8
	// reopenInterval is the time between retries after a transient failure: a full disk, a missing permission.
	reopenInterval = 15 * time.Second
)

// outage says why the data can't be opened.
type outage struct {
	dir       string
	cause     *dirError // nil: the faults are the cause
	faults    []fault
	transient bool // may end without a restart, so opening is retried
	repaired  bool // --builtin-prometheus-repair was set and did not help
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

// remedy says what the operator can do.
func (o *outage) remedy() string {
	switch {
	case o.cause != nil:
		return fmt.Sprintf("%s; the server retries every %v", o.cause.remedy, reopenInterval)
	case o.transient:
		return fmt.Sprintf("fix this; the server retries every %v", reopenInterval)
	case o.repaired:
		return "the repair did not help: move the directory away or restore it from a backup, and start the server again"
	}
	return "restore the damaged data from a backup, or start the server with --builtin-prometheus-repair, which moves it to " +
		filepath.Join(o.dir, "damaged-TIME") + " and continues without it; nothing has been changed"
}

// open opens the data and retries after transient failures. It returns nil if ctx ends before.
func (p *Prometheus) open(ctx context.Context) *core {
	for logged := ""; ; {
		c, out := p.tryOpen()
		if out == nil {
			p.health.clearOutage()
			return c
		}
		if text := out.Error(); text != logged {
			logged = text
			p.opts.Logger.Error("the embedded Prometheus is out of service; everything else still works", logging.KeyComponent, "prometheus",
				"error", out, "do", out.remedy())
		}
		p.health.setOutage(out)
		if !out.transient {
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

// tryOpen locks the directory if New could not, and opens the data in it. It repairs damage if Options.Repair is set.
func (p *Prometheus) tryOpen() (*core, *outage) {
	if p.lock == nil {
		lock, err := lockDir(p.opts.Dir)
		if err != nil {
			return nil, &outage{dir: p.opts.Dir, cause: err, transient: true}
		}
		p.lock = lock
	}
	p.removeSnapshot()
	quarantine := newQuarantine(p.opts.Dir, time.Now(), p.logger)
	for round := 0; ; round++ {
		faults := inspect(p.opts.Dir, false)
		if len(faults) == 0 {
			faults = p.disk.faults()
		}
		if len(faults) == 0 {
			c, err := p.openOnce()
			if err == nil {
				return c, nil
			}
			faults = diagnose(p.opts.Dir, err)
		}
		out := &outage{dir: p.opts.Dir, faults: faults, repaired: p.opts.Repair}
		for _, f := range faults {
			out.transient = out.transient || isEnvironmentError(f.err)
		}
		if out.transient || !p.opts.Repair || round == maxRepairs {
			return nil, out
		}
		for _, f := range faults {
			if f.repair == nil {
				return nil, out
			}
			p.logger.Warn("Prometheus' data is damaged", "path", f.path, "error", f.err, "lost", f.lost)
			if err := f.repair(quarantine); err != nil {
				out.faults = append(out.faults, fault{path: f.path, what: "repair of", err: err})
				return nil, out
			}
		}
	}
}

// openOnce opens the data. If that fails, it removes the empty WAL segments that the attempt has created. Each attempt has a registry of
// its own, because a failed one leaves its metrics registered.
func (p *Prometheus) openOnce() (c *core, err error) {
	wal := filepath.Join(p.opts.Dir, "wal")
	before, _, _ := numberedFiles(wal)
	err = recovered(func() (err error) {
		c, err = openCore(p.opts, p.logger, prometheus.NewRegistry(), p.stats, p.shared)
		return err
	})
	if err == nil {
		return c, nil
	}
	if c == nil && errors.Is(err, errPanic) {
		err = &dataError{err}
	}
	after, _, _ := numberedFiles(wal)
	for n, path := range after {
		if info, statErr := os.Stat(path); before[n] == "" && statErr == nil && info.Size() == 0 {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return nil, err
}

// dataError is an error of tsdb.Open, as opposed to one of the parts on top of the TSDB.
type dataError struct{ err error }

func (e *dataError) Error() string { return e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }

var errPanic = errors.New("reading it failed")

// recovered runs do and turns a panic, including an I/O error of a mapped file, into an error.
func recovered(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%w: %v", errPanic, e)
		}
	}()
	return do()
}

// diagnose returns the faults that made opening fail. If none is found, it blames the data that is in no block yet.
func diagnose(dir string, err error) []fault {
	if isEnvironmentError(err) {
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
			return []fault{fault{path: path, what: part.what, err: err, lost: part.lost}.repairByMove()}
		}
	}
	return []fault{{path: dir, what: "data directory", err: err}}
}

// isEnvironmentError reports whether err comes from the disk, the system or permissions, and not from damaged data.
func isEnvironmentError(err error) bool {
	for _, e := range []error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EBUSY,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
