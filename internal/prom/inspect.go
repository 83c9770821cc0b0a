package prom

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// fault is a problem of the data directory that keeps the TSDB from opening or answering.
type fault struct {
	path string // absolute path of the damaged file or directory
	what string // its description
	err  error
	lost string // the samples that are lost with it, if known
	// repair makes the data directory usable without the damaged data. It is nil where moving files can't help: for a full disk or a
	// missing permission.
	repair func(*quarantine) error
}

func (f fault) String() string {
	s := fmt.Sprintf("%s %s: %v", f.what, f.path, f.err)
	if f.lost != "" {
		s += " (lost: " + f.lost + ")"
	}
	return s
}

// repairByMove sets the repair that most faults need: the damaged path is moved to the quarantine.
func (f fault) repairByMove() fault {
	f.repair = func(q *quarantine) error { return q.move(f.path, f.lost) }
	return f
}

// inspect finds damage that would keep the TSDB from opening, or that the TSDB's own repair would make worse. It changes nothing. It
// reads headers only, and checkpoints in full. If deep is set it opens each block as the TSDB does.
func inspect(dir string, deep bool) []fault {
	faults := inspectBlocks(dir, deep)
	faults = append(faults, inspectHeadChunks(filepath.Join(dir, "chunks_head"))...)
	faults = append(faults, inspectWAL(filepath.Join(dir, "wal"))...)
	if queries := filepath.Join(dir, "queries.active"); isDir(queries) {
		faults = append(faults, fault{path: queries, what: "list of running queries", err: errNoFile}.repairByMove())
	}
	return clearImpossibleRepairs(faults)
}

var (
	errNoFile      = errors.New("it is a directory where a file belongs")
	errNoDirectory = errors.New("it is a file where a directory belongs")
)

// clearImpossibleRepairs removes the repair of faults that are no damage: a file that this user may not read may be intact.
func clearImpossibleRepairs(faults []fault) []fault {
	for i := range faults {
		if isEnvironmentError(faults[i].err) {
			faults[i].repair = nil
		}
	}
	return faults
}

