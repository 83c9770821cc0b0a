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

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

const (
	// maxFilesystems bounds the exported filesystems.
	maxFilesystems = 256
	// hangAfter is how long a filesystem may take to say how full it is before it counts as hung.
	hangAfter = time.Second
)

// usageFunc returns the size and the used space of the filesystem at path in bytes.
type usageFunc func(ctx context.Context, path string) (total, used uint64, err error)

func usage(ctx context.Context, path string) (total, used uint64, err error) {
	u, err := disk.UsageWithContext(ctx, path)
	if err != nil {
		return 0, 0, err
	}
	return u.Total, u.Used, nil
}

// filesystems reads the mounted filesystems.
type filesystems struct {
	*rooted

	usage   usageFunc
	patient patience[measured]
	tables  []watched // as gopsutil reads them; the first that can be read is the one
	buf     []byte
	was     []byte // the table that the volumes are from
	volumes []volume
	labels  map[string]exposition.Labels // by mountpoint
}

func newFilesystems(r *rooted, usage usageFunc) *filesystems {
	return &filesystems{
		rooted: r, usage: usage,
		tables: []watched{r.watch("proc", "1", "mountinfo"), r.watch("proc", "self", "mountinfo")},
		labels: map[string]exposition.Labels{},
	}
}

// volume is a device with the places where it is mounted, the best one to show first.
type volume struct {
	device string // or what else tells the volume from others
	mounts []disk.PartitionStat
}

// measured is how full a volume is.
type measured struct {
	mountpoint  string
	total, used uint64
	err         error
}

func (f *filesystems) read(ctx context.Context) ([]sample, error) {
	if err := f.list(ctx); err != nil {
		return nil, err
	}
	var errs []error
	found := make([]measured, 0, len(f.volumes))
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

// list brings the volumes up to date. The table of mounts is long on a machine with many containers and seldom changes: it is
// taken apart only when it did.
func (f *filesystems) list(ctx context.Context) error {
	var table []byte
	for i := range f.tables {
		if text, err := f.tables[i].read(&f.buf); err == nil {
			table = text
			break
		}
	}
	if len(table) > 0 && bytes.Equal(table, f.was) {
		return nil
	}
	parts, err := disk.PartitionsWithContext(f.context(ctx), true)
	if err != nil {
		f.was = nil
		return err
	}
	f.was = append(f.was[:0], table...)
	f.volumes = volumes(parts, superblocks(table))
	clear(f.labels)
	return nil
}

// export turns what was measured into samples, family after family.
func (f *filesystems) export(found []measured, errs []error) ([]sample, error) {
	slices.SortFunc(found, func(a, b measured) int { return cmp.Compare(a.mountpoint, b.mountpoint) })
	if len(found) > maxFilesystems {
		errs = append(errs, fmt.Errorf("there are %d filesystems: the first %d are exported", len(found), maxFilesystems))
		found = found[:maxFilesystems]
	}
	samples := make([]sample, 0, 3*len(found))
	add := func(metric *catalog.Metric, value func(measured) float64) {
		for _, m := range found {
			samples = append(samples, sample{metric, value(m), f.label(m.mountpoint)})
		}
	}
	add(&catalog.WorkerNodeFilesystemTotal, func(m measured) float64 { return float64(m.total) })
	add(&catalog.WorkerNodeFilesystemUsed, func(m measured) float64 { return float64(m.used) })
	add(&catalog.WorkerNodeFilesystemUtilization, func(m measured) float64 { return rate(float64(m.used), float64(m.total)) })
	return samples, joined(errs)
}

func (f *filesystems) label(mountpoint string) exposition.Labels {
	labels, ok := f.labels[mountpoint]
	if !ok {
		labels = exposition.RenderLabels("mountpoint", mountpoint)
		f.labels[mountpoint] = labels
	}
	return labels
}

func (f *filesystems) measure(ctx context.Context, v volume) measured {
	m, ok := f.patient.ask(v.device, func() measured { return f.ask(context.WithoutCancel(ctx), v) })
	if !ok {
		return measured{err: fmt.Errorf("filesystem at %s hangs", v.mounts[0].Mountpoint)}
	}
	return m
}

// ask tries the places where a volume is mounted until one answers. Places that are files, that nobody else may enter or
// that went away meanwhile are none of ours.
func (f *filesystems) ask(ctx context.Context, v volume) measured {
	var last error
	for _, p := range v.mounts {
		path := f.path(p.Mountpoint)
		if bound(p) {
			if info, err := os.Stat(path); err != nil || !info.IsDir() {
				continue
			}
		}
		total, used, err := f.usage(ctx, path)
		switch {
		case err == nil:
			return measured{mountpoint: p.Mountpoint, total: total, used: min(used, total)}
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		default:
			last = fmt.Errorf("filesystem at %s: %w", p.Mountpoint, err)
		}
	}
	return measured{err: last}
}

// volumes picks the mounted filesystems that have space of their own and puts together those that are one device. Of
// several mounts at one place only the last can be seen. Devices that aren't named after what they hold (beegfs_nodev) are
// told apart by the number that numbers has for the mountpoint.
func volumes(parts []disk.PartitionStat, numbers map[string]string) []volume {
	var all []volume
	at, top := map[string]int{}, map[string]int{}
	for i, p := range parts {
		top[p.Mountpoint] = i
	}
	for n, p := range parts {
		if !own(p) || top[p.Mountpoint] != n {
			continue
		}
		device := p.Device
		if !strings.ContainsAny(device, "/:") {
			device += " " + numbers[p.Mountpoint]
		}
		i, ok := at[device]
		if !ok {
			i = len(all)
			at[device] = i
			all = append(all, volume{device: device})
		}
		all[i].mounts = append(all[i].mounts, p)
	}
	for _, v := range all {
		slices.SortStableFunc(v.mounts, func(a, b disk.PartitionStat) int {
			return cmp.Or(
				compareBool(bound(a), bound(b)),
				cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)),
				cmp.Compare(a.Mountpoint, b.Mountpoint),
			)
		})
	}
	return all
}

// superblocks are the device numbers in a mountinfo table by mountpoint: the third and the fifth field of a line.
func superblocks(table []byte) map[string]string {
	const number, mountpoint = 2, 4
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	numbers := map[string]string{}
	for line := range bytes.Lines(table) {
		if fields := strings.Fields(string(line)); len(fields) > mountpoint {
			numbers[unescape.Replace(fields[mountpoint])] = fields[number]
		}
	}
	return numbers
}

// own reports whether a mount is a filesystem with space of its own. The root of a container is one, other overlays are
// other containers'.
func own(p disk.PartitionStat) bool {
	switch p.Fstype {
	case "overlay", "overlayfs", "aufs":
		return p.Mountpoint == "/"
	case "autofs", "bdev", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "cramfs", "debugfs", "devfs",
		"devpts", "devtmpfs", "efivarfs", "erofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse", "fusectl",
		"hugetlbfs", "iso9660", "mqueue",
		"nsfs", "proc", "procfs", "pstore", "ramfs", "resctrl", "rootfs", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs",
		"sysfs", "tmpfs", "tracefs", "udf":
		return false
	}
	return p.Mountpoint != "" && !strings.HasPrefix(p.Mountpoint, "/snap/") && !strings.HasPrefix(p.Mountpoint, "/proc/")
}

// bound reports whether a mount shows a part of a filesystem only.
func bound(p disk.PartitionStat) bool { return slices.Contains(p.Opts, "bind") }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
