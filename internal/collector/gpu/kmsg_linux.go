package gpu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// kernelLogEvery is the pause between two looks at the kernel log.
	kernelLogEvery = time.Second
	// maxRecord bounds a record; the kernel's own bound is 8 KiB.
	maxRecord = 16 << 10
	// maxBatch bounds the events that are handed on at a time.
	maxBatch = 1024
	// maxTries bounds reads in a row that fail for a passing reason.
	maxTries = 1000
)

// kernelLog reads /dev/kmsg without waiting for it: each read gives one record, or nothing for now.
type kernelLog struct {
	root     string
	registry *registry
	logger   *slog.Logger
	report   func(error) // called once it was opened or failed to, and when it fails later; nil: nobody asks

	fd     int
	rest   []byte // of a line that is not whole yet; only files that stand in for the device give those
	skip   bool   // until the end of a line that was too long
	events []Event
}

// run reads the log until ctx ends, from behind the last record that an earlier run has counted. If it cannot be read, only
// what drivers report is counted.
func (k *kernelLog) run(ctx context.Context) {
	path := filepath.Join(k.root, "dev/kmsg")
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		err = &os.PathError{Op: "open", Path: path, Err: err}
	}
	k.tell(err)
	if err != nil {
		k.registry.kernelLogCaughtUp()
		k.logger.Info("the kernel log cannot be read: only errors that drivers report are counted", "error", err)
		return
	}
	k.fd = fd
	defer func() { _ = syscall.Close(fd) }()
	if k.registry.missesBoot() { // nobody knows which records were counted before
		_, _ = syscall.Seek(fd, 0, io.SeekEnd)
	}
	ticker := time.NewTicker(kernelLogEvery)
	defer ticker.Stop()
	buf := make([]byte, maxRecord)
	for first := true; ; first = false {
		if err := k.drain(ctx, buf, first); err != nil {
			k.tell(err)
			k.registry.kernelLogCaughtUp()
			k.logger.Warn("the kernel log can no longer be read: only errors that drivers report are counted", "error", err)
			return
		}
		if first {
			k.registry.kernelLogCaughtUp()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (k *kernelLog) tell(err error) {
	if k.report != nil {
		k.report(err)
	}
}

// drain reads what is there. Only records from before the worker's start need the time that stands in them: the kernel's
// clock for it runs apart from the machine's by and by.
func (k *kernelLog) drain(ctx context.Context, buf []byte, replay bool) error {
	next := k.registry.nextRecord()
	var bootAt time.Time
	hand := func() {
		k.registry.countKernelLog(k.events, next, time.Now())
		k.events = k.events[:0]
	}
	defer hand()
	for tries := 0; ctx.Err() == nil; {
		n, err := syscall.Read(k.fd, buf)
		switch {
		case errors.Is(err, syscall.EAGAIN), err == nil && n <= 0:
			return nil
		case err != nil:
			// EPIPE: records were overwritten. EINVAL: one was longer than the buffer. The next read goes on behind them.
			passing := errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EINVAL)
			if tries++; !passing || tries == maxTries {
				return err
			}
			continue
		}
		tries = 0
		for line := range k.lines(buf[:n]) {
			r, ok := parseRecord(line)
			if !ok || r.seq < next {
				continue
			}
			next = r.seq + 1
			if !r.kernel {
				continue
			}
			e, ok := parseMessage(r.text)
			if !ok {
				continue
			}
			if replay && bootAt.IsZero() {
				bootAt = bootTime(k.root)
			}
			if !bootAt.IsZero() {
				e.At = bootAt.Add(r.at)
			}
			if k.events = append(k.events, e); len(k.events) == maxBatch {
				hand()
			}
		}
	}
	return nil
}

// lines cuts what was read into lines.
func (k *kernelLog) lines(b []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for len(b) > 0 {
			line, rest, found := bytes.Cut(b, []byte{'\n'})
			b = rest
			switch {
			case !found && (k.skip || len(k.rest)+len(line) > maxRecord):
				k.rest, k.skip = nil, true
				return
			case !found:
				k.rest = append(k.rest, line...)
				return
			case k.skip:
				k.skip = false
				continue
			}
			if len(k.rest) > 0 {
				line = append(k.rest, line...)
				k.rest = nil
			}
			if len(line) > 0 && len(line) <= maxRecord && line[0] != ' ' && !yield(string(line)) {
				return
			}
		}
	}
}

// nextRecord is the first record of the kernel log that was not counted.
func (r *registry) nextRecord() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// missesBoot says that the registry has counts but not the boot that they are from, so that records may have been counted by
// an earlier run.
func (r *registry) missesBoot() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.boot == "" && len(r.entries) > 0
}
