package store

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackscope/stackscope/internal/store/sqlitelog"
)

const never = -1

// leftBehind makes a database by n transactions, with a checkpoint after some of them, and returns its files as a process leaves
// them that dies.
func leftBehind(tb testing.TB, n, checkpointAfter int) (file, log, index []byte) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), FileName)
	db, err := sql.Open("sqlite", path+"?_journal_mode=WAL&_synchronous=NORMAL")
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	run := func(query string, args ...any) {
		tb.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			tb.Fatal(err)
		}
	}
	run("CREATE TABLE workers (id INTEGER PRIMARY KEY, text TEXT)")
	for k := range n + 1 {
		if k == checkpointAfter {
			run("PRAGMA wal_checkpoint(PASSIVE)")
		}
		if k == n {
			break
		}
		run("INSERT INTO workers (text) VALUES (?)", fmt.Sprintf("%0*d", 3000*(k%3), k)) // of one page, or two
	}
	read := func(suffix string) []byte {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			tb.Fatal(err)
		}
		return data
	}
	return read(""), read(logSuffix), read(indexSuffix)
}

// recovered puts files where there are none and returns how many rows SQLite finds.
func recovered(tb testing.TB, file, log []byte) (rows int) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), FileName)
	for suffix, data := range map[string][]byte{"": file, logSuffix: log} {
		if err := os.WriteFile(path+suffix, data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM workers").Scan(&rows); err != nil {
		return -1 // not even the table
	}
	return rows
}

