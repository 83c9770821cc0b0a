package intel

import (
	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

// productName names the GPUs that serve models; /sys has no names.
func productName(device string) string {
	switch device {
	case "56a0":
		return "Intel Arc A770"
	case "56a1":
		return "Intel Arc A750"
	case "56a2":
		return "Intel Arc A580"
	case "56a5":
		return "Intel Arc A380"
	case "56a6":
		return "Intel Arc A310"
	case "56b0":
		return "Intel Arc Pro A30M"
	case "56b1":
		return "Intel Arc Pro A40/A50"
	case "56b2":
		return "Intel Arc Pro A60M"
	case "56b3":
		return "Intel Arc Pro A60"
	case "56c0":
		return "Intel Data Center GPU Flex 170"
	case "56c1":
		return "Intel Data Center GPU Flex 140"
	case "0bd5", "0bd6":
		return "Intel Data Center GPU Max 1550"
	case "0bd9", "0bda":
		return "Intel Data Center GPU Max 1100"
	case "0bdb":
		return "Intel Data Center GPU Max 1100C"
	case "e20b":
		return "Intel Arc B580"
	case "e20c":
		return "Intel Arc B570"
	case "e211":
		return "Intel Arc Pro B60"
	case "e212":
		return "Intel Arc Pro B50"
	case "e223":
		return "Intel Arc Pro B70"
	}
	return "Intel " + device
}

func identity(root *sysfs.Dir, c sysfs.PCIDevice) gpu.Identity {
	id := gpu.Identity{Vendor: vendor, Chip: "0", PCI: c.PCI, Name: productName(c.DeviceID)}
	// A driver that was built apart from the kernel has a version of its own.
	if id.Driver = root.Text("sys/module/" + c.Driver + "/version"); id.Driver == "" {
		id.Driver = root.Text("proc/sys/kernel/osrelease")
	}
	return id
}
