// Package smi runs the vendors' command-line tools with a deadline and with bounded output. It parses the numbers and tables that the
// tools print; the vendors' packages interpret them.
package smi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	// Timeout bounds one run. Tools of several vendors take some seconds when their driver is busy.
	Timeout = 10 * time.Second
	// Interval is the shortest pause between two runs: starting a tool costs the machine more than reading a file.
	Interval = 5 * time.Second
	// Budget bounds all runs of one reading together. The sampler takes a backend that needs longer for hung.
	Budget = 12 * time.Second
	// maxOutput bounds what is read of one run.
	maxOutput = 4 << 20
	// maxErrors bounds what is kept of a tool's standard error. Errors show only its first line.
	maxErrors = 4 << 10
	// waitDelay is how long a killed or ended tool's children may keep its output open.
	waitDelay = time.Second
)

// Runner runs a tool and returns its standard output. Tests replace Run by one that reads files.
type Runner func(ctx context.Context, name string, args ...string) ([]byte, error)

// Run runs the tool name. It searches PATH and the folders in which vendors install their tools, and returns gpu.ErrAbsent if there is
// no such tool. It kills a tool that does not end within Timeout, with the processes that it started; while the driver keeps the tool
// from ending, Run does not return. If a tool fails, Run returns its output beside the error.
func Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	return runner{Timeout, waitDelay}.run(ctx, name, args...)
}

// runner holds the timeouts, which tests shorten.
type runner struct{ timeout, waitDelay time.Duration }

var (
	errSlow = errors.New("it did not end")
	errFull = errors.New("it printed too much")
)

func (r runner) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, listed, err := find(name)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeoutCause(ctx, r.timeout, errSlow)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // the caller's constant, found where tools are installed
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "LANG=C", "TERM=dumb", "COLUMNS=400")
	if !listed {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libraries(path, os.Getenv("LD_LIBRARY_PATH")))
	}
	killWhole(cmd)
	cmd.WaitDelay = r.waitDelay
	stdout, stderr := first{most: maxOutput, full: func() { cancel(errFull) }}, first{most: maxErrors}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr

	err = cmd.Run()
	call := strings.Join(append([]string{name}, args...), " ")
	switch cause := context.Cause(ctx); {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cause == nil:
		// ErrWaitDelay: the tool has ended, but a process that it started keeps its output open.
		if !stdout.over {
			return stdout.buf.Bytes(), nil
		}
		fallthrough
	case errors.Is(cause, errFull):
		return nil, fmt.Errorf("%s: killed, it printed more than %d bytes", call, maxOutput)
	case errors.Is(cause, errSlow):
		return nil, fmt.Errorf("%s: killed, it did not end within %s: %w", call, r.timeout, gpu.ErrHangs)
	case cause != nil:
		return nil, fmt.Errorf("%s: %w", call, cause)
	default:
		return stdout.buf.Bytes(), fmt.Errorf("%s: %w%s", call, err, said(stderr.buf.Bytes(), stdout.buf.Bytes()))
	}
}

// places are the folders outside PATH in which vendors install their tools.
func places() []string {
	return []string{
		"/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/opt/bin",
		"/usr/local/corex/bin", "/usr/local/corex/sbin", "/opt/hyhal/bin", "/usr/local/hyhal/bin", "/opt/dtk/bin", "/opt/mxdriver/bin", "/opt/maca/bin", "/opt/mxn100/bin",
		"/usr/local/neuware/bin", "/usr/local/Ascend/driver/tools", "/usr/local/PPU_SDK/bin", "/usr/local/PPU_SDK/ppu-smi/bin", "/usr/local/musa/bin",
	}
}

// find returns a tool's path and whether PATH lists it.
func find(name string) (path string, listed bool, err error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true, nil
	}
	for _, dir := range places() {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, false, nil
		}
	}
	return "", false, fmt.Errorf("%s: %w", name, gpu.ErrAbsent)
}

// libraries returns LD_LIBRARY_PATH for a tool outside PATH: the lib folders beside it. In a shell the vendor's environment script
// sets it, which a service does not read.
func libraries(tool, inherited string) string {
	home := filepath.Dir(filepath.Dir(tool))
	dirs := []string{filepath.Join(home, "lib64"), filepath.Join(home, "lib")}
	if inherited != "" {
		dirs = append(dirs, inherited)
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// said returns the first line that a tool printed, for an error.
func said(outputs ...[]byte) string {
	for _, out := range outputs {
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); line != "" {
				return ": " + excerpt(line)
			}
		}
	}
	return ""
}

// excerpt bounds the part of a tool's output that an error shows.
func excerpt(s string) string {
	const most = 200
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// first keeps the first bytes that are written to it, calls full and drops the rest. It must not have the method ReadFrom, which io.Copy
// would use instead of Write.
type first struct {
	buf  bytes.Buffer
	most int
	over bool
	full func()
}

func (f *first) Write(p []byte) (int, error) {
	f.buf.Write(p[:min(len(p), f.most-f.buf.Len())])
	if f.buf.Len() == f.most && !f.over {
		f.over = true
		if f.full != nil {
			f.full()
		}
	}
	return len(p), nil
}
