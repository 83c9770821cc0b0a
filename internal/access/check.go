package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/pidnamespace"
)

// Check tries everything and returns what is missing.
func (c *Checker) Check() (list []Missing) {
	o := &c.opts
	add := func(k *Kind, seen string) {
		if seen != "" {
			list = append(list, Missing{k, seen})
		}
	}
	m := machine{root: o.Root}
	gpus, unread := c.gpus(&m)
	own := pidnamespace.Own(o.Root)
	if o.Processes {
		if !own {
			add(HiddenProcesses, m.hiddenProcesses())
		}
		switch details, files := m.processes(); {
		case details != "":
			add(ProcessDetails, details)
		default:
			add(ProcessFiles, files)
		}
	}
	if own && (gpus || o.Processes && !m.seesKernelThreads()) {
		add(PIDNamespace, "process numbers are those of a container")
	}
	if o.KernelLog != nil && gpus {
		if _, err := o.KernelLog(); err != nil {
			add(KernelLog, err.Error())
		}
	}
	root := m.foreignRoot(own)
	if o.Daemon != nil {
		add(ContainerRuntime, c.daemon(own || root != ""))
	}
	for _, g := range unread {
		if at := slices.IndexFunc(list, func(m Missing) bool { return m.Kind == g.Kind }); at >= 0 {
			list[at].Seen += "; " + g.Seen
			continue
		}
		add(g.Kind, g.Seen)
	}
	add(HostRoot, root)
	add(NetworkNamespace, c.network(own))
	slices.SortStableFunc(list, func(a, b Missing) int { return slices.Index(Kinds, a.Kind) - slices.Index(Kinds, b.Kind) })
	return list
}

// daemon says why containers cannot be asked for; empty: they can, or there is no daemon. In a container, the daemon that started it is on
// the machine.
func (c *Checker) daemon(contained bool) string {
	address, _, err := c.opts.Daemon()
	switch {
	case denied(err):
		return address + ": permission denied"
	case errors.Is(err, fs.ErrNotExist) && contained && (exists("/.dockerenv") || exists("/run/.containerenv")):
		return address + " is not in the worker's container"
	}
	return ""
}

// network says that the worker is in another network namespace than the machine; empty: it is not.
func (c *Checker) network(ownPIDs bool) string {
	switch {
	case c.opts.InHostNetwork != nil && !c.opts.InHostNetwork():
		return "process 1 is in another network namespace"
	case ownPIDs && onlyPairedDevices():
		return "all its network devices are a container's"
	}
	return ""
}

// gpus reports whether GPUs are to be read here, and those of them that cannot be read.
func (c *Checker) gpus(m *machine) (any bool, unread []Missing) {
	if c.opts.GPUs == nil {
		return false, nil
	}
	read, known, ok := c.opts.GPUs()
	if !ok {
		return false, nil
	}
	for vendor, addresses := range m.accelerators() {
		if slices.Contains(read, vendor.name) || len(c.opts.Vendors) > 0 && !slices.Contains(c.opts.Vendors, vendor.name) {
			continue
		}
		// A GPU that was read before is lost, or its driver hangs, unless its files cannot be opened.
		if why := m.whyUnread(vendor, addresses); why.Kind == GPUDevices || !slices.Contains(known, vendor.name) {
			unread = append(unread, why)
		}
	}
	slices.SortFunc(unread, func(a, b Missing) int { return strings.Compare(a.Seen, b.Seen) })
	return len(known)+len(unread) > 0, unread
}

// machine reads files below the machine's root.
type machine struct{ root string }

func (m *machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.root}, elem...)...)
}

// exists reports whether a path of the worker's own file system exists.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// text returns a short file without blanks around it; empty: it cannot be read.
func (m *machine) text(elem ...string) string { return text(m.path(elem...)) }

// text is the same for a path of the worker's own file system.
func text(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// denied reports whether an error means that something is there and may not be read.
func denied(err error) bool { return errors.Is(err, fs.ErrPermission) }

func failed(what string, err error) string {
	return fmt.Sprintf("%s: %v", what, durable.Cause(err))
}
