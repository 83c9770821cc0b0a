// Package sqlitelog reads the write-ahead log of a SQLite database, to tell what of it can be used.
package sqlitelog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// The write-ahead log, as https://www.sqlite.org/fileformat2.html describes it.
const (
	HeaderBytes      = 32
	frameHeaderBytes = 24
	logMagic         = 0x377f0682 // its lowest bit says which order of bytes the checksums are over
	logVersion       = 3007000
	minPageBytes     = 512
	maxPageBytes     = 64 << 10
	// maxPasses is by how much the first salt may have grown since a frame was written that is left of an earlier pass. It grows
	// by one each time that the log begins anew.
	maxPasses = 1 << 24
)

// End says up to where a log can be used, and what comes then. Frames of an earlier pass, which the log has not reached yet, are
// no part of it.
type End struct {
	Size   int64  // of the file
	Frames uint32 // up to the end of the last whole transaction
	Usable int64  // bytes of those
	// What follows them: bytes, whole frames, and how many of these end a transaction.
	Rest        int64
	RestFrames  uint32
	RestCommits uint32
	Salts       []byte // of the pass; nil: the header cannot be read
}

// frame is a frame's header.
type frame struct {
	page, commit uint32 // commit: the pages of the database if the frame ends a transaction
	salts        []byte
	sums         [2]uint32
}

func parseFrame(b []byte) frame {
	return frame{
		page: binary.BigEndian.Uint32(b), commit: binary.BigEndian.Uint32(b[4:]), salts: b[8:16],
		sums: [2]uint32{binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])},
	}
}

// checksum goes on with sums over b, whose length is a multiple of 8.
func checksum(order binary.ByteOrder, sums [2]uint32, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		sums[0] += order.Uint32(b) + sums[1]
		sums[1] += order.Uint32(b[4:]) + sums[0]
	}
	return sums
}

// Read reads a log as SQLite does when it recovers it, and beyond. It holds one frame in memory.
func Read(r io.Reader) (End, error) {
	var e End
	header := make([]byte, HeaderBytes)
	n, err := io.ReadFull(r, header)
	e.Size = int64(n)
	if err != nil {
		e.Rest = e.Size
		return e, ignoreEOF(err)
	}
	magic, pageBytes := binary.BigEndian.Uint32(header), binary.BigEndian.Uint32(header[8:])
	order := binary.ByteOrder(binary.LittleEndian)
	if magic&1 != 0 {
		order = binary.BigEndian
	}
	sums := checksum(order, [2]uint32{}, header[:24])
	if magic&^1 != logMagic || binary.BigEndian.Uint32(header[4:]) != logVersion ||
		pageBytes < minPageBytes || pageBytes > maxPageBytes || pageBytes&(pageBytes-1) != 0 ||
		sums != [2]uint32{binary.BigEndian.Uint32(header[24:]), binary.BigEndian.Uint32(header[28:])} {
		more, err := io.Copy(io.Discard, r)
		e.Size += more
		e.Rest = e.Size
		return e, err
	}
	e.Salts, e.Usable = header[16:24], HeaderBytes
	return e, e.readFrames(r, order, sums, make([]byte, frameHeaderBytes+pageBytes))
}

func (e *End) readFrames(r io.Reader, order binary.ByteOrder, sums [2]uint32, buf []byte) error {
	var whole, sinceCommit uint32 // frames that SQLite would read, and those of them after the last whole transaction
	broken := false
	for {
		n, err := io.ReadFull(r, buf)
		e.Size += int64(n)
		if err != nil {
			if n > 0 && e.inThisPass(buf[:n], !broken) {
				e.Rest = e.Size - e.Usable
			}
			return ignoreEOF(err)
		}
		f := parseFrame(buf)
		if !broken {
			sums = checksum(order, sums, buf[:8])
			sums = checksum(order, sums, buf[frameHeaderBytes:])
			broken = f.page == 0 || !bytes.Equal(f.salts, e.Salts) || sums != f.sums
		}
		switch {
		case !broken:
			whole++
			sinceCommit++
			if f.commit != 0 {
				e.Frames, e.Usable, sinceCommit = whole, e.Size, 0
			}
			e.Rest, e.RestFrames = e.Size-e.Usable, sinceCommit
		case e.inThisPass(buf, false):
			e.Rest = e.Size - e.Usable
			e.RestFrames++
			if f.commit != 0 && bytes.Equal(f.salts, e.Salts) {
				e.RestCommits++
			}
		}
	}
}

// inThisPass tells a frame, or its beginning, from what an earlier pass has left. next says that it comes where this pass goes on:
// too little to tell is then of this one.
func (e *End) inThisPass(b []byte, next bool) bool {
	if len(b) < 16 {
		return next
	}
	behind := binary.BigEndian.Uint32(e.Salts) - binary.BigEndian.Uint32(b[8:])
	return behind == 0 && bytes.Equal(b[8:16], e.Salts) || behind >= maxPasses
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// Index is what the index of the log, which a process that dies leaves behind, says of it. It isn't written to the disk with
// the log, so that after the loss of power it may be any older one.
type Index struct {
	Salts     []byte
	Committed uint32 // frames up to the end of the last transaction that was committed
	Applied   uint32 // of those, frames that are in the database's file
}

// The index's beginning: its header twice, then how far the log is applied.
const (
	indexHeaderBytes = 48
	IndexBytes       = 2*indexHeaderBytes + 4
)

// ParseIndex reads the beginning of an index. ok is false when it says nothing that can be relied on.
func ParseIndex(b []byte) (ix Index, ok bool) {
	if len(b) < IndexBytes || !bytes.Equal(b[:indexHeaderBytes], b[indexHeaderBytes:2*indexHeaderBytes]) {
		return ix, false
	}
	order := binary.NativeEndian
	const initialised = 12
	if order.Uint32(b) != logVersion || b[initialised] != 1 ||
		checksum(native{}, [2]uint32{}, b[:40]) != [2]uint32{order.Uint32(b[40:]), order.Uint32(b[44:])} {
		return ix, false
	}
	return Index{Salts: b[32:40], Committed: order.Uint32(b[16:]), Applied: order.Uint32(b[2*indexHeaderBytes:])}, true
}

// native is the machine's order of bytes as a binary.ByteOrder.
type native struct{ binary.ByteOrder }

func (native) Uint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
