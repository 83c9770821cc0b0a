package gpu

import "time"

// Value is a number that a card may not offer. The zero Value is one that it doesn't; it is never exported.
type Value struct {
	v  float64
	ok bool
}

// Known returns a Value that was read.
func Known(v float64) Value { return Value{v, true} }

// Get returns the number and whether it was read.
func (v Value) Get() (float64, bool) { return v.v, v.ok }

// Identity is which card this is. Vendor, Index, Chip and Name are labels of every sample and must not be empty.
type Identity struct {
	Vendor string // as Backend.Vendor
	// Index is the card's index as the vendor's own tool shows it, never its position in a list.
	Index string
	Chip  string // the chip on its card; "0" on cards with one chip
	Name  string // the product's name, with the vendor's
	UUID  string // or the serial number where the vendor has no UUID
	PCI   string // domain:bus:device.function in lower case, 0000:3b:00.0
	// Driver and Firmware are versions; Firmware is the card's own (VBIOS, firmware).
	Driver, Firmware string
}

// Device is a card, or a chip of a card with several, at one moment. A field that the card doesn't offer stays zero.
type Device struct {
	Identity

	Cores       Value
	Utilization Value // 0 to 1: the driver's "busy"
	// Finer than busy, each 0 to 1.
	SMActive, SMOccupancy, TensorActive, DRAMActive Value

	Temperature, MemoryTemperature Value // °C
	PowerUsed, PowerLimit          Value // W
	Energy                         Value // J, a counter of the card
	MemoryTotal, MemoryUsed        Value // bytes

	Clocks []Clock
	Fans   []Fan
	// Throttles are the reasons that hold the card back at this moment. ThrottleKnown says that the card tells them.
	Throttles     []Throttle
	ThrottleKnown bool
	// ThrottleReasons are the reasons that the card could tell. Their time is exported from 0 on, that of others from when
	// they first stand in Throttles.
	ThrottleReasons []Throttle
	// Throttled are the card's own counters of the same, where it has them. A reason that stands here is not added up from
	// Throttles.
	Throttled []ThrottleTime

	ECC                             []ECC
	Remapped                        []Remapped
	RowRemapPending, RowRemapFailed Value // 0 or 1

	PCIe  PCIe
	Links []Link

	Slices    []Slice
	Processes []Process
	// ProcessesKnown says that the driver told which processes use the card, possibly none.
	ProcessesKnown bool

	// Action is what the driver itself recommends, "" if it doesn't.
	Action Action
	// Lost says that the driver lists the card but can no longer reach it.
	Lost bool
}

// Clock is the clock of a part of a card in Hz. Part is sm, memory, graphics or video.
type Clock struct {
	Part     string
	Now, Max Value
}

// Fan is a fan with its speed, 0 to 1 of its maximum.
type Fan struct {
	Name  string
	Speed Value
}

// Throttle is a reason for which a card is held back.
type Throttle string

// Reasons. Idle cards that lower their clocks are not held back.
const (
	ThrottlePowerCap      Throttle = "power_cap"      // the set power limit
	ThrottlePowerBrake    Throttle = "power_brake"    // the power supply or the board demands it
	ThrottleThermal       Throttle = "thermal"        // software's temperature limit
	ThrottleThermalHW     Throttle = "thermal_hw"     // hardware's temperature limit
	ThrottleHW            Throttle = "hw_slowdown"    // hardware slowdown for a reason not told
	ThrottleSync          Throttle = "sync_boost"     // another card of its group is slower
	ThrottleReliability   Throttle = "reliability"    // voltage
	ThrottleBoardLimit    Throttle = "board_limit"    // a limit of the board
	ThrottleUserClocks    Throttle = "clocks_setting" // somebody has set lower clocks
	ThrottleCurrent       Throttle = "current"        // electrical current limit
	ThrottleUnknownReason Throttle = "other"
)

// ThrottleTime is how long a card was held back for a reason.
type ThrottleTime struct {
	Reason Throttle
	Time   time.Duration
}

// Error kinds of memory.
const (
	Corrected   = "corrected"
	Uncorrected = "uncorrected"
)

// ECC counts memory errors. Kind is Corrected or Uncorrected; Location is where the vendor says (dram, sram, l2, umc, gfx, hbm ...).
type ECC struct {
	Kind, Location string
	Count          float64
}

// Remapped counts rows or pages out of use. Cause is Corrected or Uncorrected.
type Remapped struct {
	Cause string
	Count float64
}

// PCIe is a card's connection to the machine. Rates are in bytes per second.
type PCIe struct {
	Replays, Receive, Transmit Value
	Generation, GenerationMax  Value
	Width, WidthMax            Value
}

// Link is a connection to another card. Type is nvlink, xgmi, hccs ... in lower case, Name its number.
type Link struct {
	Type, Name                string
	Up                        Value // 0 or 1
	Received, Transmitted     Value // bytes, counters
	ReceiveRate, TransmitRate Value // bytes per second, of cards that have no counters
	Errors                    []LinkError
}

// LinkError counts errors of a link of one kind.
type LinkError struct {
	Kind  string
	Count float64
}

// Slice is a part of a card that stands alone: a MIG instance, a vGPU, a vNPU. Its numbers are of the part, never of the
// whole card.
type Slice struct {
	Name                         string // the vendor's own name or number
	UUID                         string
	Profile                      string // 1g.10gb, vir02, ...
	GPUInstance, ComputeInstance string
	MemoryTotal, MemoryUsed      Value // bytes
	Utilization                  Value // 0 to 1 of the slice
}

// Process is a process that uses a card.
type Process struct {
	PID    int    // as the machine numbers it
	Memory Value  // bytes of the card's memory that it holds
	Use    Value  // 0 to 1 of the card, where the driver measures it for each process
	Slice  string // UUID of the slice that it runs on, if any
	// Instance names the model instance where the backend itself knows it, as simulated cards do.
	Instance string
}

// Action is what to do about a card, from the mildest on.
type Action string

// Actions.
const (
	ActionNone       Action = "none"
	ActionRestartApp Action = "restart_app" // restart what runs on it
	ActionReset      Action = "reset"       // stop what runs on it and reset the card
	ActionDrain      Action = "drain"       // let it finish, then reset and look
	ActionReboot     Action = "reboot"      // reboot the node
	ActionReplace    Action = "replace"     // have it repaired
)

// Event is an error that the driver or the kernel log reported.
type Event struct {
	At     time.Time
	Vendor string
	// UUID or PCI says which card; both may be there.
	UUID, PCI string
	// Kind is xid, sxid, ras, reset ...; Code is the vendor's number or name of it.
	Kind, Code string
	// Severity is "" where Kind and Code say it.
	Severity Severity
	// Source is where it was read: driver or kernel_log. Sources that report the same event are not added.
	Source string
}

// Sources of events.
const (
	SourceDriver    = "driver"
	SourceKernelLog = "kernel_log"
)
