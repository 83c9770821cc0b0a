package ascend

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/collector/gpu"
	"github.com/stackscope/stackscope/internal/collector/gpu/smi"
)

// lastLink is the number of a chip's last HCCS port; the lists of npu-smi end with it and begin with port 0 or 1, by the board.
const lastLink = 7

// parseLinks reads `npu-smi info -t hccs`: one list for each counter, with one number for each port of the chip.
func parseLinks(version string, out []byte) ([]gpu.Link, error) {
	f, err := parseFields(version, out)
	if err != nil {
		return nil, err
	}
	lanes := list(f["hccs link lane list"])
	if len(lanes) == 0 || len(lanes) > lastLink+1 {
		return nil, smi.Unrecognized(tool, version, "a list of HCCS lanes", f["hccs link lane list"])
	}
	links := make([]gpu.Link, len(lanes))
	for i, active := range lanes {
		l := &links[i]
		l.Type, l.Name = "hccs", strconv.Itoa(lastLink+1-len(lanes)+i)
		if strings.Trim(active, "01") == "" {
			up := 0.0
			if strings.Contains(active, "1") {
				up = 1
			}
			l.Up = gpu.Known(up)
		}
	}
	for _, counter := range []struct {
		key string
		set func(l *gpu.Link, v gpu.Value)
	}{
		{"hccs rx bytes", func(l *gpu.Link, v gpu.Value) { l.Received = v }},
		{"hccs tx bytes", func(l *gpu.Link, v gpu.Value) { l.Transmitted = v }},
		{"hccs retry count", linkError("retry")},
		{"hccs error count", linkError("crc")},
	} {
		numbers := list(f[counter.key])
		if len(numbers) != len(links) {
			continue // which port each number is of can't be told
		}
		for i, n := range numbers {
			if v := smi.Number(n); strings.Trim(n, "0123456789") == "" {
				counter.set(&links[i], v)
			}
		}
	}
	return links, nil
}

func linkError(kind string) func(*gpu.Link, gpu.Value) {
	return func(l *gpu.Link, v gpu.Value) {
		if n, ok := v.Get(); ok {
			l.Errors = append(l.Errors, gpu.LinkError{Kind: kind, Count: n})
		}
	}
}

// list splits "[a b c ]".
func list(s string) []string {
	s, opened := strings.CutPrefix(s, "[")
	s, closed := strings.CutSuffix(s, "]")
	if !opened || !closed {
		return nil
	}
	return strings.Fields(s)
}

var (
	sliceLayout = smi.Layout{
		"Vnpu ID":       regexp.MustCompile(`^(?P<id>\d+)$`),
		"Vgroup ID":     regexp.MustCompile(`^`),
		"Container ID":  regexp.MustCompile(`^`),
		"Status":        regexp.MustCompile(`^`),
		"Template Name": regexp.MustCompile(`^(?P<template>\S+)$`),
	}
	sliceCount = regexp.MustCompile(`^Total number of vnpu: ?(\d+)$`)
)

// parseSlices reads `npu-smi info -t info-vnpu`. What a part has of the chip follows from its template's name; what it uses
// is not told.
func parseSlices(version string, out []byte) ([]gpu.Slice, error) {
	var (
		columns smi.Columns
		parts   []gpu.Slice
		total   = -1
	)
	for line := range strings.Lines(string(out)) {
		cells, ok := smi.Cells(line)
		if !ok {
			continue
		}
		if len(cells) == 1 {
			if m := sliceCount.FindStringSubmatch(cells[0]); m != nil {
				total, _ = strconv.Atoi(m[1])
			}
			continue
		}
		if cells[0] == "Vnpu ID" {
			columns, _ = sliceLayout.Columns(cells)
			continue
		}
		if columns == nil {
			continue
		}
		f, ok := columns.Fields(cells)
		if !ok || f["template"] == "" || len(parts) == maxChips {
			return nil, smi.Unrecognized(tool, version, "a row of a vNPU", strings.TrimSpace(line))
		}
		parts = append(parts, gpu.Slice{Name: f["id"], Profile: f["template"]})
	}
	if total != len(parts) {
		return nil, smi.Unrecognized(tool, version, "the number of vNPUs and a row for each", start(out))
	}
	return parts, nil
}
