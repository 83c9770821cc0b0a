package gpu

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRecordedMessages reads messages of real systems (testdata/SOURCES.md). What follows => is what they mean.
func TestRecordedMessages(t *testing.T) {
	f, err := os.Open(filepath.Join("testdata", "kernel.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		text, want, found := strings.Cut(lines.Text(), " => ")
		if !found {
			t.Fatalf("no => in %q", lines.Text())
		}
		got := "nothing"
		if e, ok := parseMessage(text); ok {
			severity := e.Severity
			if severity == "" {
				severity, _ = classify(e.Kind, e.Code)
			}
			got = strings.Join([]string{e.Vendor, e.PCI, e.Kind, e.Code, string(severity)}, " ")
			if e.Source != SourceKernelLog {
				t.Errorf("%s: source %s", text, e.Source)
			}
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if n < 30 {
		t.Errorf("%d messages", n)
	}
}

func TestParseRecord(t *testing.T) {
	for line, want := range map[string]record{
		"3,4471,3023054882,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1234": {4471, 3023054882 * time.Microsecond, true, "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234"},
		"6,0,0,c,caller=T1;a;b": {0, 0, true, "a;b"},
		"12,1227,5,-;systemd[1]: NVRM: Xid (PCI:0000:3b:00): 79, quoted": {1227, 5 * time.Microsecond, false, "systemd[1]: NVRM: Xid (PCI:0000:3b:00): 79, quoted"},
	} {
		got, ok := parseRecord(line)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" || !ok {
			t.Errorf("%s: %t (-want +got)\n%s", line, ok, diff)
		}
	}
	for _, line := range []string{"", " SUBSYSTEM=pci", "3,1,2;x", "3,1,2,-", "x,1,2,-;t", "3,-1,2,-;t", "3,1,99999999999999999999,-;t", "NVRM: Xid (PCI:0000:3b:00): 79"} {
		if r, ok := parseRecord(line); ok {
			t.Errorf("%q was read as %+v", line, r)
		}
	}
}

func TestProgramsAreNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 1000, "11,1,5,-;NVRM: Xid (PCI:0000:61:00): 79, pid=1\n")
		s, stop := start(t, Options{Backends: []Backend{newStub("nvidia", "a")}, Root: root})
		time.Sleep(1500 * time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "said by a program", samples, map[string]float64{total79: -1})
		stop()
	})
}

func TestLinesOfTheLog(t *testing.T) {
	long := strings.Repeat("x", maxRecord)
	var k kernelLog
	var got []string
	for _, part := range []string{"one\ntw", "o\n SUBSYSTEM=pci\n\nth", "ree", "\n", long, long + "\nfour\n", "fi"} {
		got = slices.AppendSeq(got, k.lines([]byte(part)))
	}
	if diff := cmp.Diff([]string{"one", "two", "three", "four"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLogOfAnUnknownBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "", 1000, xid(1, 10, "61", "79"))
		o := Options{Backends: []Backend{newStub("nvidia", "a")}, Root: root, StatePath: filepath.Join(t.TempDir(), "gpu.json")}
		for range 3 {
			s, stop := start(t, o)
			time.Sleep(1500 * time.Millisecond)
			samples, _ := collect(t, s)
			want(t, "counted once", samples, map[string]float64{total79: 1})
			stop()
		}
	})
}

func TestManyRecordsAtOnce(t *testing.T) {
	var records []string
	for i := range 3 * maxBatch {
		records = append(records, xid(i, 1, "61", fmt.Sprint(i%2)))
	}
	root := machine(t, "boot-1", 1000, records...)
	l := newRegistry(nil)
	k := &kernelLog{root: root, registry: l, logger: (&logged{}).logger()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.run(ctx)
	if l.next != 0 {
		t.Errorf("read to %d though nobody wants it any more", l.next)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		k.run(ctx)
	})
	n := uint64(0)
	for _, e := range l.entries {
		n += e.base + e.kernel
	}
	if n != 3*maxBatch || l.next != 3*maxBatch {
		t.Errorf("%d counted, read to %d", n, l.next)
	}
}

func FuzzKernelLog(f *testing.F) {
	if data, err := os.ReadFile(filepath.Join("testdata", "kernel.log")); err == nil {
		for line := range strings.Lines(string(data)) {
			f.Add("3,1,5,-;" + line)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := parseRecord(line)
		if !ok {
			r.text = line
		}
		if r.at < 0 || len(r.text) > len(line) {
			t.Errorf("%+v", r)
		}
		e, ok := parseMessage(r.text)
		if !ok {
			if e != (Event{}) {
				t.Errorf("%+v", e)
			}
			return
		}
		if e.Vendor == "" || e.Kind == "" || e.Code == "" || len(e.Code) > 24 || len(e.PCI) > 16 || pciAddress(e.PCI) != e.PCI {
			t.Errorf("%+v", e)
		}
	})
}
