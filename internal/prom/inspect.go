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

// fault is one thing in the data directory that the TSDB can't work with.
type fault struct {
	path string // what is damaged, an absolute path
	what string // what that is, in words
	err  error
	lost string // which samples go with it, where that is known
	// mend takes it out of the TSDB's way. It is nil where moving files can't help: a full disk, a missing right.
	mend func(*aside) error
}

func (f fault) String() string {
	s := fmt.Sprintf("%s %s: %v", f.what, f.path, f.err)
	if f.lost != "" {
		s += " (lost: " + f.lost + ")"
	}
	return s
}

// moved is the mending that most faults need.
func (f fault) moved() fault {
	f.mend = func(a *aside) error { return a.move(f.path, f.lost) }
	return f
}

// inspect looks for damage on which the TSDB would fail to open, or that its own repair would make worse. It changes nothing and
// reads headers only, except that a checkpoint is read in full. With deep set each block is opened, as the TSDB does.
func inspect(dir string, deep bool) []fault {
	faults := inspectBlocks(dir, deep)
	faults = append(faults, inspectHeadChunks(filepath.Join(dir, "chunks_head"))...)
	faults = append(faults, inspectWAL(filepath.Join(dir, "wal"))...)
	if queries := filepath.Join(dir, "queries.active"); isDir(queries) {
		faults = append(faults, fault{path: queries, what: "list of running queries", err: errNoFile}.moved())
	}
	return unmendable(faults)
}

var (
	errNoFile      = errors.New("it is a directory where a file belongs")
	errNoDirectory = errors.New("it is a file where a directory belongs")
)

// unmendable takes the mending from faults that are no damage: what this user has no right to read may be whole.
func unmendable(faults []fault) []fault {
	for i := range faults {
		if surroundingsFail(faults[i].err) {
			faults[i].mend = nil
		}
	}
	return faults
}

// blockName is how the directory of a block is called: a ULID.
var blockName = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$`)

// inspectBlocks returns the blocks that would keep the TSDB from opening, from answering or, without a meta.json, from making blocks.
// One whose samples are in another block already isn't among them: the TSDB deletes it.
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
			id, made := blockMade(e.Name())
			damaged[id] = fault{path: path, what: "block", err: fmt.Errorf("meta.json: %w", durable.Cause(err)), lost: "samples of a block made at " + made}.moved()
			continue
		}
		if err := inspectBlock(path, meta, deep); err != nil {
			damaged[meta.ULID.String()] = fault{path: path, what: "block", err: err, lost: between(meta.MinTime, meta.MaxTime)}.moved()
			continue
		}
		for _, parent := range meta.Compaction.Parents {
			replaced[parent.ULID.String()] = true
		}
	}
	maps.DeleteFunc(damaged, func(id string, _ fault) bool { return replaced[id] })
	return slices.SortedFunc(maps.Values(damaged), func(a, b fault) int { return cmp.Compare(a.path, b.path) })
}

// blockMade returns the ID that a block's name stands for, and when it was made.
func blockMade(name string) (id, made string) {
	var meta tsdb.BlockMeta
	if err := meta.ULID.UnmarshalText([]byte(name)); err != nil {
		return name, "an unknown time"
	}
	return meta.ULID.String(), moment(meta.ULID.Timestamp())
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
	return caught(func() error {
		block, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), path, nil, nil)
		if err != nil {
			return err
		}
		return block.Close()
	})
}

// lostNothing is what goes with chunks of the head.
const lostNothing = "nothing, its samples come from the write-ahead log"

// inspectHeadChunks looks at the files of chunks that belong to no block yet. Their samples are in the write-ahead log as well:
// without them it takes longer to read, and nothing is lost where it is whole.
func inspectHeadChunks(dir string) []fault {
	files, faults, err := numbered(dir)
	if err != nil || len(faults) > 0 {
		return absentOr(fault{path: dir, what: "chunks of the head", err: err, lost: lostNothing}.moved(), faults)
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
		// What follows the first that can't be read would leave a gap behind it.
		for _, later := range numbers[i:] {
			faults = append(faults, fault{path: files[later], what: "chunks of the head", err: err, lost: lostNothing}.moved())
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
		return nil // a crash leaves this behind; the TSDB deletes it
	case n < len(header):
		return fmt.Errorf("%d bytes are too few for its header", n)
	case magic != chunks.MagicHeadChunks:
		return fmt.Errorf("it begins with %#x, not with %#x as such a file does", magic, uint32(chunks.MagicHeadChunks))
	case header[chunks.MagicChunksSize] != 1:
		return fmt.Errorf("its format's version is %d, known is 1", header[chunks.MagicChunksSize])
	}
	return nil
}

// numbered returns the files of a directory whose names are numbers. A number that is a directory is a fault.
func numbered(dir string) (map[int]string, []fault, error) {
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
			faults = append(faults, fault{path: path, what: "file", err: errNoFile}.moved())
			continue
		}
		files[n] = path
	}
	return files, faults, nil
}

// absentOr returns the faults found inside a directory, or f unless the directory is merely absent.
func absentOr(f fault, inside []fault) []fault {
	if f.err == nil || errors.Is(f.err, fs.ErrNotExist) {
		return inside
	}
	return append(inside, f)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func between(from, to int64) string {
	return "samples from " + moment(time.UnixMilli(from)) + " to " + moment(time.UnixMilli(to))
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
