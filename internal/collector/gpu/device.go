package gpu

import "time"

// Value is a number that a GPU may not report. The zero Value is unknown and never exported.
type Value struct {
	v  float64
	ok bool
}

// Known returns a Value that was read.
func Known(v float64) Value { return Value{v, true} }

// Get returns the number and whether it was read.
func (v Value) Get() (float64, bool) { return v.v, v.ok }

// Identity is which GPU this is. Vendor, Index, Chip and Name are labels of every sample and must not be empty.
type Identity struct {
	Vendor string // as Backend.Vendor
	// Index is the GPU's index as the vendor's own tool shows it, never its position in a list.
	Index string
	Chip  string // the chip on its board; "0" on boards with one chip
	Name  string // the product's name, with the vendor's
	UUID  string // or the serial number where the vendor has no UUID
	PCI   string // domain:bus:device.function in lower case, 0000:3b:00.0
	// Driver and Firmware are versions; Firmware is the GPU's own (VBIOS, firmware).
	Driver, Firmware string
}

// Device is one GPU, or one chip of a board with several, at one moment. A field that the GPU doesn't report stays zero.
type Device struct {
	Identity

	Cores       Value
	Utilization Value // 0 to 1: the driver's "busy"
	// Finer than busy, each 0 to 1.
	SMActive, SMOccupancy, TensorActive, DRAMActive Value

	Temperature, MemoryTemperature Value // °C
	PowerUsed, PowerLimit          Value // W
	Energy                         Value // J, a counter of the GPU
	MemoryTotal, MemoryUsed        Value // bytes

	Clocks []Clock
	Fans   []Fan
	// Throttles are the reasons for which the GPU is throttled now. ThrottleKnown says that the GPU reports them.
	Throttles     []Throttle
	ThrottleKnown bool
	// ThrottleReasons are the reasons that the GPU can report. Their time is exported from 0 on, that of others from the
	// first time that they are in Throttles.
	ThrottleReasons []Throttle
	// Throttled are the GPU's own counters of throttled time. A reason that is here is not added up from Throttles.
	Throttled []ThrottleTime

	ECC                             []ECC
	Remapped                        []Remapped
	RowRemapPending, RowRemapFailed Value // 0 or 1

	PCIe  PCIe
	Links []Link

	Slices    []Slice
	Processes []Process
	// ProcessesKnown says that the driver listed the processes that use the GPU, possibly none.
	ProcessesKnown bool

	// Action is what the driver itself recommends, "" if it doesn't.
	Action Action
	// Lost says that the driver lists the GPU but can no longer reach it.
	Lost bool
}

// Clock is the clock of a part of a GPU in Hz. Part is sm, memory, graphics or video.
type Clock struct {
	Part     string
	Now, Max Value
}

// Fan is a fan with its speed, 0 to 1 of its maximum.
type Fan struct {
	Name  string
	Speed Value
}

// Throttle is a reason for which a GPU is throttled.
type Throttle string

// Reasons. Idle GPUs that lower their clocks are not throttled.
const (
	ThrottlePowerCap      Throttle = "power_cap"      // the set power limit
	ThrottlePowerBrake    Throttle = "power_brake"    // the power supply or the board demands it
	ThrottleThermal       Throttle = "thermal"        // software's temperature limit
	ThrottleThermalHW     Throttle = "thermal_hw"     // hardware's temperature limit
	ThrottleHW            Throttle = "hw_slowdown"    // hardware slowdown for an unknown reason
	ThrottleSync          Throttle = "sync_boost"     // another GPU of its group is slower
	ThrottleReliability   Throttle = "reliability"    // voltage
	ThrottleBoardLimit    Throttle = "board_limit"    // a limit of the board
	ThrottleUserClocks    Throttle = "clocks_setting" // somebody has set lower clocks
	ThrottleCurrent       Throttle = "current"        // electrical current limit
	ThrottleUnknownReason Throttle = "other"
)

// ThrottleTime is how long a GPU was throttled for a reason.
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

// PCIe is a GPU's connection to the machine. Rates are in bytes per second.
type PCIe struct {
	Replays, Receive, Transmit Value
	Generation, GenerationMax  Value
	Width, WidthMax            Value
}

// Link is a connection to another GPU. Type is nvlink, xgmi, hccs ... in lower case, Name its number.
type Link struct {
	Type, Name                string
	Up                        Value // 0 or 1
	Received, Transmitted     Value // bytes, counters
	ReceiveRate, TransmitRate Value // bytes per second, of GPUs that have no counters
	Errors                    []LinkError
}

// LinkError counts errors of a link of one kind.
type LinkError struct {
	Kind  string
	Count float64
}

// Slice is a partition of a GPU with memory of its own: a MIG instance, a vGPU, a vNPU. Its numbers are never those of the
// whole GPU.
type Slice struct {
	Name                         string // the vendor's own name or number
	UUID                         string
	Profile                      string // 1g.10gb, vir02, ...
	GPUInstance, ComputeInstance string
	MemoryTotal, MemoryUsed      Value // bytes
	Utilization                  Value // 0 to 1 of the slice
}

// Process is a process that uses a GPU.
type Process struct {
	PID    int    // as the machine numbers it
	Memory Value  // bytes of GPU memory that it uses
	Use    Value  // 0 to 1 of the GPU, where the driver measures it for each process
	Slice  string // UUID of the slice that it runs on, if any
	// Instance names the model instance where the backend itself knows it, as simulated GPUs do.
	Instance string
}

// Action is the recommended action for a GPU, from the mildest to the most drastic.
type Action string

// Actions.
const (
	ActionNone       Action = "none"
	ActionRestartApp Action = "restart_app" // restart what runs on it
	ActionReset      Action = "reset"       // stop what runs on it and reset the GPU
	ActionDrain      Action = "drain"       // let it finish, then reset and look
	ActionReboot     Action = "reboot"      // reboot the node
	ActionReplace    Action = "replace"     // have it repaired
)

// Event is an error that the driver or the kernel log reported.
type Event struct {
	At     time.Time
	Vendor string
	// UUID or PCI says which GPU; both may be there.
	UUID, PCI string
	// Kind is xid, sxid, ras, reset ...; Code is the vendor's number or name of it.
	Kind, Code string
	// Severity is "" where it follows from Kind and Code.
	Severity Severity
	// Source is where it was read: driver or kernel_log. The same event from both sources counts once.
	Source string
}

// Sources of events.
const (
	SourceDriver    = "driver"
	SourceKernelLog = "kernel_log"
)
