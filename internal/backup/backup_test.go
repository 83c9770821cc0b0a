package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/backup"
)

const block = "prometheus/01JDXW5T8GQ4R0M3N5P7S9V1XZ/"

func manifest() backup.Manifest {
	return backup.Manifest{Version: "1.2.3", CreatedAt: time.Unix(1_800_000_000, 5).UTC(), Schema: 11, Inventory: backup.Inventory{Workers: 3}, Samples: backup.Samples{Included: true, Blocks: 1}}
}

func sources(tb testing.TB) []backup.Source {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "index")
	if err := os.WriteFile(path, bytes.Repeat([]byte("index "), 200), 0o600); err != nil {
		tb.Fatal(err)
	}
	return []backup.Source{
		{Name: "admin-token", Data: []byte("a secret\n")},
		{Name: backup.Database, Data: bytes.Repeat([]byte{7}, 1024)},
		{Name: block + "meta.json", Data: []byte("{}")},
		{Name: block + "index", Path: path},
		{Name: block + "tombstones"}, // empty
		{Name: block + "chunks/000001", Data: []byte("chunks")},
	}
}

func archive(tb testing.TB) []byte {
	tb.Helper()
	a, err := backup.New(manifest(), sources(tb))
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := a.Write(context.Background(), &b); err != nil {
		tb.Fatal(err)
	}
	if int64(b.Len()) != a.Bytes() {
		tb.Errorf("%d bytes were announced, %d written", a.Bytes(), b.Len())
	}
	return b.Bytes()
}

// contents reads a whole archive.
func contents(data []byte) (_ *backup.Manifest, files map[string]string, err error) {
	r, err := backup.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, nil, err
	}
	files = map[string]string{}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Manifest(), files, nil
		}
		if err != nil {
			return nil, nil, err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, err
		}
		files[f.Name] = string(text)
	}
}

func TestRoundTrip(t *testing.T) {
	m, got, err := contents(archive(t))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, s := range sources(t) {
		want[s.Name] = string(s.Data)
	}
	want[block+"index"] = strings.Repeat("index ", 200)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if m.Version != "1.2.3" || m.Schema != 11 || m.Inventory.Workers != 3 || !m.CreatedAt.Equal(time.Unix(1_800_000_000, 0)) || len(m.Files) != len(want) {
		t.Errorf("%+v", m)
	}
}

// stride leaves out two of three places, which saves time.
const stride = 3

