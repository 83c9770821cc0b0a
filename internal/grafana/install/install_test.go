package install

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// store writes an archive to a file.
func store(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grafana.tar.gz")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// names returns what is in a directory, without the lock.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestInstallFile(t *testing.T) {
	data := release(t, Version, 100)
	home := filepath.Join(t.TempDir(), "homes")
	o := Options{Dir: home, File: store(t, data), Platform: testPlatform, pins: pinned(Version, data)}

	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(home, "grafana-"+Version)
	if r.Home != want || r.Version != Version || r.Already || r.Entries != 6 || r.Unpacked == 0 {
		t.Errorf("got %+v, want a home %s", r, want)
	}
	if diff := cmp.Diff([]string{"grafana-" + Version}, names(t, home)); diff != "" {
		t.Errorf("left in the directory (-want +got):\n%s", diff)
	}
	for path, mode := range map[string]os.FileMode{"": 0o755, "bin/grafana": 0o755, "conf/defaults.ini": 0o644, "public": 0o755} {
		info, err := os.Stat(filepath.Join(want, path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: mode %v, %v, want %v", path, info.Mode(), err, mode)
		}
	}

	marker := filepath.Join(want, "marker")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err = Run(t.Context(), o); err != nil || !r.Already || r.Home != want {
		t.Errorf("a second time: %+v, %v", r, err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Errorf("a second time changed the home: %v", err)
	}
	o.Force = true
	if r, err = Run(t.Context(), o); err != nil || r.Already {
		t.Errorf("by force: %+v, %v", r, err)
	}
	if _, err := os.Stat(marker); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("by force the old home stayed: %v", err)
	}
	if got := names(t, home); len(got) != 1 {
		t.Errorf("by force left %v", got)
	}
}

func TestVersionComesFromTheArchive(t *testing.T) {
	for _, tc := range []struct {
		name, top, version, flag, want, err string
	}{
		{"VERSION file", "grafana-v12.4.3", "12.4.3", "", "12.4.3", ""},
		{"security build", "grafana-12.4.3+security-02", "12.4.3+security-02", "", "12.4.3+security-02", ""},
		{"directory's name", "grafana-11.6.0", "", "", "11.6.0", ""},
		{"directory's name with v", "grafana-v11.6.0", "", "", "11.6.0", ""},
		{"flag", "build", "", "v10.0.0", "10.0.0", ""},
		{"nothing", "build", "", "", "", "give it with --version"},
		{"another", "grafana-11.6.0", "11.6.0", "12.0.0", "", "holds Grafana 11.6.0, not 12.0.0"},
		{"nonsense", "grafana-1", "../../x", "", "", "give it with --version"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			entries := grafana("0.0.0")
			for i := range entries {
				entries[i].Name = tc.top + strings.TrimPrefix(entries[i].Name, "grafana-0.0.0")
			}
			entries = entries[:len(entries)-1]
			if tc.version != "" {
				entries = append(entries, file(tc.top+"/VERSION", tc.version))
			}
			data := pack(t, entries...)
			r, err := Run(t.Context(), Options{Dir: t.TempDir(), File: store(t, data), SHA256: sha256Of(data), Version: tc.flag, Platform: testPlatform})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want an error with %q", err, tc.err)
				}
				return
			}
			if err != nil || r.Version != tc.want || filepath.Base(r.Home) != "grafana-"+tc.want {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	data := release(t, Version, 3000)
	good := store(t, data)
	noProgram := grafana(Version)
	noProgram[1].Mode = 0o644
	foreign := grafana(Version)
	foreign[1] = executable(foreign[1].Name, "\x7fELF, but for another processor")
	unreadable := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(unreadable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	given := func(data []byte) Options { return Options{File: store(t, data), SHA256: sha256Of(data)} }
	for _, tc := range []struct {
		name string
		o    Options
		want []string
	}{
		{"no directory", Options{Dir: "-", File: good}, []string{"--dir"}},
		{"directory is a file", Options{Dir: filepath.Join(unreadable, "homes"), File: good}, []string{"not a directory", "--dir"}},
		{"version", Options{Version: "twelve"}, []string{`--version "twelve"`, Version}},
		{"version that climbs", Options{Version: "13.2.2/../../x"}, []string{"--version"}},
		{"security build", Options{Version: "12.4.3+security-02"}, []string{"--version 12.4.3+security-02", "--file", "--sha256"}},
		{"checksum", Options{SHA256: "abc"}, []string{`--sha256 "abc"`, "64 hexadecimal digits"}},
		{"machine", Options{Platform: "linux/riscv64"}, []string{"linux/riscv64", "--file", "--grafana-home"}},
		{"two sources", Options{File: good, Mirror: "http://127.0.0.1:1"}, []string{"--file and --mirror"}},
		{"mirror", Options{Mirror: "mirror.lan/grafana"}, []string{`--mirror "mirror.lan/grafana"`, "https://HOST[/PATH]", "oss/release/grafana-" + Version}},
		{"mirror's scheme", Options{Mirror: "ftp://mirror.lan"}, []string{"--mirror", "https://HOST"}},
		{"no file", Options{File: good + ".gone"}, []string{"--file " + good + ".gone: no such file"}},
		{"file is a directory", Options{File: t.TempDir()}, []string{"is no file"}},
		{"file without checksum", Options{File: good, Version: "10.0.0"}, []string{"no checksum of Grafana 10.0.0", "--sha256"}},
		{"other checksum", Options{File: good, SHA256: strings.Repeat("0", 64)}, []string{"SHA-256 " + sha256Of(data)[:32], "another archive or a damaged one"}},
		{"cut short", Options{File: store(t, data[:1000])}, []string{"is cut short", "has 1000 bytes"}},
		{"cut short but confirmed", given(data[:1000]), []string{"ends in the middle", "fetch it again"}},
		{"damaged", Options{File: store(t, append([]byte{}, append(data[:len(data)-9:len(data)-9], make([]byte, 9)...)...))}, []string{"SHA-512", "damaged"}},
		{"a page in place of the archive", Options{File: store(t, []byte("<html>not found</html>"))}, []string{"is no gzip archive", ".tar.gz"}},
		{"program cannot run", given(pack(t, noProgram...)), []string{"no release of Grafana", "not executable"}},
		{"program of another machine", given(pack(t, foreign...)), []string{"does not start on this machine", thisPlatform(), "exec format error"}},
		{"another program's", given(pack(t, dir("prometheus/"), file("prometheus/prometheus", "x"))), []string{"no release of Grafana", "bin/grafana"}},
		{"empty archive", given(pack(t)), []string{"is empty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "homes")
			o := tc.o
			switch o.Dir {
			case "":
				o.Dir = home
			case "-":
				o.Dir = ""
			}
			if o.Platform == "" {
				o.Platform = testPlatform
			}
			o.pins = pinned(Version, data)
			_, err := Run(t.Context(), o)
			if err == nil {
				t.Fatal("it was installed")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			if _, err := os.Stat(home); err == nil {
				if left := names(t, home); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			}
		})
	}
}

func TestDiskErrors(t *testing.T) {
	in := &installer{Options: Options{Dir: "/srv/homes"}}
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "write", Path: "/srv/homes/.unpack-1/x", Err: syscall.ENOSPC}, "the disk of /srv/homes is full (no space left on device): free some 3 GB there or choose another directory with --dir"},
		{&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EROFS}, "/srv/homes cannot be written (read-only file system): choose another directory with --dir"},
		{&os.PathError{Op: "open", Path: "/srv/homes/.unpack-1/x", Err: syscall.EACCES}, "open /srv/homes/.unpack-1/x: permission denied: run it as the owner of /srv/homes, or choose another directory with --dir"},
	} {
		if got := in.explain(tc.err).Error(); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestNoRightToWrite(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	data := release(t, Version, 10)
	_, err := Run(t.Context(), Options{Dir: filepath.Join(dir, "homes"), File: store(t, data), SHA256: sha256Of(data), Platform: testPlatform})
	if err == nil || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("got %v", err)
	}
}

func TestOneInstallationAtATime(t *testing.T) {
	data := release(t, Version, 100)
	home := t.TempDir()
	o := Options{Dir: home, File: store(t, data), Platform: testPlatform, pins: pinned(Version, data)}
	first := &installer{Options: o}
	if err := first.setDefaults(); err != nil {
		t.Fatal(err)
	}
	unlock, err := first.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var once bool
	o.Report = func(e Event) {
		if e.Stage == StageWait && !once {
			once = true
			if !strings.Contains(e.Text, home) {
				t.Errorf("waiting is told as %q", e.Text)
			}
			unlock()
		}
	}
	if _, err := Run(t.Context(), o); err != nil || !once {
		t.Errorf("it did not wait for the other one (%v): %v", once, err)
	}

	unlock, err = first.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	o.Report, o.Force = func(Event) { cancel() }, true
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting doesn't end with the context: %v", err)
	}
}

