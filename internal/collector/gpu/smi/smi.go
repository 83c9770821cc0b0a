// Package smi runs the vendors' command-line tools: within a deadline, with bounded output, and with a reason when one
// cannot be used. It does not read their output.
package smi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

const (
	// Timeout bounds one run. Tools of several vendors take some seconds when their driver is busy.
	Timeout = 10 * time.Second
	// Interval is the shortest pause between two runs: starting a tool costs the machine more than reading a file.
	Interval = 5 * time.Second
	// maxOutput bounds what is read of one run.
	maxOutput = 4 << 20
	// waitDelay is how long a killed tool's children may keep its output open.
	waitDelay = time.Second
)

// Runner runs a tool and returns what it printed to its standard output. Tests replace Run by one that reads files.
type Runner func(ctx context.Context, name string, args ...string) ([]byte, error)

// Run runs name, which is looked up in PATH and in the places where vendors install their tools. A tool that is not there is
// gpu.ErrAbsent. A tool that does not end within Timeout is killed, unless the driver keeps it from dying.
func Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := find(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // the caller's constant, found where tools are installed
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "LANG=C", "TERM=dumb", "COLUMNS=400")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	var stdout, stderr limited
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	switch {
	case ctx.Err() != nil && context.Cause(ctx) == context.DeadlineExceeded:
		return nil, fmt.Errorf("%s did not end within %s", name, Timeout)
	case stdout.over:
		return nil, fmt.Errorf("%s printed more than %d bytes", name, maxOutput)
	case err != nil:
		return nil, fmt.Errorf("%s: %w%s", strings.Join(append([]string{name}, args...), " "), err, said(stderr.buf.Bytes(), stdout.buf.Bytes()))
	}
	return stdout.buf.Bytes(), nil
}

// places are where vendors put their tools outside PATH.
var places = []string{
	"/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/opt/bin",
	"/usr/local/corex/bin", "/opt/hyhal/bin", "/opt/dtk/bin", "/opt/mxdriver/bin", "/opt/maca/bin", "/opt/mxn100/bin",
	"/usr/local/neuware/bin", "/usr/local/Ascend/driver/tools", "/usr/local/PPU_SDK/bin", "/usr/local/musa/bin",
}

func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range places {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, gpu.ErrAbsent)
}

// said is the first line of what a tool printed, for an error text.
func said(outputs ...[]byte) string {
	const most = 200
	for _, out := range outputs {
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); line != "" {
				return ": " + strings.ToValidUTF8(line[:min(len(line), most)], "")
			}
		}
	}
	return ""
}

// limited keeps the first maxOutput bytes. It has no other method than Write, or io.Copy would go around it.
type limited struct {
	buf  bytes.Buffer
	over bool
}

var errFull = errors.New("too much output")

func (l *limited) Write(p []byte) (int, error) {
	if l.buf.Len()+len(p) > maxOutput {
		l.over = true
		return 0, errFull
	}
	return l.buf.Write(p)
}
