package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMachineWithoutPressureIsSilent(t *testing.T) {
	skipUnlessLinux(t)
	off := fake{err: &os.PathError{Op: "read", Path: "x", Err: syscall.EOPNOTSUPP}}
	disabled := newHostFS(root)
	disabled.open = fakes(map[string]source{"pressure/cpu": off, "pressure/memory": off, "pressure/io": off})
	for name, r := range map[string]*hostFS{"kernel without": newHostFS(t.TempDir()), "psi=0": disabled} {
		if samples, err := newPressureReader(r).read(t.Context()); !errors.Is(err, errAbsent) || len(samples) > 0 {
			t.Errorf("%s: %v, %v", name, samples, err)
		}
	}
}

func TestPressureOfOneResourceFails(t *testing.T) {
	skipUnlessLinux(t)
	r := newHostFS(root)
	r.open = fakes(map[string]source{
		"pressure/cpu": fake{err: syscall.EACCES},
		"pressure/io":  fake{text: "some avg10=0.00 avg60=0.00 avg300=0.00 total=\n"},
	})
	samples, err := newPressureReader(r).read(t.Context())
	if len(samples) != 2 || err == nil || !strings.Contains(err.Error(), "permission denied; ") ||
		!strings.Contains(err.Error(), filepath.Join("pressure", "io")+" does not tell") {
		t.Errorf("%v, %v", samples, err)
	}
}

func TestPressureFile(t *testing.T) {
	for text, want := range map[string][2]stallTime{
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n": {{5, true}, {3, true}},
		"some avg10=0.00 total=18446744073709551615\n":                                                     {{1<<64 - 1, true}, {}},
		"some total=5 avg10=0.00\n":                                                                        {},
		"some avg10=0.00 total=5 full total=3\n":                                                           {},
		"full avg10=0.00 total=5\n":                                                                        {{}, {5, true}},
		"some avg10=0.00 total=-5\n":                                                                       {},
		"other total=5\n":                                                                                  {},
		"":                                                                                                 {},
	} {
		some, full, ok := parsePressure([]byte(text))
		if [2]stallTime{some, full} != want || ok != want[0].known {
			t.Errorf("%q: %v, %v, %v", text, some, full, ok)
		}
	}
}

func FuzzPressure(f *testing.F) {
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if some, full, ok := parsePressure(text); ok != some.known || !some.known && some.microseconds > 0 || !full.known && full.microseconds > 0 {
			t.Errorf("%v, %v, %v", some, full, ok)
		}
	})
}
