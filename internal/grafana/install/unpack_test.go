package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cage is a directory inside of another one, with a file beside it that must stay as it is.
func cage(tb testing.TB) (outer, inner string) {
	tb.Helper()
	outer = tb.TempDir()
	inner = filepath.Join(outer, "home")
	if err := os.Mkdir(inner, 0o750); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outer, "secret"), []byte("untouched"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return outer, inner
}

// intact says whether nothing outside of the cage was made, changed or reached by a link.
func intact(tb testing.TB, outer, inner string) {
	tb.Helper()
	entries, err := os.ReadDir(outer)
	if err != nil || len(entries) != 2 {
		tb.Errorf("beside the directory: %v, %v", entries, err)
	}
	if data, err := os.ReadFile(filepath.Join(outer, "secret")); err != nil || string(data) != "untouched" {
		tb.Errorf("the file beside the directory: %q, %v", data, err)
	}
	_ = filepath.WalkDir(inner, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			tb.Error(err)
			return nil
		}
		if d.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
			tb.Errorf("%s is a %v", p, d.Type())
		}
		if info, err := d.Info(); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
			tb.Errorf("%s has mode %v", p, info.Mode())
		}
		return nil
	})
}

func TestUnpackRefuses(t *testing.T) {
	special := func(kind byte, name string) tar.Header {
		return tar.Header{Typeflag: kind, Name: name, Linkname: "g/a"}
	}
	for _, tc := range []struct {
		name    string
		entries []tar.Header
		want    string
	}{
		{"climbing name", []tar.Header{file("g/../../secret", "x")}, "leaves the directory"},
		{"climbing through the home", []tar.Header{dir("g"), file("g/a/../../../secret", "x")}, "leaves the directory"},
		{"dots alone", []tar.Header{file("..", "x")}, "leaves the directory"},
		{"absolute name", []tar.Header{file("/tmp/secret", "x")}, "leaves the directory"},
		{"backslashes", []tar.Header{file(`g\..\..\secret`, "x")}, "leaves the directory"},
		{"absolute link", []tar.Header{link("g/a", "/etc/passwd")}, "leaves the directory"},
		{"empty link", []tar.Header{link("g/a", "")}, "leaves the directory"},
		{"climbing link", []tar.Header{link("g/a", "../secret")}, "leaves the directory"},
		{"write through a link", []tar.Header{link("g/a", ".."), file("g/a/secret", "x")}, "leaves the directory"},
		{"link through a link", []tar.Header{dir("g/d"), link("g/d/b", ".."), link("g/a", "d/b/../secret")}, "leaves the directory"},
		{"link that becomes bad later", []tar.Header{dir("g/d"), link("g/a", "d/b/../../secret"), link("g/d/b", "..")}, "leaves the directory"},
		{"hard link", []tar.Header{file("g/a", "x"), special(tar.TypeLink, "g/b")}, "neither file"},
		{"character device", []tar.Header{special(tar.TypeChar, "g/a")}, "neither file"},
		{"block device", []tar.Header{special(tar.TypeBlock, "g/a")}, "neither file"},
		{"fifo", []tar.Header{special(tar.TypeFifo, "g/a")}, "neither file"},
		{"two directories", []tar.Header{file("g/a", "x"), file("h/a", "x")}, "outside of its directory"},
		{"file twice", []tar.Header{file("g/a", "x"), file("g/a", "y")}, "two entries in one place"},
		{"file over a link", []tar.Header{file("g/b", "x"), link("g/a", "b"), file("g/a", "y")}, "two entries in one place"},
		{"file as directory", []tar.Header{file("g/a", "x"), file("g/a/b", "y")}, "two entries in one place"},
		{"directory over a file", []tar.Header{file("g/a", "x"), dir("g/a")}, "two entries in one place"},
		{"top is a file", []tar.Header{file("g", "x")}, "two entries in one place"},
		{"too much", []tar.Header{file("g/a", strings.Repeat("x", 600)), file("g/b", strings.Repeat("x", 600))}, "more than the 1000 bytes"},
		{"too many", []tar.Header{dir("g/1"), dir("g/2"), dir("g/3"), dir("g/4"), dir("g/5"), dir("g/6"), dir("g/7")}, "more than the 6 entries"},
		{"links in a circle", []tar.Header{link("g/a", "b"), link("g/b", "a")}, "leaves the directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			outer, inner := cage(t)
			_, err := unpackFrom(bytes.NewReader(pack(t, tc.entries...)), inner, limits{bytes: 1000, entries: 6})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			intact(t, outer, inner)
		})
	}
}

func TestUnpackKeeps(t *testing.T) {
	outer, inner := cage(t)
	setuid := executable("./g/bin/x", "program")
	setuid.Mode = 0o6777
	closed := file("./g/conf/closed", "")
	closed.Mode = 0o000
	sealed := dir("./g/sealed")
	sealed.Mode = 0o000
	entries := []tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "0123"}},
		dir("./"), dir("./g"), setuid, closed, sealed, file("./g/sealed/in", "1"), file("./g/a/b/c", "no directory before it"),
		link("./g/up", "a/b"), link("./g/a/back", "../bin/x"), link("./g/nowhere", "not/there"),
	}
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, h := range entries {
		content := h.PAXRecords["TEST.content"]
		if h.Typeflag != tar.TypeXGlobalHeader {
			h.PAXRecords = nil
		}
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		_, _ = tw.Write([]byte(content))
	}
	_, _ = tw.Close(), zw.Close()

	u, err := unpackFrom(&b, inner, limits{bytes: 1000, entries: 20})
	if err != nil {
		t.Fatal(err)
	}
	if u.top != "g" || u.entries != len(entries) {
		t.Errorf("got %+v", u)
	}
	intact(t, outer, inner)
	for path, want := range map[string]fs.FileMode{"bin/x": 0o755, "conf/closed": 0o600, "a/b/c": 0o644, "a/back": 0o755, "up/c": 0o644, "sealed/in": 0o644} {
		if info, err := os.Stat(filepath.Join(inner, path)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", path, info, err, want)
		}
	}
	if target, err := os.Readlink(filepath.Join(inner, "nowhere")); err != nil || target != "not/there" {
		t.Errorf("the link that leads nowhere: %s, %v", target, err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, grafana(Version)...))
	f.Add(pack(f, dir("g"), link("g/a", "../x"), file("g/a/b", "x")))
	f.Add(pack(f, file("g/../../x", "x")))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		outer, inner := cage(t)
		u, err := unpackFrom(bytes.NewReader(data), inner, limits{bytes: 1 << 20, entries: 100})
		if err == nil && (u.top == "" || u.bytes > 1<<20) {
			t.Errorf("%+v was taken", u)
		}
		intact(t, outer, inner)
	})
}

// FuzzUnpackTar changes the tar inside, which compressed bytes rarely reach.
func FuzzUnpackTar(f *testing.F) {
	for _, archive := range [][]byte{
		pack(f, grafana(Version)...),
		pack(f, dir("g"), link("g/a", "b/.."), link("g/b", "a"), file("g/c", "x")),
	} {
		zr, err := gzip.NewReader(bytes.NewReader(archive))
		if err != nil {
			f.Fatal(err)
		}
		var plain bytes.Buffer
		if _, err := plain.ReadFrom(zr); err != nil {
			f.Fatal(err)
		}
		f.Add(plain.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b bytes.Buffer
		zw, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = zw.Write(data) // into memory
		_ = zw.Close()
		outer, inner := cage(t)
		_, _ = unpackFrom(&b, inner, limits{bytes: 1 << 20, entries: 100})
		intact(t, outer, inner)
	})
}
