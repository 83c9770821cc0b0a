package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files below a new root.
func tree(t *testing.T, files map[string]string) *hostFS {
	t.Helper()
	r := newHostFS(t.TempDir())
	for name, text := range files {
		plant(t, r, name, text)
	}
	return r
}

func plant(t *testing.T, r *hostFS, name, text string) {
	t.Helper()
	path := r.path(filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// values are the samples of a family as lines.
func values(samples []sample, family string) []string {
	var out []string
	for _, s := range samples {
		if strings.HasSuffix(s.metric.Name, family) {
			out = append(out, fmt.Sprintf("%s %v", s.labels, s.value))
		}
	}
	return out
}

func TestDisksAreBounded(t *testing.T) {
	files := map[string]string{}
	var table strings.Builder
	for i := range maxDisks + 3 {
		fmt.Fprintf(&table, "8 %d sd%c%c 1 0 8 1 1 0 8 1 0 1 1\n", i, 'a'+i/26, 'a'+i%26)
		files[fmt.Sprintf("sys/block/sd%c%c/size", 'a'+i/26, 'a'+i%26)] = "100\n"
	}
	files["proc/diskstats"] = table.String()
	samples, err := newDiskReader(tree(t, files)).read(t.Context())
	if len(samples) != 5*maxDisks || err == nil || !strings.Contains(err.Error(), "there are 131 disks") {
		t.Errorf("%d samples, error %v", len(samples), err)
	}
}

func TestBrokenLineOfDisksCostsOnlyItself(t *testing.T) {
	r := tree(t, map[string]string{
		"proc/diskstats":     "8 0 sda 1 0 8 1 2 0 16 1 0 1000 1\n8 1 sdb 1 0 8 1 2 0 16\n8 2 sdc 1 0 x 1 2 0 16 1 0 1 1\n8 3\n8 4 .. 1 0 8 1 2 0 16 1 0 1 1\n\n",
		"sys/block/sda/size": "1", "sys/block/sdb/size": "1", "sys/block/sdc/size": "1",
	})
	samples, err := newDiskReader(r).read(t.Context())
	want := []string{`device="sda" 8192`}
	if diff := cmp.Diff(want, values(samples, "disk_written_bytes")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	table := r.path("proc", "diskstats")
	wantErr := fmt.Sprintf("%[1]s: the line of sdb does not have the numbers of a disk; %[1]s: the line of sdc does not have the numbers of a disk; "+
		"%[1]s: line 4 does not name a device; %[1]s: line 5 does not name a device", table)
	if err == nil || err.Error() != wantErr {
		t.Errorf("got error %v\nwant %s", err, wantErr)
	}
}

func TestDisksComeAndGo(t *testing.T) {
	const line = "8 0 sda 1 0 8 1 2 0 16 1 0 1000 1\n"
	r := tree(t, map[string]string{"proc/diskstats": "7 0 loop0 1 0 8 1 2 0 16 1 0 1 1\n"})
	d := newDiskReader(r)
	if samples, err := d.read(t.Context()); !errors.Is(err, errAbsent) || len(samples) > 0 {
		t.Errorf("only a loop device: %v, %v", samples, err)
	}
	plant(t, r, "proc/diskstats", line)
	plant(t, r, "sys/block/sda/size", "0")
	if samples, err := d.read(t.Context()); !errors.Is(err, errAbsent) || len(samples) > 0 {
		t.Errorf("without a medium: %v, %v", samples, err)
	}
	if len(d.known) != 1 {
		t.Errorf("knows %d devices", len(d.known))
	}
	plant(t, r, "sys/block/sda/size", "100")
	var samples []sample
	for range rareEvery {
		samples, _ = d.read(t.Context())
	}
	if len(samples) != 5 {
		t.Errorf("the medium is not seen: %v", samples)
	}
	if err := os.Remove(r.path("proc", "diskstats")); err != nil {
		t.Fatal(err)
	}
	if samples, err := newDiskReader(r).read(t.Context()); !errors.Is(err, errAbsent) || len(samples) > 0 {
		t.Errorf("without the table: %v, %v", samples, err)
	}
}

func FuzzDisk(f *testing.F) {
	f.Add([]byte(" 259       0 nvme0n1 1822809 410824 89457082 2021354 450499 1020739 92546680 400041 0 261076 2479557 617114 246 123906568 54476 57239 3683"))
	f.Add([]byte("   8       1 sda1 250 2000 36 0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if name := diskName(line); name != nil && !isDeviceName(name) {
			t.Errorf("name %q", name)
		}
		if c, ok := parseDisk(line); ok && len(strings.Fields(string(line))) < 14 || !ok && c != (diskCounters{}) {
			t.Errorf("%v, %v", c, ok)
		}
	})
}
