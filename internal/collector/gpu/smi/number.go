package smi

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// maxRows bounds the rows of a table: GPUs, chips and processes of one machine.
const maxRows = 4096

// Unrecognized is the error about output whose form this program doesn't know: which tool, its version ("" if it didn't tell),
// where in the output, and what stood there.
func Unrecognized(tool, version, where, found string) error {
	if version != "" {
		tool += " " + version
	}
	return fmt.Errorf("%s: output not recognized: %s: got %q, which this version of the worker cannot read", tool, where, excerpt(found))
}

// Number reads a plain decimal number of any sign. "N/A", "-", "[N/A]", "" and all else that is no finite number give a Value
// that is not known.
func Number(s string) gpu.Value {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "+-.0123456789") != "" { // ParseFloat also takes "inf", "0x1p4" and "1_000"
		return gpu.Value{}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) {
		return gpu.Value{}
	}
	return gpu.Known(v)
}

// Quantity reads a number with its unit right behind it or after a space ("45C", "12.5 W", "65536MiB", "87 %"), or without one:
// then it is in unit. It is returned in its base unit: % as a ratio, W, °C, bytes, Hz. Units are %, C, mW W kW, B KB MB GB TB
// (which these tools mean, like KiB MiB GiB TiB, as powers of 1024), Hz KHz MHz GHz, in any case except mW. A number in a unit
// of another kind than unit, or beyond what a GPU could have, is not known: it is of another column or version.
func Quantity(s, unit string) gpu.Value {
	s = strings.TrimSpace(s)
	at := strings.LastIndexAny(s, ".0123456789") + 1
	v, ok := Number(s[:at]).Get()
	want, _, known := measureOf(unit)
	if !ok || !known {
		return gpu.Value{}
	}
	if given := strings.TrimSpace(s[at:]); given != "" {
		unit = given
	}
	m, scale, known := measureOf(unit)
	if scale < 1 {
		v /= math.Round(1 / scale) // 41 % is 0.41, which 41 * 0.01 is not
	} else {
		v *= scale
	}
	if !known || m != want || v < m.lowest || v > m.highest {
		return gpu.Value{}
	}
	return gpu.Known(v)
}

// Pair reads two quantities of a unit around a slash: "3389 / 65536", "61125/ 65536", "0MiB/16384MiB". Each may be unknown; a
// first that is greater than the second makes both unknown, as do more or less than two.
func Pair(s, unit string) (used, total gpu.Value) {
	a, b, found := strings.Cut(s, "/")
	if !found || strings.Contains(b, "/") {
		return gpu.Value{}, gpu.Value{}
	}
	used, total = Quantity(a, unit), Quantity(b, unit)
	u, hasUsed := used.Get()
	t, hasTotal := total.Get()
	if hasUsed && hasTotal && u > t {
		return gpu.Value{}, gpu.Value{}
	}
	return used, total
}

// measure is what a unit measures, and what a GPU can have of it.
type measure struct{ lowest, highest float64 }

func measureOf(unit string) (m measure, scale float64, ok bool) {
	var (
		ratio       = measure{0, 1}
		temperature = measure{-100, 300}
		power       = measure{0, 1e5}
		memory      = measure{0, 1 << 50}
		frequency   = measure{0, 1e11}
	)
	if unit == "mW" {
		return power, 1e-3, true
	}
	switch strings.ToLower(strings.TrimPrefix(unit, "°")) {
	case "%":
		return ratio, 0.01, true
	case "c":
		return temperature, 1, true
	case "w":
		return power, 1, true
	case "kw":
		return power, 1e3, true
	case "b", "bytes":
		return memory, 1, true
	case "kb", "kib":
		return memory, 1 << 10, true
	case "mb", "mib":
		return memory, 1 << 20, true
	case "gb", "gib":
		return memory, 1 << 30, true
	case "tb", "tib":
		return memory, 1 << 40, true
	case "hz":
		return frequency, 1, true
	case "khz":
		return frequency, 1e3, true
	case "mhz":
		return frequency, 1e6, true
	case "ghz":
		return frequency, 1e9, true
	}
	return measure{}, 0, false
}

// CSV reads a table with a header line, as tools print it with --format=csv and the like, into one map a row: name of the
// column, trimmed, to cell, trimmed. Every column in need must be there. A row that has more or fewer cells than the header
// is left out and named in the error, beside the rows that are whole.
func CSV(tool, version string, out []byte, need ...string) ([]map[string]string, error) {
	r := csv.NewReader(bytes.NewReader(out))
	r.FieldsPerRecord = -1
	r.LazyQuotes = true
	r.TrimLeadingSpace = true
	records, err := r.ReadAll()
	if err != nil {
		return nil, Unrecognized(tool, version, "table", err.Error())
	}
	if len(records) == 0 {
		return nil, Unrecognized(tool, version, "header line", "")
	}
	if len(records) > maxRows {
		return nil, Unrecognized(tool, version, fmt.Sprintf("row %d of at most %d", len(records), maxRows), strings.Join(records[maxRows], ","))
	}
	header := records[0]
	at := make(map[string]int, len(header))
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		at[header[i]] = i
	}
	for _, name := range need {
		if _, ok := at[name]; !ok {
			return nil, Unrecognized(tool, version, fmt.Sprintf("header line, which has no column %q", name), strings.Join(header, ", "))
		}
	}
	rows := make([]map[string]string, 0, len(records)-1)
	for i, record := range records[1:] {
		if len(record) != len(header) {
			err = Unrecognized(tool, version, fmt.Sprintf("row %d, which has %d cells where the header has %d", i+1, len(record), len(header)), strings.Join(record, ","))
			continue
		}
		row := make(map[string]string, len(header))
		for name, i := range at {
			row[name] = strings.TrimSpace(record[i])
		}
		rows = append(rows, row)
	}
	return rows, err
}
