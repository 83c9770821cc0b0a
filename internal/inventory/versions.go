package inventory

import (
	"github.com/stackscope/stackscope/internal/base/version"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// maxVersionsTold bounds how many versions of workers the log names, each once.
const maxVersionsTold = 20

// toldVersions are the versions of workers that the log has named because they are too far from the server's.
type toldVersions map[string]struct{}

// versionView is what readers are told of a version.
type versionView struct {
	skew   version.Skew
	labels exposition.Labels
}

// versionViews holds each version once: there are few versions and many workers.
type versionViews struct {
	server string
	known  map[string]versionView
}

func (v *versionViews) of(worker string) versionView {
	view, ok := v.known[worker]
	if !ok {
		view.skew = version.Of(worker, v.server)
		skew := string(view.skew)
		if view.skew == version.None {
			skew = "none"
		}
		view.labels = exposition.RenderLabels("version", orUnknown(worker), "skew", skew)
		v.known[worker] = view
	}
	return view
}

// tellVersion logs that a worker's version is too far from the server's, once for each version: a fleet of thousands of workers with one old
// version is one line. i.mu is held, or nobody else has the inventory yet.
func (i *Inventory) tellVersion(workerVersion, name string, workers int) {
	skew := version.Of(workerVersion, i.opts.Version)
	if _, told := i.versionsTold[workerVersion]; told || !skew.TooFar() || len(i.versionsTold) >= maxVersionsTold {
		return
	}
	i.versionsTold[workerVersion] = struct{}{}
	attrs := []any{"worker_version", workerVersion, "server_version", i.opts.Version, "worker", name, "do", skew.Advice(), "list", "stackscope status"}
	if workers > 1 {
		attrs = append(attrs, "workers", workers)
	}
	i.log.Warn("a worker's version is too far from the server's; it goes on, but may lack metrics or be misunderstood. Other workers of this version are not logged", attrs...)
}

// tellStoredVersions logs the versions of the workers that were stored: after an upgrade of the server they do not register again.
func (i *Inventory) tellStoredVersions() {
	count := make(map[string]int)
	for _, w := range i.workerList {
		count[w.Version]++
	}
	for _, w := range i.workerList {
		if n := count[w.Version]; n > 0 {
			i.tellVersion(w.Version, w.Name, n)
			count[w.Version] = 0
		}
	}
}

// WriteVersions appends catalog.WorkerVersion.
func (i *Inventory) WriteVersions(w *exposition.Writer) {
	v := i.current(staleHeartbeats)
	info := familyWriter{w: w, m: &catalog.WorkerVersion}
	for k := range v.workers {
		info.sample(1, v.workers[k].labels, v.workers[k].version)
	}
}
