package gpu

import (
	"fmt"
	"strconv"
	"strings"
)

// pciAddress brings an address into the form 0000:3b:00.0, whatever the width of its domain and whether it names a function.
// It returns "" for what is no address.
func pciAddress(s string) string {
	parts := strings.Split(s, ":")
	if len(parts) == 2 {
		parts = append([]string{"0"}, parts...)
	}
	if len(parts) != 3 {
		return ""
	}
	device, function, _ := strings.Cut(parts[2], ".")
	if function == "" {
		function = "0"
	}
	domain, err1 := strconv.ParseUint(parts[0], 16, 32)
	bus, err2 := strconv.ParseUint(parts[1], 16, 8)
	slot, err3 := strconv.ParseUint(device, 16, 5)
	fn, err4 := strconv.ParseUint(function, 16, 3)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return ""
	}
	return fmt.Sprintf("%04x:%02x:%02x.%x", domain, bus, slot, fn)
}

// chip is the chip, "0" where it was not told.
func (id *Identity) chip() string {
	if id.Chip == "" {
		return "0"
	}
	return id.Chip
}

// How surely two identities are one GPU's, from not at all on.
const (
	sameNot = iota
	samePlace
	sameAddress
	sameUUID
	sameAll
)

// same says how surely a GPU that was read is a known one: its UUID says it, or its address where one of both has no UUID
// (as a lost GPU), or its index where neither has anything better.
func (id *Identity) same(known *Identity) int {
	if id.Vendor != known.Vendor {
		return sameNot
	}
	chips := id.Chip == "" || known.Chip == "" || id.chip() == known.chip()
	switch {
	case id.UUID != "" && known.UUID != "":
		switch {
		case id.UUID != known.UUID || !chips:
			return sameNot
		case id.Index == known.Index: // some tools give one serial number to several GPUs
			return sameAll
		}
		return sameUUID
	case id.PCI != "" && known.PCI != "":
		if a := pciAddress(id.PCI); chips && (id.PCI == known.PCI || a != "" && a == pciAddress(known.PCI)) {
			return sameAddress
		}
		return sameNot
	case id.Index != "" && id.Index == known.Index && chips:
		return samePlace
	}
	return sameNot
}

// fill takes what id lacks from what was known of the GPU.
func (id *Identity) fill(known Identity) {
	for _, f := range []struct{ to, from *string }{
		{&id.Index, &known.Index},
		{&id.Chip, &known.Chip},
		{&id.Name, &known.Name},
		{&id.UUID, &known.UUID},
		{&id.PCI, &known.PCI},
		{&id.Driver, &known.Driver},
		{&id.Firmware, &known.Firmware},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
}
