package grafana

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/base/backoff"
	"github.com/stackscope/stackscope/internal/base/durable"
)

// pidFile holds the process ID of the running Grafana.
const pidFile = "grafana.pid"

// writePID saves the process ID. Where the operating system does not end Grafana with this process, the next run recognises it
// by that.
func (g *Grafana) writePID(pid int) {
	if err := durable.WriteFile(filepath.Join(g.opts.Dir, pidFile), []byte(strconv.Itoa(pid)+"\n"), 0o640); err != nil {
		g.logger.Warn("grafana's process ID cannot be saved", "error", err)
	}
}

// awaitLeftover waits for the Grafana of an earlier run to end, and returns an error with the remedy if it does not: two of them
// would damage the database.
func (g *Grafana) awaitLeftover(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(g.opts.Dir, pidFile))
	if err != nil {
		return nil //nolint:nilerr // without a readable file there is none to wait for
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return nil //nolint:nilerr // a malformed file names no process
	}
	for end := time.Now().Add(g.timing.leftover); runs(pid, g.opts.Dir); backoff.Sleep(ctx, g.timing.leftover/10) {
		if time.Now().After(end) {
			return fmt.Errorf("the Grafana of an earlier run still uses %s: stop process %d", g.opts.Dir, pid)
		}
	}
	return nil
}
