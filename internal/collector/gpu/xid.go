package gpu

import "strconv"

// Severity is how bad an error is.
type Severity string

// Severities.
const (
	SeverityInfo     Severity = "info"     // an application's fault, or a notice
	SeverityWarning  Severity = "warning"  // the GPU works on, or its current work was lost; look if it comes again
	SeverityCritical Severity = "critical" // the GPU must not be used as it is
)

// Kinds of errors that drivers and the kernel log report.
const (
	kindXID         = "xid"          // NVIDIA's, the code is its number
	kindSXID        = "sxid"         // of an NVSwitch, likewise
	kindRAS         = "ras"          // AMD's memory errors: fatal, or corrected or uncorrected with the block
	kindECC         = "ecc"          // memory errors that a driver reports: corrected or uncorrected
	kindRing        = "ring_timeout" // AMD's, the code is the ring
	kindReset       = "reset"        // of a GPU: begin, failed; or the reset engine
	kindHang        = "hang"         // Intel's
	kindWedged      = "wedged"       // Intel's: the driver no longer uses the GPU
	codeFatal       = "fatal"
	codeUncorrected = "uncorrected"
	codeCorrected   = "corrected"
	codeFailed      = "failed"
	codeGPU         = "gpu"
)

// classify returns how bad an error is and which action it asks for.
func classify(kind, code string) (Severity, Action) {
	switch kind {
	case kindXID:
		if n, err := strconv.Atoi(code); err == nil {
			return classifyXID(n)
		}
	case kindRAS, kindECC:
		switch code {
		case codeFatal, codeUncorrected:
			return SeverityCritical, ActionReset
		case codeCorrected:
			return SeverityInfo, ActionNone
		}
	case kindReset:
		if code == codeFailed {
			return SeverityCritical, ActionReboot
		}
		return SeverityWarning, ActionRestartApp
	case kindRing, kindHang:
		return SeverityWarning, ActionRestartApp
	case kindWedged:
		return SeverityCritical, ActionReboot
	}
	return SeverityWarning, ActionNone
}

// classifyXID follows the immediate resolution in NVIDIA's catalog of XIDs (docs.nvidia.com/deploy/xid-errors, "Analyzing Xid
// Errors with the Xid Catalog"): IGNORE is none, RESTART_APP, RESET_GPU, RESTART_BM and RESTART_VM are what they say. Where it
// names a workflow, the first step that repairs the GPU is taken. 154 repeats what other XIDs ask for.
func classifyXID(code int) (Severity, Action) {
	switch code {
	case 79: // the GPU has fallen off the bus
		return SeverityCritical, ActionReboot
	case 54: // auxiliary power is not connected
		return SeverityCritical, ActionReplace
	case 46, // stopped processing
		48,     // double-bit ECC error
		61, 62, // halt of an internal controller
		64,       // a row or page could not be retired
		74,       // NVLink
		95,       // uncontained memory error
		109,      // context switch timeout
		110,      // security fault
		119, 120, // the GPU's system processor (GSP) does not answer, or failed
		136,      // link training failed
		140,      // unrecovered ECC error
		143,      // the GPU could not be initialised
		155, 156, // NVLink, retirement of a resource
		158: // fatal timeout
		return SeverityCritical, ActionReset
	case 171, 172: // which memory a 48 was in
		return SeverityCritical, ActionNone
	case 167, 169: // fatal PCIe timeout, halt of the security processor; the catalog names no action
		return SeverityCritical, ActionNone
	case 94: // contained memory error
		return SeverityWarning, ActionRestartApp
	case 151: // key rotation: the virtual machine has to be restarted
		return SeverityWarning, ActionReboot
	case 13, // an illegal access or instruction of an application
		31, // page fault of an application
		69: // class error of an application
		return SeverityInfo, ActionRestartApp
	case 8, 25, 32, // stopped processing, invalid command streams
		39, 40, 41, 70, 71, 72, 75, 76, 77, 85, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, // copy engines
		60, 68, 80, 82, 83, 84, 86, 88, 89, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 139: // video, JPEG, optical flow
		return SeverityWarning, ActionRestartApp
	case 14, 106, 107, // made by a test
		43, 44, 45, // an application's channels were taken down
		93,       // InfoROM wear limit, set on purpose
		108, 137, // remote NVLink access of an application
		121, // corrected errors of the link to the CPU
		160, 162:
		return SeverityInfo, ActionNone
	}
	return SeverityWarning, ActionNone // 63, 92, 144 to 150, 154, 157 ...: others or the driver itself say what to do
}