// TestEveryCut: no beginning of an archive counts as whole, except those that lack only zeros behind the digests.
func TestEveryCut(t *testing.T) {
	whole := archive(t)
	for n := 0; n < len(whole)-1024; n += stride {
		_, err := backup.Verify(bytes.NewReader(whole[:n]))
		if !errors.Is(err, backup.ErrCut) && (n >= 512 || !errors.Is(err, backup.ErrForeign)) {
			if rest := whole[n:]; err == nil && len(bytes.Trim(rest, "\x00")) == 0 {
				continue
			}
			t.Fatalf("cut after %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// TestEveryByte: an archive with a changed byte is refused, or the byte is one that nobody reads, as the padding.
func TestEveryByte(t *testing.T) {
	whole := archive(t)
	manifest, files, err := contents(whole)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for n := 0; n < len(whole); n += stride {
		changed := bytes.Clone(whole)
		changed[n] ^= 0x11
		m, got, err := contents(changed)
		if err != nil {
			refused++
		} else if cmp.Diff(manifest, m) != "" || cmp.Diff(files, got) != "" {
			t.Fatalf("byte %d of %d: not noticed", n, len(whole))
		}
	}
	if refused < len(whole)/stride/2 {
		t.Errorf("%d of %d changes were noticed", refused, len(whole)/stride)
	}
}

func TestWriteStops(t *testing.T) {
	a, err := backup.New(manifest(), sources(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if err := a.Write(ctx, io.Discard); !errors.Is(err, gone) {
		t.Errorf("a context that ended: %v", err)
	}
	for n := range 40 {
		full := &fullDisk{left: n * 256}
		if err := a.Write(t.Context(), full); !errors.Is(err, errFull) && int64(n*256) < a.Bytes() {
			t.Fatalf("a writer that fails after %d bytes: %v", n*256, err)
		}
	}
}

var errFull = errors.New("full")

type fullDisk struct{ left int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if len(p) > f.left {
		return f.left, errFull
	}
	f.left -= len(p)
	return len(p), nil
}

func TestFileThatChanges(t *testing.T) {
	list := sources(t)
	a, err := backup.New(manifest(), list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list[3].Path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Write(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("%v", err)
	}
	for name, s := range map[string]backup.Source{
		"a folder":     {Name: "worker.json", Path: t.TempDir()},
		"a stray name": {Name: "../etc/passwd"},
		"twice":        {Name: backup.Database},
	} {
		if _, err := backup.New(manifest(), append(sources(t), s)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// member is one of an archive that is made by hand.
type member struct {
	tar.Header
	body string
}

// byHand makes an archive with a manifest that lists files.
func byHand(tb testing.TB, files string, members ...member) []byte {
	tb.Helper()
	text := `{"kind":"stackscope backup","format":1,"version":"9","created_at":"2026-01-01T00:00:00Z","schema_version":11,"files":[` + files + `]}`
	return pack(tb, append([]member{{tar.Header{Name: backup.ManifestName}, text}}, members...)...)
}

func pack(tb testing.TB, members ...member) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := m.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Size == 0 && h.Typeflag == tar.TypeReg {
			h.Size = int64(len(m.body))
		}
		if err := w.WriteHeader(&h); err != nil {
			tb.Fatal(err)
		}
		_, _ = io.WriteString(w, m.body) // a size that lies makes it fail
	}
	_ = w.Close()
	return b.Bytes()
}

const listed = `{"name":"stackscope.db","size":3}`

func hostile(tb testing.TB) map[string][]byte {
	tb.Helper()
	sparse := tar.Header{Name: "stackscope.db", Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": "x"}}
	extra := bytes.Clone(archive(tb))
	many := strings.Repeat(`{"name":"worker.json","size":0},`, 100_001)
	return map[string][]byte{
		"a link":              byHand(tb, listed, member{tar.Header{Name: "stackscope.db", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""}),
		"a hard link":         byHand(tb, listed, member{tar.Header{Name: "stackscope.db", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, ""}),
		"a device":            byHand(tb, listed, member{tar.Header{Name: "stackscope.db", Typeflag: tar.TypeBlock, Devmajor: 8}, ""}),
		"a pipe":              byHand(tb, listed, member{tar.Header{Name: "stackscope.db", Typeflag: tar.TypeFifo}, ""}),
		"a folder":            byHand(tb, listed, member{tar.Header{Name: "stackscope.db", Typeflag: tar.TypeDir}, ""}),
		"a path upwards":      byHand(tb, listed+`,{"name":"../escape","size":1}`, member{tar.Header{Name: "stackscope.db"}, "abc"}, member{tar.Header{Name: "../escape"}, "x"}),
		"a path in a block":   byHand(tb, listed+`,{"name":"prometheus/01JDXW5T8GQ4R0M3N5P7S9V1XZ/chunks/../../../x","size":1}`),
		"an absolute path":    byHand(tb, listed+`,{"name":"/etc/cron.d/x","size":1}`),
		"another member":      byHand(tb, listed, member{tar.Header{Name: "../../escape"}, "abc"}),
		"a name with newline": byHand(tb, listed+`,{"name":"worker.json\n","size":1}`),
		"no database":         byHand(tb, `{"name":"worker.json","size":1}`),
		"a negative size":     byHand(tb, `{"name":"stackscope.db","size":-1}`),
		"an overflow":         byHand(tb, `{"name":"stackscope.db","size":9223372036854775807},{"name":"worker.json","size":9223372036854775807}`),
		"a large token":       byHand(tb, listed+`,{"name":"admin-token","size":1000000}`),
		"many files":          byHand(tb, many+listed),
		"another size":        byHand(tb, listed, member{tar.Header{Name: "stackscope.db"}, "abcd"}),
		"attributes":          byHand(tb, listed, member{sparse, "abc"}),
		"no digests":          byHand(tb, listed, member{tar.Header{Name: "stackscope.db"}, "abc"}),
		"wrong digests":       byHand(tb, listed, member{tar.Header{Name: "stackscope.db"}, "abc"}, member{tar.Header{Name: backup.SumsName}, strings.Repeat("0", 64) + "  manifest.json\n"}),
		"more behind its end": append(extra, "more"...),
		"endless zeros":       append(bytes.Clone(extra), make([]byte, 3<<20)...),
		"a large manifest":    pack(tb, member{tar.Header{Name: backup.ManifestName}, strings.Repeat(" ", 17<<20)}),
		"no JSON":             pack(tb, member{tar.Header{Name: backup.ManifestName}, "{"}),
	}
}

func TestHostile(t *testing.T) {
	for name, data := range hostile(t) {
		_, err := backup.Verify(bytes.NewReader(data))
		if !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrCut) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: a text of %d bytes", name, len(err.Error()))
		}
	}
}

func TestForeignAndNewer(t *testing.T) {
	for _, c := range []struct {
		data []byte
		want error
		text string
	}{
		{nil, backup.ErrForeign, "empty"},
		{[]byte("\x28\xb5\x2f\xfdxxxx"), backup.ErrForeign, "zstd -dc"},
		{[]byte("SQLite format 3\x00"), backup.ErrForeign, "SQLite"},
		{pack(t, member{tar.Header{Name: "readme.txt"}, "x"}), backup.ErrForeign, "manifest.json"},
		{pack(t, member{tar.Header{Name: backup.ManifestName}, `{"kind":"other"}`}), backup.ErrForeign, "another kind"},
		{pack(t, member{tar.Header{Name: backup.ManifestName}, `{"kind":"stackscope backup","format":2,"version":"7.0.0"}`}), backup.ErrNewer, "7.0.0"},
	} {
		_, err := backup.Verify(bytes.NewReader(c.data))
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%v, want %v with %s", err, c.want, c.text)
		}
	}
}

// FuzzReader: the reader neither fails otherwise than with an error nor gives more than it is given, and what it takes for whole is listed.
func FuzzReader(f *testing.F) {
	f.Add(archive(f))
	for name, data := range hostile(f) {
		if len(data) < 64<<10 {
			f.Add(data)
		} else if name == "" {
			f.Fatal("no name")
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := backup.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		var all, listed int64
		for _, f := range r.Manifest().Files {
			listed += f.Size
		}
		for files := 0; ; files++ {
			file, err := r.Next()
			if errors.Is(err, io.EOF) {
				if files != len(r.Manifest().Files) || all != listed {
					t.Errorf("%d files with %d bytes, %+v", files, all, r.Manifest())
				}
				return
			}
			if err != nil {
				return
			}
			if strings.Contains(file.Name, "..") || strings.HasPrefix(file.Name, "/") {
				t.Fatalf("name %q", file.Name)
			}
			n, err := io.Copy(io.Discard, r)
			all += n
			if n > int64(len(data)) {
				t.Fatalf("%d bytes of %d", n, len(data))
			}
			if err != nil {
				return
			}
		}
	})
}
