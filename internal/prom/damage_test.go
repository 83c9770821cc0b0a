package prom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/wlog"

	"github.com/stackscope/stackscope/tests/programs"
)

// await polls until ok, and fails the test when that takes longer than anything does.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// tree returns the content of all files below dir, the lock excepted.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir+"/")] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// filledDir returns a data directory with blocks, a checkpoint, several segments of the log and files of head chunks. The metric
// "whole" has samples in each.
func filledDir(t *testing.T) string {
	t.Helper()
	filledOnce.once.Do(func() { filledOnce.files = tree(t, fill(t)) })
	dir := t.TempDir()
	for name, content := range filledOnce.files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var filledOnce struct {
	once  sync.Once
	files map[string]string
}

func fill(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	opts := tsdb.DefaultOptions()
	opts.WALSegmentSize = 32 << 10
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	const hour = int64(time.Hour / time.Millisecond)
	now := time.Now().UnixMilli()
	for at := now - 8*hour; at < now; at += 30_000 {
		app := db.Appender(t.Context())
		for i := range 20 {
			if _, err := app.Append(0, labels.FromStrings("__name__", "whole", "n", fmt.Sprint(i)), at, float64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(db.Blocks()); n < 2 {
		t.Fatalf("%d blocks", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func first(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("nothing like %s in %v: %v", pattern, slices.Sorted(func(yield func(string) bool) {
			for name := range tree(t, dir) {
				if !yield(name) {
					return
				}
			}
		}), err)
	}
	return found[0]
}

const anyBlock = "01????????????????????????"

// damages are what happens to a data directory, with what must be named as damaged and what must still be answered after a repair.
var damages = []struct {
	name  string
	do    func(t *testing.T, dir string) (damaged string)
	keeps string
}{
	{"block without chunks", func(t *testing.T, dir string) string {
		t.Helper()
		return gone(t, filepath.Join(first(t, dir, anyBlock), "chunks"), 1)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"block without index", func(t *testing.T, dir string) string {
		t.Helper()
		return gone(t, filepath.Join(first(t, dir, anyBlock), "index"), 1)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"block whose index is garbage", func(t *testing.T, dir string) string {
		t.Helper()
		path := filepath.Join(first(t, dir, anyBlock), "index")
		return garbage(t, path, filepath.Dir(path))
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"block whose chunks' file is gone", func(t *testing.T, dir string) string {
		t.Helper()
		return gone(t, first(t, dir, anyBlock+"/chunks/000001"), 2)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"block whose chunks are cut off", func(t *testing.T, dir string) string {
		t.Helper()
		path := first(t, dir, anyBlock+"/chunks/000001")
		if err := os.Truncate(path, 20); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(filepath.Dir(path))
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"block without meta.json", func(t *testing.T, dir string) string {
		t.Helper()
		return gone(t, first(t, dir, anyBlock+"/meta.json"), 1)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"block whose meta.json is garbage", func(t *testing.T, dir string) string {
		t.Helper()
		path := first(t, dir, anyBlock+"/meta.json")
		return garbage(t, path, filepath.Dir(path))
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"garbage in chunks_head", func(t *testing.T, dir string) string {
		t.Helper()
		path := first(t, dir, "chunks_head/0*")
		return garbage(t, path, path)
	}, `count_over_time(whole{n="1"}[10h]) > 900`},
	{"gap in chunks_head", func(t *testing.T, dir string) string {
		t.Helper()
		path := first(t, dir, "chunks_head/0*")
		later := filepath.Join(filepath.Dir(path), "000900")
		if err := os.WriteFile(later, []byte("\x01\x30\xBC\x91\x01\x00\x00\x00rest"), 0o600); err != nil {
			t.Fatal(err)
		}
		return later
	}, `count_over_time(whole{n="1"}[10h]) > 900`},
	{"gap in the log", func(t *testing.T, dir string) string {
		t.Helper()
		segments, err := filepath.Glob(filepath.Join(dir, "wal/0*"))
		if err != nil || len(segments) < 3 {
			t.Fatal(segments, err)
		}
		return gone(t, segments[len(segments)-2], 0)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"first segments are gone", func(t *testing.T, dir string) string {
		t.Helper()
		firstSegments(t, dir, 3)
		gone(t, filepath.Join(dir, "wal/00000000"), 0)
		return gone(t, filepath.Join(dir, "wal/00000001"), 1)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"first segment is gone", func(t *testing.T, dir string) string {
		t.Helper()
		firstSegments(t, dir, 2)
		return gone(t, filepath.Join(dir, "wal/00000000"), 0)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"checkpoint is garbage", func(t *testing.T, dir string) string {
		t.Helper()
		path := first(t, dir, "wal/checkpoint.*/0*")
		return garbage(t, path, filepath.Dir(path))
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"checkpoint is gone", func(t *testing.T, dir string) string {
		t.Helper()
		return gone(t, first(t, dir, "wal/checkpoint.*"), 0)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"log is a file", func(t *testing.T, dir string) string {
		t.Helper()
		path := filepath.Join(dir, "wal")
		gone(t, path, 0)
		return garbage(t, path, path)
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"segment is a directory", func(t *testing.T, dir string) string {
		t.Helper()
		path := first(t, dir, "wal/0*")
		gone(t, path, 0)
		if err := os.Mkdir(path, 0o750); err != nil {
			t.Fatal(err)
		}
		return path
	}, `count_over_time(whole{n="1"}[10h]) > 400`},
	{"chunks_head is a file", func(t *testing.T, dir string) string {
		t.Helper()
		path := filepath.Join(dir, "chunks_head")
		gone(t, path, 0)
		return garbage(t, path, path)
	}, `count_over_time(whole{n="1"}[10h]) > 900`},
}

// firstSegments makes the log one that was never cut, of the last n segments.
func firstSegments(t *testing.T, dir string, n int) {
	t.Helper()
	gone(t, first(t, dir, "wal/checkpoint.*"), 0)
	segments, err := filepath.Glob(filepath.Join(dir, "wal/0*"))
	if err != nil || len(segments) < n {
		t.Fatal(segments, err)
	}
	for i, path := range segments {
		if kept := i - (len(segments) - n); kept < 0 {
			gone(t, path, 0)
		} else if err := os.Rename(path, wlog.SegmentName(filepath.Join(dir, "wal"), kept)); err != nil {
			t.Fatal(err)
		}
	}
}

// gone deletes path and returns it, or one of its parents.
func gone(t *testing.T, path string, up int) string {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	for range up {
		path = filepath.Dir(path)
	}
	return path
}

func garbage(t *testing.T, path, damaged string) string {
	t.Helper()
	if err := os.WriteFile(path, bytes.Repeat([]byte("garbage "), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	return damaged
}

func TestDamageIsReportedAndLeftUntouched(t *testing.T) {
	t.Parallel()
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dir := filledDir(t)
			damaged := d.do(t, dir)
			before := tree(t, dir)
			var log programs.Buffer
			in := startBroken(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for _, path := range []string{"/", "/query", "/api/v1/query?query=up", "/federate?match[]=up", "/-/ready", "/targets"} {
				status, body := get(t, in.url+path)
				if status != http.StatusServiceUnavailable || !strings.Contains(body, filepath.Base(dir)+strings.TrimPrefix(damaged, dir)) || strings.Contains(body, dir) || !strings.Contains(body, "--builtin-prometheus-repair") {
					t.Errorf("%s: %d %s", path, status, body)
				}
			}
			if err := in.Err(); err == nil || !strings.Contains(err.Error(), damaged) {
				t.Errorf("Err: %v", err)
			}
			if _, page := get(t, in.url+"/metrics"); !strings.Contains(page, "stackscope_prometheus_up 0") || !strings.Contains(page, `stackscope_prometheus_problem{problem="data"} 1`) {
				t.Errorf("metrics: %s", page)
			}
			in.stop()
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%d errors in the log, want one:\n%s", n, log.String())
			}
			after := tree(t, dir)
			delete(before, "queries.active")
			delete(after, "queries.active")
			if !cmp.Equal(before, after) {
				for name := range after {
					if before[name] != after[name] {
						t.Errorf("%s was changed from %d to %d bytes", name, len(before[name]), len(after[name]))
					}
				}
				for name := range before {
					if _, is := after[name]; !is {
						t.Errorf("%s is gone", name)
					}
				}
			}
		})
	}
}

func TestRepairMovesDamageAsideAndContinues(t *testing.T) {
	t.Parallel()
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dir := filledDir(t)
			damaged := d.do(t, dir)
			whole := tree(t, dir)
			var log programs.Buffer
			in := start(t, Options{Dir: dir, Repair: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if got := in.query(t, d.keeps); len(got) == 0 {
				t.Errorf("%s: nothing; there is %v", d.keeps, in.query(t, `count_over_time(whole{n="1"}[10h])`))
			}
			if err := in.Err(); err != nil {
				t.Errorf("Err: %v", err)
			}
			if !strings.Contains(log.String(), damaged) {
				t.Errorf("%s is not in the log:\n%s", damaged, log.String())
			}
			aside := tree(t, dir)
			for name, content := range aside {
				if _, inside, ok := strings.Cut(name, "damaged-"); ok {
					_, was, _ := strings.Cut(inside, "/")
					if whole[was] != content {
						t.Errorf("%s is not what %s was", name, was)
					}
				}
			}
			in.stop()
			again := start(t, Options{Dir: dir}) // needs no repair any more
			if err := again.Err(); err != nil {
				t.Errorf("the next start: %v", err)
			}
		})
	}
}

// startBroken starts one whose data can't be opened and waits until it says so.
func startBroken(t *testing.T, o Options) *instance {
	t.Helper()
	in := launch(t, o)
	await(t, "it says what is wrong", func() bool { return in.Err() != nil })
	return in
}

// What the TSDB's own repair mends is mended without asking, as in a separate Prometheus.
func TestOwnRepairOfTheTSDBIsTried(t *testing.T) {
	t.Parallel()
	dir := filledDir(t)
	segments, err := filepath.Glob(filepath.Join(dir, "wal/0*"))
	if err != nil {
		t.Fatal(err)
	}
	last := segments[len(segments)-1]
	for _, s := range segments {
		if info, err := os.Stat(s); err == nil && info.Size() > 0 {
			last = s
		}
	}
	data, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)/2:], "garbage in the middle")
	if err := os.WriteFile(last, data, 0o600); err != nil {
		t.Fatal(err)
	}
	in := start(t, Options{Dir: dir})
	if got := in.query(t, `count_over_time(whole{n="1"}[10h]) > 400`); len(got) == 0 {
		t.Error("nothing is left")
	}
}

// A directory that isn't usable at the start is taken as soon as it is.
func TestDirectoryThatBecomesUsable(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "prometheus")
	if err := os.WriteFile(dir, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		opened := make(chan *core, 1)
		go func() { opened <- p.open(ctx) }()
		synctest.Wait()
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "the server retries every 15s") {
			t.Errorf("Err: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.Err() == nil {
			t.Error("it opened a file")
		}
		cancel()
		if c := <-opened; c != nil {
			t.Error("it opened a file")
		}
	})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	c, out := p.tryOpen()
	if out != nil {
		t.Fatal(out)
	}
	if err := errors.Join(c.closeStorage(), p.release()); err != nil {
		t.Error(err)
	}
}

func TestTooLittleSpaceToOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := New(Options{Dir: dir, Repair: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	p.disk.free = func(string) (uint64, bool) { return 1 << 20, true }
	before := tree(t, dir)
	c, out := p.tryOpen()
	if c != nil || out == nil || !out.transient || !strings.Contains(out.Error(), "1 MiB are free, 8 MiB are needed") {
		t.Fatalf("%v", out)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
	if len(out.faults) != 1 || out.faults[0].repair != nil {
		t.Errorf("a full disk is taken for damage: %v", out.faults)
	}
}

func TestPanicWhileOpeningIsAnError(t *testing.T) {
	err := recovered(func() error { panic("out of range") })
	if err == nil || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("%v", err)
	}
}

// Where only the first segment is gone there was no checkpoint, and none is spoken of.
func TestMissingBeginningOfTheLog(t *testing.T) {
	t.Parallel()
	for segments, want := range map[[3]bool]string{
		{true, true, true}:   "",
		{false, true, true}:  "DIR/00000000: it is missing",
		{false, false, true}: "DIR: it begins with 00000002: DIR/checkpoint.00000001 or the segments before are missing",
	} {
		dir := t.TempDir()
		for n, there := range segments {
			if there {
				if err := os.WriteFile(wlog.SegmentName(dir, n), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		var got []string
		for _, f := range inspectWAL(dir) {
			got = append(got, strings.ReplaceAll(f.String(), dir, "DIR"))
		}
		if text := strings.Join(got, "; "); !strings.Contains(text, want) || (want == "") != (text == "") || len(got) > 1 || want != "" && !strings.Contains(text, "(lost: samples ") {
			t.Errorf("%v: %q, want %q", segments, text, want)
		}
	}
}

func TestWhatToDoAboutDamage(t *testing.T) {
	faults := []fault{{path: "/data/x", what: "block", err: errNoFile, lost: "samples of a day"}}
	for want, o := range map[string]outage{
		"restore the damaged data from a backup, or start the server with --builtin-prometheus-repair, which moves it to /data/damaged-TIME " +
			"and continues without it; nothing has been changed": {dir: "/data", faults: faults},
		"the repair did not help: move the directory away or restore it from a backup, and start the server again": {dir: "/data", faults: faults, repaired: true},
	} {
		if got := o.remedy(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if want := "block /data/x: it is a directory where a file belongs (lost: samples of a day)"; !strings.HasSuffix(o.Error(), want) {
			t.Errorf("got  %v\nwant %s", o.Error(), want)
		}
	}
}

func TestFailuresThatMayPass(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, fmt.Errorf("open: %w", &os.PathError{Op: "open", Path: "x", Err: syscall.EACCES})} {
		if !isEnvironmentError(err) {
			t.Errorf("%v is taken for damage", err)
		}
	}
	for _, err := range []error{errNoFile, &wlog.CorruptionErr{}, syscall.ENOENT} {
		if isEnvironmentError(err) {
			t.Errorf("%v is not taken for damage", err)
		}
	}
}
