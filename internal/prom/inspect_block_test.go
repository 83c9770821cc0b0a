package prom

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

// segmentedBlock returns a block whose chunks fill several files.
func segmentedBlock(t *testing.T) string {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.MaxBlockChunkSegmentSize = 1 << 10
	dir := t.TempDir()
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	app := db.Appender(t.Context())
	for at := range int64(300) {
		for n := range 20 {
			if _, err := app.Append(0, labels.FromStrings("__name__", "m", "n", fmt.Sprint(n)), at*1000, float64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := db.CompactHead(tsdb.NewRangeHead(db.Head(), 0, 299_000)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return first(t, dir, strings.Repeat("?", 26))
}

// Each file of a block's chunks is held against the index: the last byte of its last chunk is missed.
func TestChunksThatAreNotAllThere(t *testing.T) {
	t.Parallel()
	block := segmentedBlock(t)
	segments, err := filepath.Glob(filepath.Join(block, "chunks/0*"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	check := func() error {
		meta, err := readMeta(block)
		if err != nil {
			t.Fatal(err)
		}
		return inspectBlock(block, meta, false)
	}
	if err := check(); err != nil {
		t.Errorf("a whole block: %v", err)
	}
	for _, path := range segments {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := "chunks/" + filepath.Base(path)
		for _, size := range []int{len(data) - 1, len(data) / 2, 20, 8} {
			if err := os.Truncate(path, int64(size)); err != nil {
				t.Fatal(err)
			}
			if err := check(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s: it has %d bytes", name, size)) {
				t.Errorf("%s of %d bytes: %v", name, size, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := check(); err == nil || !strings.Contains(err.Error(), name+": it is missing") {
			t.Errorf("without %s: %v", name, err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(); err != nil {
		t.Errorf("a block put back: %v", err)
	}
}

// An index that can't be read is the TSDB's to judge; reading it never fails worse than with an error.
func TestIndexThatIsDamaged(t *testing.T) {
	t.Parallel()
	block := segmentedBlock(t)
	path := filepath.Join(block, "index")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := readMeta(block)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		data := append([]byte(nil), whole...)
		data[at] ^= 0xff
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := recovered(func() error { _ = inspectSegments(block, meta); return nil }); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	for size := range whole {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := recovered(func() error { return inspectSegments(block, meta) }); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}

// What is read of an index to look for its chunks doesn't grow with its series.
func TestInspectionReadsFewSeries(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join(segmentedBlock(t), "index"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	l, err := newSeriesList(f)
	if err != nil {
		t.Fatal(err)
	}
	reads := &countedReads{ReaderAt: f}
	l.f = reads
	if _, ok := l.lastChunkIn(0); !ok || l.count != 20 {
		t.Fatalf("nothing among %d series", l.count)
	}
	if most := 3 * 6; reads.n > most { // 20 series are halved five times, then one is read
		t.Errorf("%d reads, at most %d expected", reads.n, most)
	}
}

type countedReads struct {
	io.ReaderAt
	n int
}

func (c *countedReads) ReadAt(p []byte, at int64) (int, error) {
	c.n++
	return c.ReaderAt.ReadAt(p, at)
}

// Directories that the TSDB deletes by itself are no damage.
func TestBlocksThatTheTSDBDeletes(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	block := first(t, dir, anyBlock)
	meta, err := os.ReadFile(filepath.Join(block, "meta.json"))
	if err != nil {
		t.Fatal(err)
	}
	const parent = "01AAAAAAAAAAAAAAAAAAAAAAAA"
	for _, name := range []string{parent, "01BBBBBBBBBBBBBBBBBBBBBBBB.tmp-for-creation", "01BBBBBBBBBBBBBBBBBBBBBBBB.tmp-for-deletion", "damaged-20260101T000000Z"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if faults := inspectBlocks(dir, false); len(faults) != 1 || filepath.Base(faults[0].path) != parent || !strings.Contains(faults[0].String(), "meta.json: no such file or directory (lost: samples of a block created at ") {
		t.Errorf("a block that is nowhere else: %v", faults)
	}
	listed := strings.Replace(string(meta), `"compaction": {`, `"compaction": {"parents": [{"ulid": "`+parent+`", "minTime": 1, "maxTime": 2}],`, 1)
	if err := os.WriteFile(filepath.Join(block, "meta.json"), []byte(listed), 0o600); err != nil {
		t.Fatal(err)
	}
	if faults := inspectBlocks(dir, false); len(faults) > 0 {
		t.Errorf("it is in another block: %v", faults)
	}
	start(t, Options{Dir: dir})
	if exists(filepath.Join(dir, parent)) {
		t.Error("the TSDB has not deleted it")
	}
}
