package release

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// distDir returns the folder that hack/release built. Without STACKSCOPE_RELEASE the test is skipped: `make release-dry-run` sets it.
func distDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("STACKSCOPE_RELEASE")
	if dir == "" {
		t.Skip("needs a built release: make release-dry-run")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// wanted is an archive of a release and what must be in it.
type wanted struct {
	name, arch string
	programs   []string
	cgo        bool
}

func (w wanted) file(version string) string {
	return fmt.Sprintf("%s_%s_linux_%s.tar.gz", w.name, version, w.arch)
}

func allWanted() []wanted {
	both, worker := []string{"stackscope", "stackscope-worker"}, []string{"stackscope-worker"}
	var all []wanted
	for _, arch := range []string{"amd64", "arm64"} {
		all = append(all,
			wanted{"stackscope", arch, both, true}, wanted{"stackscope-worker", arch, worker, true},
			wanted{"stackscope-static", arch, both, false}, wanted{"stackscope-worker-static", arch, worker, false})
	}
	return all
}

// releaseVersion returns the version that goreleaser built.
func releaseVersion(t *testing.T, dist string) string {
	t.Helper()
	var metadata struct{ Version string }
	raw, err := os.ReadFile(filepath.Join(dist, "metadata.json"))
	if err == nil {
		err = json.Unmarshal(raw, &metadata)
	}
	if err != nil || metadata.Version == "" {
		t.Fatalf("the version of %s: %v: run make release-dry-run", dist, err)
	}
	return metadata.Version
}

type file struct {
	header *tar.Header
	text   []byte
}

// unpack returns the files of an archive by their paths within its folder.
func unpack(t *testing.T, archive string) map[string]file {
	t.Helper()
	packed, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	folder := strings.TrimSuffix(filepath.Base(archive), ".tar.gz")
	files := map[string]file{}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		name, ok := strings.CutPrefix(header.Name, folder+"/")
		if !ok || header.Typeflag != tar.TypeReg || path.Clean(name) != name {
			t.Fatalf("%s: entry %q of type %c, want files in folder %s alone", archive, header.Name, header.Typeflag, folder)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = file{header, text}
	}
}

func TestArchives(t *testing.T) {
	dist := distDir(t)
	version := releaseVersion(t, dist)
	for _, w := range allWanted() {
		t.Run(w.name+"_"+w.arch, func(t *testing.T) {
			t.Parallel()
			files := unpack(t, filepath.Join(dist, w.file(version)))
			want := []string{"LICENSE", "README.md", "THIRD-PARTY-LICENSES"}
			for _, p := range w.programs {
				want = append(want, p, "completions/"+p+".bash", "completions/_"+p, "completions/"+p+".fish",
					"man/"+p+".1", "systemd/"+p+".service")
			}
			if slices.Contains(w.programs, "stackscope") {
				want = append(want, "etc/server.yaml", "man/stackscope-server.1")
			}
			want = append(want, "etc/worker.yaml", "man/stackscope.yaml.5")
			for _, name := range want {
				f, ok := files[name]
				if !ok || len(f.text) == 0 {
					t.Errorf("no %s; it has %v", name, slices.Sorted(maps.Keys(files)))
					continue
				}
				mode := int64(0o644)
				if slices.Contains(w.programs, name) {
					mode = 0o755
				}
				if f.header.Mode != mode || f.header.Uname != "root" || f.header.Gname != "root" || f.header.Uid != 0 || f.header.Gid != 0 {
					t.Errorf("%s: mode %o, %s:%s", name, f.header.Mode, f.header.Uname, f.header.Gname)
				}
			}
			// Not the clock of the machine that built it.
			for name, f := range files {
				if first := files["LICENSE"].header.ModTime; !f.header.ModTime.Equal(first) {
					t.Errorf("%s has time %s, LICENSE %s", name, f.header.ModTime, first)
				}
			}
			if _, ok := files["etc/server.yaml"]; ok && !slices.Contains(w.programs, "stackscope") {
				t.Error("a worker's archive has etc/server.yaml")
			}
			for _, p := range w.programs {
				t.Run(p, func(t *testing.T) {
					checkELF(t, files[p].text, w)
					if license := string(files["THIRD-PARTY-LICENSES"].text); !strings.Contains(license, "github.com/prometheus/client_golang ") {
						t.Error("THIRD-PARTY-LICENSES lacks a module that is linked")
					}
					checkVersion(t, files[p].text, w.arch, p+" "+version+" ")
				})
			}
		})
	}
}

// checkVersion runs a program, of another architecture in an emulator.
func checkVersion(t *testing.T, program []byte, arch, want string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	command := []string{path, "version"}
	if arch != runtime.GOARCH {
		emulator, err := exec.LookPath("qemu-aarch64-static")
		if arch != "arm64" || err != nil {
			t.Logf("not run: it is for %s, and this machine lacks qemu-user-static", arch)
			return
		}
		// Where Debian has the C library for cross compilation.
		command = append([]string{emulator, "-L", "/usr/aarch64-linux-gnu"}, command...)
	}
	out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("%v: %v, want %q, got\n%s", command, err, want, out)
	}
}

