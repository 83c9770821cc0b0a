package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxPCI bounds the PCI devices that a check looks at.
const maxPCI = 8192

// vendor is a vendor whose GPUs are read by a library or a tool that opens device files. Those of AMD and Intel are read from /sys alone.
type vendor struct {
	name, id string
	// driver is the kernel driver that is needed; empty: any. A GPU without it, such as one with nouveau, is not for the worker.
	driver string
	// devices are patterns of the device files in /dev; empty: not known.
	devices []string
}

// vendors by their PCI ids, which recordings of their tools and GPUStack's runtime (gpustack_runtime/detector) have.
var vendors = []*vendor{
	{name: "nvidia", id: "0x10de", driver: "nvidia", devices: []string{"nvidiactl", "nvidia[0-9]*"}},
	{name: "ascend", id: "0x19e5", devices: []string{"davinci_manager", "davinci[0-9]*"}},
	{name: "hygon", id: "0x1d94", devices: []string{"kfd"}},
	{name: "metax", id: "0x9999", devices: []string{"mxcd"}},
	{name: "mthreads", id: "0x1ed5"},
	{name: "iluvatar", id: "0x1e3e", devices: []string{"iluvatar[0-9]*"}},
	{name: "cambricon", id: "0xcabc", devices: []string{"cambricon_ctl", "cambricon_dev[0-9]*"}},
	{name: "thead", id: "0x1ded", devices: []string{"alixpu*"}},
}

// accelerators returns the PCI addresses of GPUs and NPUs with a driver, by vendor.
func (m *machine) accelerators() map[*vendor][]string {
	found := map[*vendor][]string{}
	const devices = "sys/bus/pci/devices"
	dir, err := os.Open(m.path(devices))
	if err != nil {
		return found
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(maxPCI)
	for _, name := range names {
		if !isAccelerator(m.text(devices, name, "class")) {
			continue
		}
		id := m.text(devices, name, "vendor")
		for _, v := range vendors {
			if v.id != id {
				continue
			}
			driver, err := os.Readlink(m.path(devices, name, "driver"))
			driver = filepath.Base(driver)
			if err != nil || driver == "vfio-pci" || v.driver != "" && driver != v.driver {
				continue
			}
			found[v] = append(found[v], name)
		}
	}
	return found
}

// isAccelerator reports whether a PCI class (0x030200) is a display controller, a processing accelerator or a co-processor.
func isAccelerator(class string) bool {
	return strings.HasPrefix(class, "0x03") || strings.HasPrefix(class, "0x12") || strings.HasPrefix(class, "0x0b40")
}

// whyUnread tells device files that are not there or may not be opened from a library or tool that does not work.
func (m *machine) whyUnread(v *vendor, addresses []string) Missing {
	what := fmt.Sprintf("%d of %s, none is read", len(addresses), v.name)
	for _, pattern := range v.devices {
		files, _ := filepath.Glob("/dev/" + pattern) // the library and the tools look there, whatever the root is
		if m.root != "/" && len(files) == 0 {
			files, _ = filepath.Glob(m.path("dev", pattern))
			if len(files) > 0 {
				return Missing{GPUDevices, what + ": /dev/" + pattern + " is not in the worker's container"}
			}
		}
		if len(files) == 0 {
			return Missing{GPUDevices, what + ": there is no /dev/" + pattern}
		}
		for _, file := range files {
			if err := mayUse(file); denied(err) || errors.Is(err, fs.ErrNotExist) {
				return Missing{GPUDevices, what + ": " + failed(file, err)}
			}
		}
	}
	return Missing{GPUDriver, what}
}
