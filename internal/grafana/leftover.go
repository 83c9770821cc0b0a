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

// pidFile holds the number of the process that runs.
const pidFile = "grafana.pid"

// writePID notes the process, so that one that outlives us where the system can't prevent it is recognised.
func (g *Grafana) writePID(pid int) {
	if err := durable.WriteFile(filepath.Join(g.opts.Dir, pidFile), []byte(strconv.Itoa(pid)+"\n"), 0o640); err != nil {
		g.logger.Warn("grafana's process number was not kept", "error", err)
	}
}

// awaitLeftover waits a little for a Grafana that an earlier run left behind to end, and says what to do when it does not: two
// of them on one database would hurt it.
func (g *Grafana) awaitLeftover(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(g.opts.Dir, pidFile))
	if err != nil {
		return nil //nolint:nilerr // there is none, or nothing is known of it
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return nil //nolint:nilerr // as before
	}
	for end := time.Now().Add(g.timing.leftover); runs(pid, g.opts.Dir); backoff.Sleep(ctx, g.timing.leftover/10) {
		if time.Now().After(end) {
			return fmt.Errorf("a Grafana that an earlier run left behind still uses %s: end process %d", g.opts.Dir, pid)
		}
	}
	return nil
}