func mustRead(tb testing.TB, log []byte) sqlitelog.End {
	tb.Helper()
	e, err := sqlitelog.Read(bytes.NewReader(log))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// What counts as usable is what SQLite uses: the log up to there holds as many rows as the whole damaged one.
func TestUsableIsWhatSQLiteUses(t *testing.T) {
	file, log, _ := leftBehind(t, 12, never)
	whole := mustRead(t, log)
	if whole.Usable != int64(len(log)) || whole.Rest != 0 || whole.Frames == 0 {
		t.Fatalf("an undamaged log of %d bytes: %+v", len(log), whole)
	}
	rnd := rand.New(rand.NewPCG(1, 0))
	for range 40 {
		damaged := bytes.Clone(log)
		if rnd.IntN(2) == 0 {
			damaged = damaged[:rnd.IntN(len(damaged))]
		} else {
			damaged[rnd.IntN(len(damaged))] ^= 1 << rnd.IntN(8)
		}
		e := mustRead(t, damaged)
		if e.Size != int64(len(damaged)) || e.Usable+e.Rest > e.Size {
			t.Fatalf("%d bytes: %+v", len(damaged), e)
		}
		if got, want := recovered(t, file, damaged[:e.Usable]), recovered(t, file, damaged); got != want {
			t.Errorf("%d bytes, of which %d are usable: %d rows, and SQLite finds %d", len(damaged), e.Usable, got, want)
		}
	}
}

// A log that began anew has frames of an earlier pass behind its end. They are no damage, wherever the file ends.
func TestEarlierPassIsNoDamage(t *testing.T) {
	_, log, _ := leftBehind(t, 40, 30)
	e := mustRead(t, log)
	if e.Rest != 0 || e.Usable == 0 || e.Usable >= e.Size {
		t.Fatalf("%+v", e)
	}
	for size := e.Usable; size < e.Size; size += 101 {
		if beyond := size - e.Usable; beyond > 0 && beyond < 16 {
			continue // too little to tell
		}
		if got := mustRead(t, log[:size]); got.Rest != 0 || got.Usable != e.Usable {
			t.Errorf("cut at %d: %+v", size, got)
		}
	}
	zeros := append(bytes.Clone(log[:e.Usable]), make([]byte, 10_000)...)
	if got := mustRead(t, zeros); got.Rest == 0 {
		t.Errorf("zeros after the end pass for an earlier pass: %+v", got)
	}
}

// A frame that is damaged in the middle makes all that follow it unusable.
func TestDamageInTheMiddleOfTheLog(t *testing.T) {
	_, log, _ := leftBehind(t, 12, never)
	whole := mustRead(t, log)
	log[len(log)/2] ^= 1
	e := mustRead(t, log)
	if e.RestCommits < 3 || e.Frames == 0 || e.Frames >= whole.Frames || e.Rest != e.Size-e.Usable || e.Frames+e.RestFrames < whole.Frames {
		t.Errorf("%+v of %+v", e, whole)
	}
}

// partly makes an index say that a part of the log is applied.
func partly(index []byte) []byte {
	index = bytes.Clone(index)
	at := index[sqlitelog.IndexBytes-4:]
	binary.NativeEndian.PutUint32(at, binary.NativeEndian.Uint32(at)-2)
	return index
}

func TestLookAtLog(t *testing.T) {
	_, log, index := leftBehind(t, 12, never)
	frames := mustRead(t, log).Frames
	frameBytes := (int64(len(log)) - sqlitelog.HeaderBytes) / int64(frames)
	_, appliedLog, appliedIndex := leftBehind(t, 12, 12)
	for name, c := range map[string]struct {
		log, index []byte
		want       func(logState) bool
	}{
		"whole":                                     {log, index, func(st logState) bool { return st.complete && st.missing == 0 && st.Rest == 0 }},
		"whole, without index":                      {log, nil, func(st logState) bool { return !st.complete && st.missing == 0 && st.Rest == 0 }},
		"cut at a frame":                            {log[:sqlitelog.HeaderBytes+3*frameBytes], index, func(st logState) bool { return st.missing == frames-st.Frames && st.missing > 0 && !st.fileNewer }},
		"cut within a frame":                        {log[:len(log)-100], index, func(st logState) bool { return st.missing > 0 && st.Rest > 0 }},
		"cut, without index":                        {log[:len(log)-100], nil, func(st logState) bool { return st.missing == 0 && !st.complete && st.Rest > 0 }},
		"emptied":                                   {nil, index, func(st logState) bool { return st.exists && st.missing == frames }},
		"removed":                                   {[]byte("removed"), index, func(st logState) bool { return !st.exists && st.missing == frames }},
		"cut within the header":                     {log[:20], index, func(st logState) bool { return st.missing == frames && st.Rest == 20 }},
		"begun and not ended":                       {append(bytes.Clone(log), log[sqlitelog.HeaderBytes:sqlitelog.HeaderBytes+100]...), index, func(st logState) bool { return st.complete && st.missing == 0 && st.Rest == 100 }},
		"index of another log":                      {appliedLog, index, func(st logState) bool { return !st.complete && st.missing == 0 }},
		"index damaged":                             {log[:len(log)-100], append([]byte{1}, index[1:]...), func(st logState) bool { return st.missing == 0 }},
		"index cut":                                 {log[:len(log)-100], index[:50], func(st logState) bool { return st.missing == 0 }},
		"cut, and all of it is in the database":     {appliedLog[:sqlitelog.HeaderBytes+2*frameBytes], appliedIndex, func(st logState) bool { return st.applied && st.missing == 0 }},
		"cut, and some of it is in the database":    {appliedLog[:sqlitelog.HeaderBytes+2*frameBytes], partly(appliedIndex), func(st logState) bool { return st.fileNewer && !st.applied && st.missing > 0 }},
		"whole, and all of it is in the database":   {appliedLog, appliedIndex, func(st logState) bool { return st.complete && !st.applied }},
		"emptied, and all of it is in the database": {nil, appliedIndex, func(st logState) bool { return st.missing == 0 && !st.applied }},
		"nothing":                                   {[]byte("removed"), nil, func(st logState) bool { return !st.exists && st.missing == 0 && st.Rest == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), FileName)
			if string(c.log) != "removed" {
				if err := os.WriteFile(path+logSuffix, c.log, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.index != nil {
				if err := os.WriteFile(path+indexSuffix, c.index, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			st, err := readLogState(path)
			if err != nil || !c.want(st) {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
}
