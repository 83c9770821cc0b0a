package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMounts(t *testing.T) {
	r := tree(t, map[string]string{"dev/dm-3": "", "sys/devices/virtual/block/nvme0n1p2/dev": "259:2"})
	for link, target := range map[string]string{"dev/mapper/data": "../dm-3", "sys/dev/block/259:2": "../../devices/virtual/block/nvme0n1p2"} {
		path := r.path(filepath.FromSlash(link))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]mount{
		`36 35 98:0 / /mnt rw,noatime - ext3 /dev/sda1 rw`:                          {"/dev/sda1", "98:0", "/mnt", "ext3", false},
		`36 35 98:0 / /mnt rw shared:1 master:2 - ext3 /dev/sda1`:                   {"/dev/sda1", "98:0", "/mnt", "ext3", false},
		`36 35 98:0 /sub /mnt rw - ext3 /dev/sda1 rw`:                               {"/dev/sda1", "98:0", "/mnt", "ext3", true},
		`36 35 0:40 /@home /home rw - btrfs /dev/sda1 rw,subvol=/@home`:             {"/dev/sda1", "0:40", "/home", "btrfs", false},
		`36 35 0:40 /@home/a /a rw - btrfs /dev/sda1 rw,subvol=/@home`:              {"/dev/sda1", "0:40", "/a", "btrfs", true},
		`36 35 0:4 net:[402] /run/netns/x rw - nsfs nsfs rw`:                        {"net:[402]", "0:4", "/run/netns/x", "nsfs", false},
		`36 35 254:3 / /data rw - xfs /dev/mapper/data rw`:                          {r.path("dev", "dm-3"), "254:3", "/data", "xfs", false},
		`36 35 254:4 / /data rw - xfs /dev/mapper/none rw`:                          {"/dev/mapper/none", "254:4", "/data", "xfs", false},
		`36 35 259:2 / / rw - ext4 /dev/root rw`:                                    {"/dev/nvme0n1p2", "259:2", "/", "ext4", false},
		`36 35 8:1 / /a\040b\011c\134d\043 rw - ext4 /dev/sda1 rw`:                  {"/dev/sda1", "8:1", "/a b\tc\\d#", "ext4", false},
		`36 35 0:50 / /Docker/host rw - 9p drvfs rw,path=C:\Program Files\Docker;x`: {"drvfs", "0:50", "/Docker/host", "9p", false},
	} {
		got, err := r.parseMounts([]byte(line + "\n"))
		if diff := cmp.Diff([]mount{want}, got, cmp.AllowUnexported(mount{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", line, err, diff)
		}
	}
	two, _ := r.parseMounts([]byte("1 0 8:1 / /a rw - ext4 /dev/disk/by-label/x rw\n2 0 8:1 / /b rw - ext4 /dev/sda1 rw\n"))
	if len(two) != 2 || two[0].device != two[1].device {
		t.Errorf("one device under two names: %v", two)
	}
}

func TestBrokenLineOfMountsCostsOnlyItself(t *testing.T) {
	r := tree(t, map[string]string{"proc/1/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /cut r\n3 1 8:3 / /data rw - ext4 /dev/sdb1 rw\n"})
	f := newFilesystemReader(r, func(context.Context, string) (uint64, uint64, error) { return 2, 1, nil })
	for range 2 { // the table is taken apart once
		samples, err := f.read(t.Context())
		if diff := cmp.Diff([]string{`mountpoint="/" 2`, `mountpoint="/data" 2`}, values(samples, "filesystem_total_bytes")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if err == nil || !strings.Contains(err.Error(), "mountinfo: line 2 ") || !strings.Contains(err.Error(), "/cut") {
			t.Errorf("got error %v", err)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add([]byte("36 35 98:0 /sub /a\\040b rw shared:1 - ext3 /dev/sda1 rw,subvol=/sub\n1 2 3\n"))
	f.Fuzz(func(t *testing.T, table []byte) {
		mounts, err := newHostFS("/nonexistent").parseMounts(table)
		if lines := strings.Count(string(table), "\n") + 1; len(mounts) > lines || len(mounts) == lines && err != nil {
			t.Errorf("%d mounts of %d lines, error %v", len(mounts), lines, err)
		}
		for _, m := range mounts {
			if m.number == "" || m.fstype == "" || m.device == "" || m.mountpoint == "" {
				t.Errorf("%+v", m)
			}
		}
		volumes(mounts)
	})
}
