package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/procfs"

	"github.com/stackscope/stackscope/internal/exposition"
)

func TestMachineWithoutPressureIsSilent(t *testing.T) {
	skipUnlessLinux(t)
	disabled := newPressureReader(newHostFS(root))
	disabled.stats = func(string) (procfs.PSIStats, error) {
		return procfs.PSIStats{}, fmt.Errorf("psi: %w", &os.PathError{Op: "read", Path: "x", Err: syscall.EOPNOTSUPP})
	}
	for name, p := range map[string]*pressureReader{
		"no proc":        newPressureReader(newHostFS(t.TempDir())),
		"kernel without": newPressureReader(tree(t, map[string]string{"proc/loadavg": "1 1 1\n"})),
		"psi=0":          disabled,
	} {
		if samples, err := p.read(t.Context()); !errors.Is(err, errAbsent) || len(samples) > 0 {
			t.Errorf("%s: %v, %v", name, samples, err)
		}
	}
}

func TestPressureOfOneResourceFails(t *testing.T) {
	skipUnlessLinux(t)
	p := newPressureReader(tree(t, map[string]string{
		"proc/pressure/io":     "some avg10=0.00 avg60=0.00 avg300=0.00 total=\n",
		"proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
	}))
	p.stats = func(resource string) (procfs.PSIStats, error) {
		if resource == "cpu" {
			return procfs.PSIStats{}, syscall.EACCES
		}
		return p.readStats(resource)
	}
	samples, err := p.read(t.Context())
	if len(samples) != 2 || err == nil || !strings.Contains(err.Error(), "permission denied; ") ||
		!strings.Contains(err.Error(), filepath.Join("pressure", "io")+": ") {
		t.Errorf("%v, %v", samples, err)
	}
}

// pressureOf reads the totals of a pressure file in seconds, by share.
func pressureOf(t *testing.T, text string) (map[exposition.Labels]float64, error) {
	t.Helper()
	samples, err := newPressureReader(tree(t, map[string]string{"proc/pressure/io": text})).read(t.Context())
	totals := map[exposition.Labels]float64{}
	for _, s := range samples {
		totals[s.labels] = s.value
	}
	return totals, err
}

func TestPressureFile(t *testing.T) {
	type totals = map[string]float64
	for text, want := range map[string]totals{
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n": {"some": 5, "full": 3},
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=18446744073709551615\n":                              {"some": 1<<64 - 1},
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nother total=5\n":                                  {"some": 5},
		"some total=5 avg10=0.00\n":                                           {},
		"some avg10=0.00 total=5 full total=3\n":                              {},
		"full avg10=0.00 total=5\n":                                           {},
		"full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n":                    {},
		"some avg10=0.00 total=-5\n":                                          {},
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=-5\n":                   {},
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=18446744073709551616\n": {},
		"other total=5\n":                                                     {},
		"":                                                                    {},
	} {
		got, err := pressureOf(t, text)
		if (err == nil) != (len(want) > 0) || len(got) != len(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
		for share, microseconds := range want {
			labels := exposition.RenderLabels("resource", "io", "share", share)
			if seconds, ok := got[labels]; !ok || seconds != microseconds/1e6 {
				t.Errorf("%q: %s is %v, want %v", text, share, seconds, microseconds/1e6)
			}
		}
	}
}

func FuzzPressure(f *testing.F) {
	f.Add("some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n")
	f.Fuzz(func(t *testing.T, text string) {
		totals, err := pressureOf(t, text)
		_, some := totals[exposition.RenderLabels("resource", "io", "share", "some")]
		if some != (err == nil) || !some && len(totals) > 0 {
			t.Errorf("%v, %v", totals, err)
		}
	})
}
