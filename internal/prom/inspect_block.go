package prom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/encoding"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// inspectSegments checks that a block's chunk files are complete, which the TSDB notices only when a query needs them. It reads a few
// series of the index for each chunk file. An unreadable index is left to the TSDB.
func inspectSegments(block string, meta *tsdb.BlockMeta) error {
	files, faults, err := numberedFiles(filepath.Join(block, "chunks"))
	if err != nil {
		return fmt.Errorf("chunks: %w", err)
	}
	for _, f := range faults {
		return fmt.Errorf("chunks/%s: %w", filepath.Base(f.path), f.err)
	}
	numbers := slices.Sorted(maps.Keys(files))
	for i, n := range numbers {
		if n != i+1 {
			return missingSegment(i + 1)
		}
	}
	if len(numbers) == 0 && meta.Stats.NumChunks > 0 {
		return missingSegment(1)
	}
	f, err := os.Open(filepath.Join(block, "index"))
	if err != nil {
		return fmt.Errorf("index: %w", durable.Cause(err))
	}
	defer func() { _ = f.Close() }()
	idx, err := newSeriesList(f)
	if err != nil || idx.count == 0 {
		return nil //nolint:nilerr // the TSDB reports it
	}
	last, err := idx.chunks(idx.count - 1)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	if segment, _ := last[len(last)-1].Unpack(); segment >= len(numbers) {
		return missingSegment(len(numbers) + 1)
	}
	for i, n := range numbers {
		if at, ok := idx.lastChunkIn(i); ok {
			if err := inspectSegment(files[n], at); err != nil {
				return fmt.Errorf("chunks/%s: %w", filepath.Base(files[n]), err)
			}
		}
	}
	return nil
}

func missingSegment(n int) error { return fmt.Errorf("chunks/%06d: it is missing", n) }

// inspectSegment checks that the last chunk of a file, at a given offset, is complete.
func inspectSegment(path string, at int64) error {
	f, err := os.Open(path)
	if err != nil {
		return durable.Cause(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return durable.Cause(err)
	}
	end := at + chunks.MaxChunkLengthFieldSize
	if end <= info.Size() {
		var head [chunks.MaxChunkLengthFieldSize]byte
		if _, err := f.ReadAt(head[:], at); err != nil {
			return durable.Cause(err)
		}
		length, n := binary.Uvarint(head[:])
		if n <= 0 {
			return fmt.Errorf("the index refers to a chunk at %d, where none begins", at)
		}
		end = at + int64(n) + chunks.ChunkEncodingSize + int64(length) + crc32.Size
	}
	if info.Size() < end {
		return fmt.Errorf("it has %d bytes, expected are at least %d", info.Size(), end)
	}
	return nil
}

// seriesList reads single series of a block's index. Unlike the TSDB's reader it builds no symbol or posting tables.
type seriesList struct {
	f      io.ReaderAt
	size   int64
	offset int64 // where the list of all series begins
	count  int
}

var errUnknownIndex = errors.New("not a block index in a known format")

// byteSlice implements index.ByteSlice.
type byteSlice []byte

func (b byteSlice) Len() int                    { return len(b) }
func (b byteSlice) Range(start, end int) []byte { return b[start:end] }

func newSeriesList(f *os.File) (*seriesList, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	l := &seriesList{f: f, size: info.Size()}
	header, err := l.read(0, index.HeaderLen)
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(header) != index.MagicIndex || header[4] != index.FormatV2 {
		return nil, errUnknownIndex
	}
	const tocLen = 6*8 + crc32.Size
	end, err := l.read(l.size-tocLen, tocLen)
	if err != nil {
		return nil, err
	}
	toc, err := index.NewTOCFromByteSlice(byteSlice(end))
	if err != nil {
		return nil, err
	}
	// The first postings list is that of all series: its label name and value are empty.
	table, err := l.read(int64(toc.PostingsTable), 4+4+3+binary.MaxVarintLen64)
	if err != nil {
		return nil, err
	}
	d := encoding.Decbuf{B: table[8:]}
	parts, name, value, at := d.Uvarint(), d.UvarintStr(), d.UvarintStr(), d.Uvarint64()
	if d.Err() != nil || parts != 2 || name != "" || value != "" {
		return nil, errUnknownIndex
	}
	list, err := l.read(int64(at), 8)
	if err != nil {
		return nil, err
	}
	l.offset, l.count = int64(at)+8, int(binary.BigEndian.Uint32(list[4:]))
	return l, nil
}

// read returns n bytes at a position.
func (l *seriesList) read(at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || at > l.size || n > l.size-at {
		return nil, errUnknownIndex
	}
	b := make([]byte, n)
	_, err := l.f.ReadAt(b, at)
	return b, err
}

// chunks returns the chunk references of the nth series, at least one.
func (l *seriesList) chunks(n int) ([]chunks.BlockChunkRef, error) {
	const align = 16
	ref, err := l.read(l.offset+4*int64(n), 4)
	if err != nil {
		return nil, err
	}
	at := int64(binary.BigEndian.Uint32(ref)) * align
	head, err := l.read(at, min(binary.MaxVarintLen32, max(0, l.size-at)))
	if err != nil {
		return nil, err
	}
	length, width := binary.Uvarint(head)
	if width <= 0 || length > uint64(l.size) {
		return nil, errUnknownIndex
	}
	data, err := l.read(at+int64(width), int64(length)+crc32.Size)
	if err != nil {
		return nil, err
	}
	series, sum := data[:length], binary.BigEndian.Uint32(data[length:])
	if crc32.Checksum(series, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, errUnknownIndex
	}
	d := encoding.Decbuf{B: series}
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- { // labels
		d.Uvarint()
		d.Uvarint()
	}
	count := d.Uvarint()
	d.Varint64()
	d.Uvarint64()
	pos := int64(d.Uvarint64())
	refs := []chunks.BlockChunkRef{chunks.BlockChunkRef(pos)}
	for i := 1; i < count && d.Err() == nil; i++ {
		d.Uvarint64()
		d.Uvarint64()
		pos += d.Varint64()
		refs = append(refs, chunks.BlockChunkRef(pos))
	}
	if d.Err() != nil || count < 1 {
		return nil, errUnknownIndex
	}
	return refs, nil
}

// lastChunkIn returns the offset of the last chunk of a chunk file, counted from 0. Chunks are in the order of their series.
func (l *seriesList) lastChunkIn(segment int) (at int64, ok bool) {
	behind := sort.Search(l.count, func(n int) bool {
		refs, err := l.chunks(n)
		if err != nil {
			return true
		}
		first, _ := refs[0].Unpack()
		return first > segment
	})
	if behind == 0 {
		return 0, false
	}
	refs, err := l.chunks(behind - 1)
	if err != nil {
		return 0, false
	}
	for _, ref := range slices.Backward(refs) {
		if in, at := ref.Unpack(); in == segment {
			return int64(at), true
		}
	}
	return 0, false
}
