package sysfs

import (
	"fmt"
	"slices"
	"strings"
)

// maxSensors bounds the sensors of a kind that are looked for.
const maxSensors = 32

// Hwmon opens the directory of a GPU's sensors whose name attribute is name, nil if it has none. On GPUs of several tiles
// each tile has one too, with another name.
func Hwmon(device *Dir, name string) *Dir {
	for _, entry := range device.Names("hwmon") {
		if !strings.HasPrefix(entry, "hwmon") || device.Text("hwmon/"+entry+"/name") != name {
			continue
		}
		if d, err := device.Sub("hwmon/" + entry); err == nil {
			return d
		}
	}
	return nil
}

// Sensor returns the attribute of the sensor of a kind (temp, power, freq, energy) that has one of the labels, the first label
// first: temp2_input for ("temp", "input", "junction"). It is nil if there is none.
func Sensor(hwmon *Dir, kind, attribute string, labels ...string) *Attr {
	if hwmon == nil {
		return nil
	}
	names := hwmon.Names(".")
	for _, label := range labels {
		for i := 1; i <= maxSensors; i++ {
			l := fmt.Sprintf("%s%d_label", kind, i)
			if !slices.Contains(names, l) || hwmon.Text(l) != label {
				continue
			}
			if a := fmt.Sprintf("%s%d_%s", kind, i, attribute); slices.Contains(names, a) {
				return hwmon.Attr(a)
			}
		}
	}
	return nil
}

// First returns the first of the attributes that is there, nil if none is.
func First(d *Dir, names ...string) *Attr {
	if d == nil {
		return nil
	}
	for _, name := range names {
		if d.Has(name) {
			return d.Attr(name)
		}
	}
	return nil
}