func TestLeftoversAreSwept(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, workPrefix+"12345", "bin"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"grafana-1.2.3.linux-amd64.tar.gz.part", "grafana-1.2.3.linux-amd64.tar.gz.part.json"} {
		if err := os.WriteFile(filepath.Join(home, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := release(t, Version, 100)
	if _, err := Run(t.Context(), Options{Dir: home, File: store(t, data), Platform: testPlatform, pins: pinned(Version, data)}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, home); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

func TestCancelledWhileUnpacking(t *testing.T) {
	data := release(t, Version, 4<<20)
	home := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, Options{Dir: home, File: store(t, data), Platform: testPlatform, pins: pinned(Version, data), Report: func(e Event) {
		if e.Stage == StageUnpack {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := names(t, home); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// An archive for another machine is installed there, and not taken for this one's.
func TestPlatform(t *testing.T) {
	program := func(machine elf.Machine) []byte {
		header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Ehsize: 64, Phentsize: 56, Shentsize: 64}
		copy(header.Ident[:], []byte{0x7f, 'E', 'L', 'F', 2, 1, 1})
		var b bytes.Buffer
		if err := binary.Write(&b, binary.LittleEndian, header); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	entries := grafana(Version)
	entries[1] = executable(entries[1].Name, string(program(elf.EM_AARCH64)))
	entries[1].Size = int64(len(program(elf.EM_AARCH64)))
	data := pack(t, entries...)
	o := Options{Dir: t.TempDir(), File: store(t, data), SHA256: sha256Of(data), Platform: "linux/arm64"}
	if thisPlatform() == o.Platform {
		t.Skip("this machine would start it")
	}
	if r, err := Run(t.Context(), o); err != nil || r.Already {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := Run(t.Context(), o); err != nil || !r.Already {
		t.Errorf("again: %+v, %v", r, err)
	}
	o.Platform = "linux/amd64"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is for another architecture (EM_AARCH64) than linux/amd64") {
		t.Errorf("as another platform's: %v", err)
	}
	o.Platform = "arm64"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--platform") {
		t.Errorf("a platform that is none: %v", err)
	}
}
