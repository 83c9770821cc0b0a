package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// maxFilesystems bounds the exported filesystems.
	maxFilesystems = 256
	// hangAfter is how long a filesystem may take to report its use before it counts as hung.
	hangAfter = time.Second
)

// usageFunc returns the size and the used space of the filesystem at path in bytes.
type usageFunc func(ctx context.Context, path string) (total, used uint64, err error)

// filesystemReader reads the size and use of the mounted filesystems.
type filesystemReader struct {
	*hostFS

	usage   usageFunc
	hangs   hangGuard[filesystemUsage]
	tables  []kernelFile // the first one that can be read is used
	buf     []byte
	was     []byte // the text from which volumes was made
	skipped error  // about lines of that table
	volumes []volume
	labels  map[string]exposition.Labels // by mountpoint
}

func newFilesystemReader(r *hostFS, usage usageFunc) *filesystemReader {
	return &filesystemReader{
		hostFS: r, usage: usage,
		tables: []kernelFile{r.kernelFile("proc", "1", "mountinfo"), r.kernelFile("proc", "self", "mountinfo")},
		labels: map[string]exposition.Labels{},
	}
}

// volume is a device with the places where it is mounted, the best one to show first.
type volume struct {
	device string // or another text that identifies the volume
	mounts []mount
}

// filesystemUsage is how full a volume is.
type filesystemUsage struct {
	mountpoint  string
	total, used uint64
	err         error
}

func (f *filesystemReader) read(ctx context.Context) ([]sample, error) {
	if err := f.list(); err != nil {
		return nil, err
	}
	var errs []error
	if f.skipped != nil {
		errs = append(errs, f.skipped)
	}
	found := make([]filesystemUsage, 0, len(f.volumes))
	for _, v := range f.volumes {
		m := f.measure(ctx, v)
		switch {
		case m.err != nil:
			errs = append(errs, m.err)
		case m.total > 0:
			found = append(found, m)
		}
	}
	return f.export(found, errs)
}

// list updates the volumes. The table of mounts is long on a machine with many containers and seldom changes: it is parsed only
// when its text has changed.
func (f *filesystemReader) list() error {
	table, path, err := firstTable(f.tables, &f.buf)
	if err != nil {
		return err
	}
	if len(table) > 0 && bytes.Equal(table, f.was) {
		return nil
	}
	mounts, err := f.parseMounts(table)
	f.skipped = nil
	if err != nil {
		f.skipped = fmt.Errorf("%s: %w", path, err)
	}
	f.was = append(f.was[:0], table...)
	f.volumes = volumes(mounts)
	clear(f.labels)
	return nil
}

// export turns what was measured into samples, metric after metric.
func (f *filesystemReader) export(found []filesystemUsage, errs []error) ([]sample, error) {
	slices.SortFunc(found, func(a, b filesystemUsage) int { return cmp.Compare(a.mountpoint, b.mountpoint) })
	if len(found) > maxFilesystems {
		errs = append(errs, fmt.Errorf("there are %d filesystems: the first %d are exported", len(found), maxFilesystems))
		found = found[:maxFilesystems]
	}
	samples := make([]sample, 0, 3*len(found))
	add := func(metric *catalog.Metric, value func(filesystemUsage) float64) {
		for _, m := range found {
			samples = append(samples, sample{metric, value(m), f.label(m.mountpoint)})
		}
	}
	add(&catalog.WorkerNodeFilesystemTotal, func(m filesystemUsage) float64 { return float64(m.total) })
	add(&catalog.WorkerNodeFilesystemUsed, func(m filesystemUsage) float64 { return float64(m.used) })
	add(&catalog.WorkerNodeFilesystemUtilization, func(m filesystemUsage) float64 { return percent(float64(m.used), float64(m.total)) })
	return samples, joinErrors(errs)
}

func (f *filesystemReader) label(mountpoint string) exposition.Labels {
	labels, ok := f.labels[mountpoint]
	if !ok {
		labels = exposition.RenderLabels("mountpoint", mountpoint)
		f.labels[mountpoint] = labels
	}
	return labels
}

func (f *filesystemReader) measure(ctx context.Context, v volume) filesystemUsage {
	m, ok := f.hangs.call(v.device, func() filesystemUsage { return f.ask(context.WithoutCancel(ctx), v) })
	if !ok {
		return filesystemUsage{err: fmt.Errorf("filesystem at %s hangs", v.mounts[0].mountpoint)}
	}
	return m
}

// ask calls usage for the mountpoints of a volume until one succeeds. It skips bind mounts of files, and mountpoints that are gone
// or that the worker may not read.
func (f *filesystemReader) ask(ctx context.Context, v volume) filesystemUsage {
	var last error
	for _, at := range v.mounts {
		path := f.path(at.mountpoint)
		if at.bind {
			if info, err := os.Stat(path); err != nil || !info.IsDir() {
				continue
			}
		}
		total, used, err := f.usage(ctx, path)
		switch {
		case err == nil:
			return filesystemUsage{mountpoint: at.mountpoint, total: total, used: min(used, total)}
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		default:
			last = fmt.Errorf("filesystem at %s: %w", at.mountpoint, err)
		}
	}
	return filesystemUsage{err: last}
}

// volumes selects the mounted filesystems that have space of their own and groups them by device. Of several mounts at one
// mountpoint only the last is visible. Filesystems whose source is not a path or an export, such as beegfs_nodev, are
// distinguished by their device number.
func volumes(mounts []mount) []volume {
	var all []volume
	at, top := map[string]int{}, map[string]int{}
	for i, m := range mounts {
		top[m.mountpoint] = i
	}
	for n, m := range mounts {
		if !hasOwnSpace(m) || top[m.mountpoint] != n {
			continue
		}
		device := m.device
		if !strings.ContainsAny(device, "/:") {
			device += " " + m.number
		}
		i, ok := at[device]
		if !ok {
			i = len(all)
			at[device] = i
			all = append(all, volume{device: device})
		}
		all[i].mounts = append(all[i].mounts, m)
	}
	for _, v := range all {
		slices.SortStableFunc(v.mounts, func(a, b mount) int {
			return cmp.Or(
				cmp.Compare(boolValue(a.bind), boolValue(b.bind)),
				cmp.Compare(len(a.mountpoint), len(b.mountpoint)),
				cmp.Compare(a.mountpoint, b.mountpoint),
			)
		})
	}
	return all
}

// hasOwnSpace reports whether a mount is a filesystem with space of its own. The root of a container is one, other overlays are
// other containers'.
func hasOwnSpace(m mount) bool {
	switch m.fstype {
	case "overlay", "overlayfs", "aufs":
		return m.mountpoint == "/"
	case "autofs", "bdev", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "cramfs", "debugfs", "devfs",
		"devpts", "devtmpfs", "efivarfs", "erofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse", "fusectl",
		"hugetlbfs", "iso9660", "mqueue",
		"nsfs", "proc", "procfs", "pstore", "ramfs", "resctrl", "rootfs", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs",
		"sysfs", "tmpfs", "tracefs", "udf":
		return false
	}
	return !strings.HasPrefix(m.mountpoint, "/snap/") && !strings.HasPrefix(m.mountpoint, "/proc/")
}
