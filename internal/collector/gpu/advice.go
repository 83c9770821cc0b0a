package gpu

import "slices"

// weight orders actions from the mildest on.
func (a Action) weight() int {
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

// advice is what speaks for doing something about a card.
type advice struct {
	device    *Device // nil if it cannot be read
	lost      bool
	stillLost bool         // a reboot did not bring it back
	events    []eventTotal // of late
}

// action is the most drastic of all that speaks for one, with the first reason for it. A card that has nothing wrong with it
// gives ActionNone.
func (a advice) action() (Action, string) {
	action, reason := ActionNone, ""
	worse := func(to Action, because string) {
		if to.weight() > action.weight() {
			action, reason = to, because
		}
	}
	switch {
	case a.stillLost:
		worse(ActionReplace, reasonStillLost)
	case a.lost:
		worse(ActionReboot, reasonLost)
	}
	if d := a.device; d != nil {
		if v, _ := d.RowRemapFailed.Get(); v == 1 {
			worse(ActionReplace, reasonRemapFailed)
		}
		if v, _ := d.RowRemapPending.Get(); v == 1 {
			worse(ActionReset, reasonRemapWaits)
		}
		for _, e := range d.ECC {
			if e.Kind == Uncorrected && e.Count > 0 {
				worse(ActionReset, reasonUncorrected)
			}
		}
	}
	for _, e := range a.events {
		_, to := judge(e.kind, e.code)
		worse(to, e.kind+" "+e.code)
	}
	if a.device != nil {
		worse(a.device.Action, reasonDriver)
	}
	return action, reason
}