// blockName matches the name of a block's directory, a ULID.
var blockName = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$`)

// inspectBlocks returns the blocks that would keep the TSDB from opening, from answering or, without a meta.json, from compacting.
// A block that has been compacted into another one is not among them: the TSDB deletes it.
func inspectBlocks(dir string, deep bool) []fault {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []fault{{path: dir, what: "data directory", err: durable.Cause(err)}}
	}
	damaged := map[string]fault{}
	replaced := map[string]bool{}
	for _, e := range entries {
		if !e.IsDir() || !blockName.MatchString(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		meta, err := readMeta(path)
		if err != nil {
			id, created := blockCreated(e.Name())
			damaged[id] = fault{path: path, what: "block", err: fmt.Errorf("meta.json: %w", durable.Cause(err)), lost: "samples of a block created at " + created}.repairByMove()
			continue
		}
		if err := inspectBlock(path, meta, deep); err != nil {
			damaged[meta.ULID.String()] = fault{path: path, what: "block", err: err, lost: timeRange(meta.MinTime, meta.MaxTime)}.repairByMove()
			continue
		}
		for _, parent := range meta.Compaction.Parents {
			replaced[parent.ULID.String()] = true
		}
	}
	maps.DeleteFunc(damaged, func(id string, _ fault) bool { return replaced[id] })
	return slices.SortedFunc(maps.Values(damaged), func(a, b fault) int { return cmp.Compare(a.path, b.path) })
}

// blockCreated returns the ULID of a block's name and the time when the block was created.
func blockCreated(name string) (id, created string) {
	var meta tsdb.BlockMeta
	if err := meta.ULID.UnmarshalText([]byte(name)); err != nil {
		return name, "an unknown time"
	}
	return meta.ULID.String(), formatTime(meta.ULID.Timestamp())
}

func readMeta(block string) (*tsdb.BlockMeta, error) {
	data, err := os.ReadFile(filepath.Join(block, "meta.json"))
	if err != nil {
		return nil, err
	}
	var meta tsdb.BlockMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, err
	}
	if meta.Version != 1 {
		return nil, fmt.Errorf("its format's version is %d, known is 1", meta.Version)
	}
	return &meta, nil
}

func inspectBlock(path string, meta *tsdb.BlockMeta, deep bool) error {
	if info, err := os.Stat(filepath.Join(path, "chunks")); err != nil {
		return fmt.Errorf("chunks: %w", durable.Cause(err))
	} else if !info.IsDir() {
		return fmt.Errorf("chunks: %w", errNoDirectory)
	}
	if info, err := os.Stat(filepath.Join(path, "index")); err != nil {
		return fmt.Errorf("index: %w", durable.Cause(err))
	} else if info.IsDir() {
		return fmt.Errorf("index: %w", errNoFile)
	}
	if err := inspectSegments(path, meta); err != nil || !deep {
		return err
	}
	return recovered(func() error {
		block, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), path, nil, nil)
		if err != nil {
			return err
		}
		return block.Close()
	})
}

// lostNothing is the loss of damaged head chunks.
const lostNothing = "nothing, its samples are read from the write-ahead log"

// inspectHeadChunks checks the files of the head's memory-mapped chunks. Their samples are in the WAL, too: without these files the
// replay takes longer, and nothing is lost if the WAL is intact.
func inspectHeadChunks(dir string) []fault {
	files, faults, err := numberedFiles(dir)
	if err != nil || len(faults) > 0 {
		return unlessNotExist(fault{path: dir, what: "chunks of the head", err: err, lost: lostNothing}.repairByMove(), faults)
	}
	numbers := slices.Sorted(maps.Keys(files))
	for i, n := range numbers {
		err := inspectHeadChunkFile(files[n], n > 0 && i == len(numbers)-1)
		if err == nil && i > 0 && numbers[i-1] != n-1 {
			err = fmt.Errorf("the file before it, %06d, is missing", n-1)
		}
		if err == nil {
			continue
		}
		// The TSDB needs a sequence without gaps, so all files after the first damaged one go with it.
		for _, later := range numbers[i:] {
			faults = append(faults, fault{path: files[later], what: "chunks of the head", err: err, lost: lostNothing}.repairByMove())
			err = fmt.Errorf("%06d before it is damaged", n)
		}
		return faults
	}
	return nil
}

func inspectHeadChunkFile(path string, last bool) error {
	f, err := os.Open(path)
	if err != nil {
		return durable.Cause(err)
	}
	defer func() { _ = f.Close() }()
	var header [chunks.HeadChunkFileHeaderSize]byte
	n, err := io.ReadFull(f, header[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return durable.Cause(err)
	}
	magic := binary.BigEndian.Uint32(header[:])
	switch {
	case last && (n < chunks.MagicChunksSize || magic == 0):
		return nil // left by a crash; the TSDB deletes it
	case n < len(header):
		return fmt.Errorf("%d bytes are too few for its header", n)
	case magic != chunks.MagicHeadChunks:
		return fmt.Errorf("it begins with %#x instead of %#x", magic, uint32(chunks.MagicHeadChunks))
	case header[chunks.MagicChunksSize] != 1:
		return fmt.Errorf("its format's version is %d, known is 1", header[chunks.MagicChunksSize])
	}
	return nil
}

// numberedFiles returns the files of a directory whose names are numbers. A directory with such a name is a fault.
func numberedFiles(dir string) (map[int]string, []fault, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
			return nil, nil, errNoDirectory
		}
		return nil, nil, durable.Cause(err)
	}
	files := map[int]string{}
	var faults []fault
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			faults = append(faults, fault{path: path, what: "file", err: errNoFile}.repairByMove())
			continue
		}
		files[n] = path
	}
	return files, faults, nil
}

// unlessNotExist returns the faults found inside a directory, and f unless the directory does not exist.
func unlessNotExist(f fault, inside []fault) []fault {
	if f.err == nil || errors.Is(f.err, fs.ErrNotExist) {
		return inside
	}
	return append(inside, f)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func timeRange(from, to int64) string {
	return "samples from " + formatTime(time.UnixMilli(from)) + " to " + formatTime(time.UnixMilli(to))
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