func checkELF(t *testing.T, program []byte, w wanted) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[w.arch]; f.Machine != want {
		t.Errorf("it is for %s, want %s", f.Machine, want)
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" && s.Value == "1" != w.cgo {
			t.Errorf("CGO_ENABLED=%s", s.Value)
		}
	}
	if w.cgo {
		checkNeeds(t, f)
		return
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("it has a segment %s: it is not static", p.Type)
		}
	}
}

func TestChecksums(t *testing.T) {
	dist := distDir(t)
	list, err := os.Open(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	listed := map[string]bool{}
	for lines := bufio.NewScanner(list); lines.Scan(); {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok {
			t.Fatalf("line %q", lines.Text())
		}
		listed[name] = true
		f, err := os.Open(filepath.Join(dist, name))
		if err != nil {
			t.Error(err)
			continue
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		if got := hex.EncodeToString(h.Sum(nil)); err != nil || got != sum {
			t.Errorf("%s: hash %s (%v), listed as %s", name, got, err, sum)
		}
	}
	for pattern, want := range map[string]int{"*.tar.gz": 8, "*.cdx.json": 8, "*.deb": 4, "*.rpm": 4} {
		found, err := filepath.Glob(filepath.Join(dist, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != want {
			t.Errorf("%d files %s, want %d: %v", len(found), pattern, want, found)
		}
		for _, f := range found {
			if !listed[filepath.Base(f)] {
				t.Errorf("%s is not in SHA256SUMS", filepath.Base(f))
			}
		}
	}
}

func TestSBOM(t *testing.T) {
	dist := distDir(t)
	version := releaseVersion(t, dist)
	for _, w := range allWanted() {
		t.Run(w.name+"_"+w.arch, func(t *testing.T) {
			t.Parallel()
			archive := filepath.Join(dist, w.file(version))
			raw, err := os.ReadFile(archive + ".cdx.json")
			if err != nil {
				t.Fatal(err)
			}
			var bom struct {
				BOMFormat, SpecVersion string
				Metadata               struct {
					Component struct {
						Name, Version string
						Hashes        []struct{ Alg, Content string }
					}
				}
				Components []struct {
					Name, Version, PURL string
					Licenses            []struct{ Expression string }
				}
			}
			if err := json.Unmarshal(raw, &bom); err != nil {
				t.Fatal(err)
			}
			packed, err := os.ReadFile(archive)
			if err != nil {
				t.Fatal(err)
			}
			main, sum := bom.Metadata.Component, sha256.Sum256(packed)
			if bom.BOMFormat != "CycloneDX" || main.Name != w.name || main.Version != version || len(main.Hashes) != 1 || main.Hashes[0].Content != hex.EncodeToString(sum[:]) {
				t.Errorf("it is the document of %+v", main)
			}
			listed := map[string]bool{}
			for _, c := range bom.Components {
				listed[c.PURL] = true
				if c.Version == "" || len(c.Licenses) != 1 || c.Licenses[0].Expression == "" {
					t.Errorf("%+v lacks a version or a license", c)
				}
			}
			for _, p := range w.programs {
				info, err := buildinfo.Read(bytes.NewReader(unpack(t, archive)[p].text))
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range info.Deps {
					if m.Replace == nil && !listed["pkg:golang/"+m.Path+"@"+m.Version] {
						t.Errorf("%s has module %s %s, which is not listed", p, m.Path, m.Version)
					}
				}
			}
			for _, name := range []string{"pkg:npm/preact@", "pkg:npm/react@", "pkg:npm/%40codemirror/view@"} {
				found := slices.ContainsFunc(slices.Collect(maps.Keys(listed)), func(purl string) bool { return strings.HasPrefix(purl, name) })
				if server := slices.Contains(w.programs, "stackscope"); found != server {
					t.Errorf("%s: listed %v, want %v", name, found, server)
				}
			}
		})
	}
}
