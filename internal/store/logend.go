package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// The write-ahead log, as https://www.sqlite.org/fileformat2.html describes it.
const (
	logHeaderBytes   = 32
	frameHeaderBytes = 24
	logMagic         = 0x377f0682 // its lowest bit says which order of bytes the checksums are over
	logVersion       = 3007000
	minPageBytes     = 512
	maxPageBytes     = 64 << 10
	// maxPasses is by how much the first salt may have grown since a frame was written that is left of an earlier pass. It grows
	// by one each time that the log begins anew.
	maxPasses = 1 << 24
)

// logEnd says up to where a log can be used, and what comes then. Frames of an earlier pass, which the log has not reached yet, are
// no part of it.
type logEnd struct {
	size   int64  // of the file
	frames uint32 // up to the end of the last whole transaction
	usable int64  // bytes of those
	// What follows them: bytes, whole frames, and how many of these end a transaction.
	rest        int64
	restFrames  uint32
	restCommits uint32
	salts       []byte // of the pass; nil: the header cannot be read
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

// readLog reads a log as SQLite does when it recovers it, and beyond. It holds one frame in memory.
func readLog(r io.Reader) (logEnd, error) {
	var e logEnd
	header := make([]byte, logHeaderBytes)
	n, err := io.ReadFull(r, header)
	e.size = int64(n)
	if err != nil {
		e.rest = e.size
		return e, unlessEnd(err)
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
		e.size += more
		e.rest = e.size
		return e, err
	}
	e.salts, e.usable = header[16:24], logHeaderBytes
	return e, e.readFrames(r, order, sums, make([]byte, frameHeaderBytes+pageBytes))
}

func (e *logEnd) readFrames(r io.Reader, order binary.ByteOrder, sums [2]uint32, buf []byte) error {
	var whole, sinceCommit uint32 // frames that SQLite would read, and those of them after the last whole transaction
	broken := false
	for {
		n, err := io.ReadFull(r, buf)
		e.size += int64(n)
		if err != nil {
			if n > 0 && e.ofThisPass(buf[:n], !broken) {
				e.rest = e.size - e.usable
			}
			return unlessEnd(err)
		}
		f := parseFrame(buf)
		if !broken {
			sums = checksum(order, sums, buf[:8])
			sums = checksum(order, sums, buf[frameHeaderBytes:])
			broken = f.page == 0 || !bytes.Equal(f.salts, e.salts) || sums != f.sums
		}
		switch {
		case !broken:
			whole++
			sinceCommit++
			if f.commit != 0 {
				e.frames, e.usable, sinceCommit = whole, e.size, 0
			}
			e.rest, e.restFrames = e.size-e.usable, sinceCommit
		case e.ofThisPass(buf, false):
			e.rest = e.size - e.usable
			e.restFrames++
			if f.commit != 0 && bytes.Equal(f.salts, e.salts) {
				e.restCommits++
			}
		}
	}
}

// ofThisPass tells a frame, or its beginning, from what an earlier pass has left. next says that it comes where this pass goes on:
// too little to tell is then of this one.
func (e *logEnd) ofThisPass(b []byte, next bool) bool {
	if len(b) < 16 {
		return next
	}
	behind := binary.BigEndian.Uint32(e.salts) - binary.BigEndian.Uint32(b[8:])
	return behind == 0 && bytes.Equal(b[8:16], e.salts) || behind >= maxPasses
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// logIndex is what the index of the log, which a process that dies leaves behind, says of it. It isn't written to the disk with
// the log, so that after the loss of power it may be any older one.
type logIndex struct {
	salts     []byte
	committed uint32 // frames up to the end of the last transaction that was committed
	applied   uint32 // of those, frames that are in the database's file
}

// The index's beginning: its header twice, then how far the log is applied.
const (
	indexHeaderBytes = 48
	indexBytes       = 2*indexHeaderBytes + 4
)

// parseIndex reads the beginning of an index. ok is false when it says nothing that can be relied on.
func parseIndex(b []byte) (ix logIndex, ok bool) {
	if len(b) < indexBytes || !bytes.Equal(b[:indexHeaderBytes], b[indexHeaderBytes:2*indexHeaderBytes]) {
		return ix, false
	}
	order := binary.NativeEndian
	const initialised = 12
	if order.Uint32(b) != logVersion || b[initialised] != 1 ||
		checksum(native{}, [2]uint32{}, b[:40]) != [2]uint32{order.Uint32(b[40:]), order.Uint32(b[44:])} {
		return ix, false
	}
	return logIndex{salts: b[32:40], committed: order.Uint32(b[16:]), applied: order.Uint32(b[2*indexHeaderBytes:])}, true
}

// native is the machine's order of bytes as a binary.ByteOrder.
type native struct{ binary.ByteOrder }

func (native) Uint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// logState is what lies beside the database's file.
type logState struct {
	logEnd
	exists bool
	// The rest is what the index says.
	missing uint32 // committed frames that the log lacks and the database's file doesn't have
	mixed   bool   // the database's file has later pages than the log
	applied bool   // the log lacks frames, and the database's file has all that was committed
	settled bool   // the log has all that was committed
}

// lookAtLog reads the log and its index. It changes nothing.
func lookAtLog(path string) (logState, error) {
	var st logState
	f, err := os.Open(path + logSuffix)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return st, err
	default:
		st.exists = true
		st.logEnd, err = readLog(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return st, err
		}
	}
	head, err := readHead(path + indexSuffix)
	if err != nil {
		return st, err
	}
	ix, ok := parseIndex(head)
	if !ok || st.salts != nil && !bytes.Equal(ix.salts, st.salts) {
		return st, nil
	}
	if st.frames >= ix.committed {
		st.settled = st.salts != nil
		return st, nil
	}
	st.missing = ix.committed - max(st.frames, min(ix.applied, ix.committed))
	st.mixed = st.salts != nil && ix.applied > st.frames
	st.applied = st.mixed && st.missing == 0
	return st, nil
}

// setAside moves a log away whose end is missing and all of which is in the database's file: SQLite would put the older pages
// that are left of it over those.
func (s *Store) setAside() error {
	aside := s.path + logSuffix + ".damaged"
	if err := os.Rename(s.path+logSuffix, aside); err != nil {
		return fmt.Errorf("the database's log %s is damaged and cannot be moved away (%w): move it away", s.path+logSuffix, cause(err))
	}
	if err := os.Remove(s.path + indexSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.log.Warn("the end of the database's log is missing or damaged; all of it is in the database's file already, so that nothing is lost, and the log is moved away",
		"file", s.path+logSuffix, "moved_to", aside)
	return nil
}

// readHead reads the beginning of an index; nil when there is none.
func readHead(path string) (head []byte, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, indexBytes))
}

// tellLog says in the log of the server what the log of the database lacks. SQLite takes what it can use of it and says nothing.
func (s *Store) tellLog(st *logState) {
	log := s.log.With("file", s.path+logSuffix, "usable_frames", st.frames, "bytes", st.rest, "frames", max(st.restFrames, st.missing))
	const lost = "changes after its last whole transaction are lost"
	switch {
	case st.applied: // setAside says so
	case st.mixed:
		log.Warn("the end of the database's log is missing or damaged: " + lost + ", and the database's file has parts of them already; put a backup of the data directory in its place")
	case st.missing > 0 || st.restCommits > 0:
		log.Warn("the end of the database's log is missing or damaged: " + lost + "; put a backup of the data directory in its place if that is too much")
	case st.rest == 0:
	case st.settled:
		log.Info("a transaction was under way when the server ended; nobody was told that it was stored, and it is left out")
	default:
		log.Warn("the database's log does not end with a whole transaction: " + lost + "; after the loss of power that is one that nobody was told of, and if the file was cut or damaged there may be others")
	}
}
