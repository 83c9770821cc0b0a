package gpu

import (
	"strconv"
	"strings"
	"time"
)

// record is a record of the kernel log as /dev/kmsg gives it (kernel documentation, ABI/testing/dev-kmsg):
// priority,sequence,microseconds since boot,flags[,...];text
type record struct {
	seq    uint64
	at     time.Duration // since boot
	kernel bool          // the kernel itself wrote it, not a program through /dev/kmsg
	text   string
}

// parseRecord reads a record's first line; lines that go on with a dictionary begin with a blank and are no records.
func parseRecord(line string) (record, bool) {
	head, text, found := strings.Cut(line, ";")
	fields := strings.SplitN(head, ",", 4)
	if !found || len(fields) < 4 {
		return record{}, false
	}
	priority, err1 := strconv.ParseUint(fields[0], 10, 16)
	seq, err2 := strconv.ParseUint(fields[1], 10, 63)
	micros, err3 := strconv.ParseUint(fields[2], 10, 53)
	if err1 != nil || err2 != nil || err3 != nil {
		return record{}, false
	}
	return record{seq: seq, at: time.Duration(micros) * time.Microsecond, kernel: priority>>3 == 0, text: strings.TrimRight(text, "\r\n")}, true
}

// parseMessage reads a message of a GPU's driver, without its time. Messages that only repeat or explain another, and totals
// that are printed whenever somebody asks for them, are no events.
func parseMessage(text string) (Event, bool) {
	if len(text) > maxMessage {
		text = text[:maxMessage]
	}
	var e Event
	var ok bool
	driver, rest, _ := strings.Cut(text, " ")
	switch {
	case driver == "NVRM:":
		e, ok = parseXID(rest)
	case strings.HasPrefix(driver, "nvidia-nvswitch"):
		e, ok = parseSXID(rest)
	case driver == "amdgpu":
		e, ok = parseAt(rest, parseAMD)
		e.Vendor = "amd"
	case driver == "i915", driver == "xe":
		e, ok = parseAt(rest, parseIntel)
		e.Vendor = "intel"
	}
	if !ok || e.PCI == "" {
		return Event{}, false
	}
	e.Source = SourceKernelLog
	return e, true
}

// maxMessage bounds what is looked at of a message.
const maxMessage = 1024

// parseXID reads `Xid (PCI:0000:3b:00): 79, pid=...`; the address may have a MIG instance behind it, and PCI: may be missing.
func parseXID(s string) (Event, bool) {
	address, rest, ok := parenthesised(s, "Xid (")
	code, more := number(rest)
	if !ok || code == "" || more != "" && more[0] != ',' {
		return Event{}, false
	}
	return Event{Vendor: "nvidia", PCI: address, Kind: kindXID, Code: code}, true
}

// parseSXID reads `SXid (PCI:0000:c3:00.0): 20009, Non-fatal, Link 28 ...`. Lines that only carry data of the one before name
// neither word.
func parseSXID(s string) (Event, bool) {
	address, rest, ok := parenthesised(s, "SXid (")
	code, more := number(rest)
	e := Event{Vendor: "nvidia", PCI: address, Kind: kindSXID, Code: code}
	switch {
	case !ok || code == "":
		return Event{}, false
	case strings.HasPrefix(more, ", Fatal,"):
		e.Severity = SeverityCritical
	case strings.HasPrefix(more, ", Non-fatal,"):
		e.Severity = SeverityWarning
	default:
		return Event{}, false
	}
	return e, true
}

// parenthesised cuts `prefix PCI:address ...): ` from s.
func parenthesised(s, prefix string) (address, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, prefix)
	inner, rest, found := strings.Cut(s, "): ")
	inner, _, _ = strings.Cut(inner, " ")
	return pciAddress(strings.TrimPrefix(inner, "PCI:")), rest, ok && found
}

// number cuts a number of at most five digits from s, without leading zeros.
func number(s string) (digits, rest string) {
	n := 0
	for n < len(s) && n < 6 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 || n > 5 {
		return "", s
	}
	v, _ := strconv.Atoi(s[:n])
	return strconv.Itoa(v), s[n:]
}

// parseAt reads `0000:3b:00.0: text` as dev_info and its kin print it.
func parseAt(s string, parse func(text string) (kind, code string)) (Event, bool) {
	at, text, found := strings.Cut(s, ": ")
	kind, code := parse(text)
	return Event{PCI: pciAddress(at), Kind: kind, Code: code}, found && kind != ""
}

// parseAMD reads amdgpu's messages. The totals of RAS errors that it prints whenever they are asked for are left alone: only
// those that it calls new are events.
func parseAMD(s string) (kind, code string) {
	s = strings.TrimPrefix(s, "amdgpu: ")
	if strings.HasPrefix(s, "{") { // the number of the RAS event
		_, s, _ = strings.Cut(s, "} ")
	}
	switch {
	case strings.HasPrefix(s, "GPU reset begin!"):
		return kindReset, codeGPU
	case strings.HasPrefix(s, "GPU reset end with ret = -"):
		return kindReset, codeFailed
	case strings.HasPrefix(s, "ring "):
		name, rest, _ := strings.Cut(s[len("ring "):], " ")
		if strings.HasPrefix(rest, "timeout, signaled seq=") && word(name) {
			return kindRing, name
		}
	case strings.Contains(s, "(ERREVENT_ATHUB_INTERRUPT) detected!"):
		return kindRAS, codeFatal
	case strings.Contains(s, " new uncorrectable hardware errors detected in "):
		return kindRAS, codeUncorrected
	case strings.Contains(s, " new correctable hardware errors detected in "):
		return kindRAS, codeCorrected
	}
	return "", ""
}

// parseIntel reads messages of i915 and xe.
func parseIntel(s string) (kind, code string) {
	s = strings.TrimPrefix(s, "[drm] ")
	s = strings.TrimPrefix(s, "*ERROR* ")
	for strings.HasPrefix(s, "Tile") || strings.HasPrefix(s, "GT") {
		_, rest, found := strings.Cut(s, ": ")
		if !found {
			return "", ""
		}
		s = rest
	}
	switch {
	case strings.HasPrefix(s, "GPU HANG: ecode "):
		return kindHang, codeGPU
	case strings.HasPrefix(s, "Resetting chip for "):
		return kindReset, codeGPU
	case strings.HasPrefix(s, "CRITICAL: Xe has declared device "):
		return kindWedged, codeGPU
	case strings.HasPrefix(s, "Engine reset: engine_class="):
		class, _, _ := strings.Cut(s[len("Engine reset: engine_class="):], ",")
		if word(class) {
			return kindReset, class
		}
	case strings.HasPrefix(s, "Resetting "):
		engine, rest, _ := strings.Cut(s[len("Resetting "):], " ")
		if strings.HasPrefix(rest, "for ") && word(engine) {
			return kindReset, engine
		}
	}
	return "", ""
}

// word reports whether s is a short name of an engine or ring, as gfx_0.0.0 or rcs0.
func word(s string) bool {
	if s == "" || len(s) > 24 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
