package sqlitelog_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stackscope/stackscope/internal/store/sqlitelog"
)

const pageBytes = 512

// sum is the checksum of a log whose magic says little endian.
func sum(sums [2]uint32, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		sums[0] += binary.LittleEndian.Uint32(b) + sums[1]
		sums[1] += binary.LittleEndian.Uint32(b[4:]) + sums[0]
	}
	return sums
}

// logOf makes a log of as many frames, each second of which ends a transaction.
func logOf(frames uint32) []byte {
	be := binary.BigEndian
	salts := be.AppendUint32(be.AppendUint32(nil, 7), 0xabcdef01)
	b := be.AppendUint32(be.AppendUint32(nil, 0x377f0682), 3007000)
	b = append(be.AppendUint32(be.AppendUint32(b, pageBytes), 1), salts...)
	sums := sum([2]uint32{}, b)
	b = be.AppendUint32(be.AppendUint32(b, sums[0]), sums[1])
	for k := range frames {
		frame := be.AppendUint32(be.AppendUint32(nil, k%3+1), 3*(k%2))
		page := bytes.Repeat([]byte{byte(k)}, pageBytes)
		sums = sum(sum(sums, frame), page)
		frame = append(frame, salts...)
		b = append(append(b, be.AppendUint32(be.AppendUint32(frame, sums[0]), sums[1])...), page...)
	}
	return b
}

// indexOf makes the beginning of the index of such a log.
func indexOf(committed, applied uint32) []byte {
	ne := binary.NativeEndian
	h := make([]byte, 40)
	ne.PutUint32(h, 3007000)
	h[12] = 1
	ne.PutUint32(h[16:], committed)
	copy(h[32:], binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 7), 0xabcdef01))
	var sums [2]uint32
	for b := h; len(b) >= 8; b = b[8:] {
		sums[0] += ne.Uint32(b) + sums[1]
		sums[1] += ne.Uint32(b[4:]) + sums[0]
	}
	h = ne.AppendUint32(ne.AppendUint32(h, sums[0]), sums[1])
	return ne.AppendUint32(append(h, h...), applied)
}

func read(tb testing.TB, log []byte) sqlitelog.End {
	tb.Helper()
	e, err := sqlitelog.Read(bytes.NewReader(log))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func TestRead(t *testing.T) {
	log := logOf(5) // the last frame's transaction has not ended
	const frame = pageBytes + 24
	e := read(t, log)
	if e.Frames != 4 || e.Usable != sqlitelog.HeaderBytes+4*frame || e.Rest != frame || e.RestFrames != 1 || e.RestCommits != 0 {
		t.Errorf("%+v", e)
	}
	ix, ok := sqlitelog.ParseIndex(indexOf(4, 2))
	if !ok || ix.Committed != 4 || ix.Applied != 2 || !bytes.Equal(ix.Salts, e.Salts) {
		t.Errorf("%+v, %t", ix, ok)
	}
	log[sqlitelog.HeaderBytes+2*frame+30] ^= 1
	if e := read(t, log); e.Frames != 2 || e.RestFrames != 3 || e.RestCommits != 1 {
		t.Errorf("with damage in the third frame: %+v", e)
	}
}

func FuzzRead(f *testing.F) {
	log, index := logOf(5), indexOf(4, 2)
	f.Add(log, index)
	f.Add(log[:len(log)-1], index[:20])
	f.Add(log[:33], []byte{})
	f.Add(log[:31], []byte{})
	f.Add([]byte{}, index)
	big := bytes.Clone(log)
	binary.BigEndian.PutUint32(big[8:], 1<<31)
	f.Add(big, index)
	f.Fuzz(func(t *testing.T, log, index []byte) {
		e := read(t, log)
		if e.Size != int64(len(log)) || e.Usable < 0 || e.Rest < 0 || e.Usable+e.Rest > e.Size {
			t.Errorf("%+v of %d bytes", e, len(log))
		}
		if again := read(t, log[:e.Usable]); again.Frames != e.Frames || again.Rest != 0 || again.Usable != e.Usable {
			t.Errorf("the usable part is %+v alone and %+v with what follows", again, e)
		}
		sqlitelog.ParseIndex(index)
	})
}
