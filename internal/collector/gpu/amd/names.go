package amd

import (
	"bytes"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/sysfs"
)

// nameFiles are where libdrm's list of product names is installed.
var nameFiles = []string{"usr/share/libdrm/amdgpu.ids", "opt/amdgpu/share/libdrm/amdgpu.ids"}

// known are the names of GPUs that serve models, as libdrm's list has them, for machines without the list. A key without
// a revision is for all of a device.
var known = map[string]string{
	"738c":    "AMD Instinct MI100",
	"7408":    "AMD Instinct MI250X",
	"740c":    "AMD Instinct MI250X / MI250",
	"740f":    "AMD Instinct MI210",
	"74a0":    "AMD Instinct MI300A",
	"74a1":    "AMD Instinct MI300X",
	"74a2":    "AMD Instinct MI308X",
	"74a5":    "AMD Instinct MI325X",
	"74b5":    "AMD Instinct MI300X VF",
	"75a0":    "AMD Instinct MI350X",
	"75a3":    "AMD Instinct MI355X",
	"7448":    "AMD Radeon Pro W7900",
	"744a":    "AMD Radeon Pro W7900 Dual Slot",
	"744c/c8": "AMD Radeon RX 7900 XTX",
	"744c/cc": "AMD Radeon RX 7900 XT",
	"744c/ce": "AMD Radeon RX 7900 GRE",
	"745e":    "AMD Radeon Pro W7800",
	"747e/c8": "AMD Radeon RX 7800 XT",
	"7550/c0": "AMD Radeon RX 9070 XT",
	"7550/c3": "AMD Radeon RX 9070",
	"7551":    "AMD Radeon AI PRO R9700",
}

// readNames returns libdrm's list of product names, nil if it isn't installed.
func readNames(root *sysfs.Dir) []byte {
	for _, name := range nameFiles {
		if b, err := root.Read(name, nil); err == nil {
			return b
		}
	}
	return nil
}

// listedName looks a GPU up in libdrm's list: "744C,	C8,	AMD Radeon RX 7900 XTX".
func listedName(list []byte, device, revision string) string {
	for line := range bytes.Lines(list) {
		fields := strings.SplitN(string(line), ",", 3)
		if len(fields) == 3 && strings.EqualFold(strings.TrimSpace(fields[0]), device) && strings.EqualFold(strings.TrimSpace(fields[1]), revision) {
			return strings.TrimSpace(fields[2])
		}
	}
	return ""
}

func productName(root *sysfs.Dir, c sysfs.PCIDevice, list []byte) string {
	name := root.Text(c.Path + "/device/product_name")
	for _, other := range []string{listedName(list, c.DeviceID, c.Revision), known[c.DeviceID+"/"+c.Revision], known[c.DeviceID], "AMD " + c.DeviceID} {
		if name == "" {
			name = other
		}
	}
	if len(name) < 3 || !strings.EqualFold(name[:3], "AMD") {
		name = "AMD " + name
	}
	return name
}

func identity(root *sysfs.Dir, c sysfs.PCIDevice, list []byte) gpu.Identity {
	id := gpu.Identity{
		Vendor: vendor, Chip: "0", PCI: c.PCI,
		Name:     productName(root, c, list),
		Firmware: root.Text(c.Path + "/device/vbios_version"),
	}
	if unique := root.Text(c.Path + "/device/unique_id"); strings.Trim(unique, "0") != "" {
		id.UUID = "GPU-" + unique // as ROCm's runtime spells it
	}
	return id
}

// driverVersion is the version of a driver that was built apart from the kernel, else the kernel's; AMD's tools do the same.
func driverVersion(root *sysfs.Dir) string {
	if v := root.Text("sys/module/amdgpu/version"); v != "" {
		return v
	}
	return root.Text("proc/sys/kernel/osrelease")
}
