package prom

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/tsdb/wlog"
)

const checkpointPrefix = "checkpoint."

// inspectWAL looks for what the TSDB's own repair can't mend: it cuts the log off behind a record that can't be read, and needs all
// segments from the checkpoint on for that. A checkpoint that can't be read is looked for before the TSDB finds it, because its
// repair would then take the checkpoint's position for one in the log and delete the segments behind it.
func inspectWAL(dir string) []fault {
	segments, faults, err := numbered(dir)
	if err != nil || len(faults) > 0 {
		f := fault{path: dir, what: "write-ahead log", err: err, lost: "all samples that are in no block yet"}.moved()
		return absentOr(f, faults)
	}
	checkpoint, first, err := lastCheckpoint(dir)
	if err != nil {
		return []fault{fault{path: checkpoint, what: "checkpoint of the write-ahead log", err: err}.moved()}
	}
	if checkpoint != "" {
		if err := readCheckpoint(checkpoint); err != nil {
			f := fault{
				path: checkpoint, what: "checkpoint of the write-ahead log", err: err,
				lost: "samples in no block yet of the series that it lists",
			}
			f.mend = func(a *aside) error { return errors.Join(a.move(f.path, f.lost), a.emptyCheckpoint(f.path)) }
			return []fault{f}
		}
	}
	return missingSegments(dir, segments, first)
}

// missingSegments returns the segments that are not there between first and the last one.
func missingSegments(dir string, segments map[int]string, first int) []fault {
	numbers := slices.Sorted(maps.Keys(segments))
	if len(numbers) == 0 {
		return nil
	}
	// A log that was cut has a checkpoint of its first two segments at least: where only the first is gone, there never was one.
	if numbers[0] > 1 && first == 0 {
		path := filepath.Join(dir, fmt.Sprintf("%s%08d", checkpointPrefix, numbers[0]-1))
		return []fault{{
			path: dir, what: "write-ahead log",
			err:  fmt.Errorf("it begins with %s: %s or the segments before are missing", filepath.Base(segments[numbers[0]]), path),
			lost: "samples in no block yet: older ones, and newer ones of the same series",
			mend: func(a *aside) error { return a.emptyCheckpoint(path) },
		}}
	}
	var faults []fault
	next := min(first, numbers[0]) // older ones than the checkpoint are not read, but a gap among them counts
	for _, n := range numbers {
		lost := written(segments[next-1], segments[n])
		for ; next < n; next++ {
			path := wlog.SegmentName(dir, next)
			faults = append(faults, fault{
				path: path, what: "segment of the write-ahead log", err: errors.New("it is missing"), lost: lost,
				mend: func(a *aside) error { return a.emptySegment(path) },
			})
		}
		next = n + 1
	}
	return faults
}

// written says between which segments' last writes samples are lost.
func written(before, after string) string {
	until, err := os.Stat(after)
	if err != nil {
		return ""
	}
	from, err := os.Stat(before)
	if err != nil {
		return "samples in no block yet: those scraped before " + moment(until.ModTime()) + ", and newer ones of the same series"
	}
	return "samples scraped between " + moment(from.ModTime()) + " and " + moment(until.ModTime())
}

// lastCheckpoint returns the checkpoint with which reading the log begins and the segment that follows it; "" and 0 when there is
// none. With an error it returns what is in the way.
func lastCheckpoint(dir string) (path string, next int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", 0, nil //nolint:nilerr // a log that isn't there has none; whether it can be read has been looked at
	}
	last := -1
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), checkpointPrefix)
		if !ok {
			continue
		}
		if !e.IsDir() {
			return filepath.Join(dir, e.Name()), 0, errNoDirectory
		}
		if n, err := strconv.Atoi(number); err == nil && n > last {
			last, path = n, filepath.Join(dir, e.Name())
		}
	}
	return path, last + 1, nil
}

// readCheckpoint reads every record.
func readCheckpoint(dir string) error {
	segments, err := wlog.NewSegmentsReader(dir)
	if err != nil {
		return err
	}
	defer func() { _ = segments.Close() }()
	return caught(func() error {
		r := wlog.NewReader(segments)
		for r.Next() {
			continue // the reading is the check
		}
		if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
			return cmp.Or(corruption(err), err)
		}
		return nil
	})
}

// corruption returns what is wrong in a segment without its path.
func corruption(err error) error {
	if c, ok := errors.AsType[*wlog.CorruptionErr](err); ok {
		return fmt.Errorf("its segment %08d can't be read at %d: %w", c.Segment, c.Offset, c.Err)
	}
	return nil
}
