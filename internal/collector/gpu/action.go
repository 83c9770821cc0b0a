package gpu

import "slices"

// rank orders actions from the mildest to the most drastic.
func (a Action) rank() int {
	return slices.Index([]Action{ActionNone, ActionRestartApp, ActionReset, ActionDrain, ActionReboot, ActionReplace}, a)
}

// Reasons of recommended actions besides errors, which are named by their kind and code.
const (
	reasonDriver      = "driver recommends it"
	reasonLost        = "card is lost"
	reasonStillLost   = "card is lost since before the last boot"
	reasonRemapFailed = "a memory row could not be remapped"
	reasonRemapWaits  = "memory rows wait to be remapped"
	reasonUncorrected = "uncorrected memory errors"
)

// findings are the facts from which the recommended action of a GPU follows.
type findings struct {
	device    *Device // nil if it cannot be read
	lost      bool
	stillLost bool         // a reboot did not bring it back
	events    []eventTotal // recent ones
}

// action returns the most drastic action that any finding asks for, and the first finding that asks for it. A GPU without
// findings gets ActionNone.
func (f findings) action() (Action, string) {
	action, reason := ActionNone, ""
	raise := func(to Action, because string) {
		if to.rank() > action.rank() {
			action, reason = to, because
		}
	}
	switch {
	case f.stillLost:
		raise(ActionReplace, reasonStillLost)
	case f.lost:
		raise(ActionReboot, reasonLost)
	}
	if d := f.device; d != nil {
		if v, _ := d.RowRemapFailed.Get(); v == 1 {
			raise(ActionReplace, reasonRemapFailed)
		}
		if v, _ := d.RowRemapPending.Get(); v == 1 {
			raise(ActionReset, reasonRemapWaits)
		}
		for _, e := range d.ECC {
			if e.Kind == Uncorrected && e.Count > 0 {
				raise(ActionReset, reasonUncorrected)
			}
		}
	}
	for _, e := range f.events {
		_, to := classify(e.kind, e.code)
		raise(to, e.kind+" "+e.code)
	}
	if f.device != nil {
		raise(f.device.Action, reasonDriver)
	}
	return action, reason
}
