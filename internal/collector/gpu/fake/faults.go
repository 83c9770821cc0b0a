package fake

import "time"

// wornSince is when the worn GPU lost its row: long enough ago for the error itself to call for nothing any more.
const wornSince = 26 * time.Hour

// fault is what is the matter with a GPU.
type fault uint8

const (
	healthy fault = iota
	weak          // its memory has an error now and then, each of them corrected
	narrow        // sits badly in its slot: half of the PCIe lanes, and packets that have to be sent again
	hot           // its fan is stuck: it throttles whenever it has worked for a while
	frayed        // errors on one of its links
	worn          // lost a row of its memory and waits for a reset; nothing runs on it until then
	sliced        // cut into slices; a process that no instance owns works on one of them
)

// faults say which GPUs have one. -1: none.
type faults struct{ weak, narrow, hot, frayed, worn, sliced int }

// faultsOf returns the faults of a node: a whole one has them all, a small one has a hot GPU alone.
func faultsOf(devices int) faults {
	if devices < 8 {
		return faults{weak: -1, narrow: -1, hot: min(3, devices-1), frayed: -1, worn: -1, sliced: -1}
	}
	return faults{weak: 1, narrow: 2, hot: 3, frayed: 5, worn: devices - 2, sliced: devices - 1}
}

func (f faults) of(i int) fault {
	switch i {
	case f.weak:
		return weak
	case f.narrow:
		return narrow
	case f.hot:
		return hot
	case f.frayed:
		return frayed
	case f.worn:
		return worn
	case f.sliced:
		return sliced
	}
	return healthy
}

// fit returns how many GPUs instances are put on: all but the worn and the sliced one, which are the last.
func (f faults) fit(devices int) int {
	if f.worn >= 0 {
		return f.worn
	}
	return devices
}
