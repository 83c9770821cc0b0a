package release

import (
	"debug/elf"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/tests/programs"
)

// glibcBound is the newest version of glibc, 2.X, whose functions programs with cgo may use: RHEL 7 has 2.17, RHEL 8 2.28.
const glibcBound = 17

var glibcVersion = regexp.MustCompile(`^GLIBC_2\.([0-9]+)(\.[0-9]+)?$`)

// checkNeeds looks at what a program with cgo needs of the system that it starts on.
func checkNeeds(t *testing.T, f *elf.File) {
	t.Helper()
	libraries, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"libc.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-aarch64.so.1"}
	for _, library := range libraries {
		if !slices.Contains(known, library) {
			t.Errorf("it needs library %s, want none but %v", library, known)
		}
	}
	// Otherwise a glibc before 2.34 has neither threads nor the means to load NVIDIA's library.
	for _, library := range known[:3] {
		if !slices.Contains(libraries, library) {
			t.Errorf("it does not name library %s", library)
		}
	}
	symbols, err := f.DynamicSymbols()
	if err != nil || len(symbols) == 0 {
		t.Fatalf("%d symbols: %v", len(symbols), err)
	}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			continue
		}
		if s.Version == "" {
			// The linker lets undefined names pass, for those of NVIDIA's library. Another one would end the program when it is called.
			weak := elf.ST_BIND(s.Info) == elf.STB_WEAK
			if !weak && !strings.HasPrefix(s.Name, "nvml") {
				t.Errorf("nothing defines %s", s.Name)
			}
			continue
		}
		version := glibcVersion.FindStringSubmatch(s.Version)
		if version == nil {
			t.Errorf("%s has version %s", s.Name, s.Version)
			continue
		}
		if minor, _ := strconv.Atoi(version[1]); minor > glibcBound {
			t.Errorf("%s needs %s, want GLIBC_2.%d or older: add it to internal/base/oldglibc", s.Name, s.Version, glibcBound)
		}
	}
	// Names of NVIDIA's library are looked up when they are called. A linker that looks all of them up at the start, as
	// Ubuntu's does unless it is told otherwise, makes a program that starts nowhere.
	if flags, _ := f.DynValue(elf.DT_FLAGS); slices.ContainsFunc(flags, func(v uint64) bool { return elf.DynFlag(v)&elf.DF_BIND_NOW != 0 }) {
		t.Error("it looks up every name at the start")
	}
	if flags, _ := f.DynValue(elf.DT_FLAGS_1); slices.ContainsFunc(flags, func(v uint64) bool { return elf.DynFlag1(v)&elf.DF_1_NOW != 0 }) {
		t.Error("it looks up every name at the start")
	}
}

// TestBuiltPrograms looks at what `make build` made, which has the flags of a release.
func TestBuiltPrograms(t *testing.T) {
	if os.Getenv("STACKSCOPE_E2E") == "" {
		t.Skip("needs the built programs: make e2e")
	}
	for _, name := range []string{"stackscope", "stackscope-worker"} {
		f, err := elf.Open(programs.Path(t, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if libraries, err := f.ImportedLibraries(); err == nil && len(libraries) == 0 {
			t.Logf("%s is built without cgo", name)
			continue
		}
		checkNeeds(t, f)
	}
}
