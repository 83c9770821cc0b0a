package smi

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

func TestTexts(t *testing.T) {
	for s, want := range map[string]string{"00000000:2A:00.0": "0000:2a:00.0", "0000:2a:00.0": "0000:2a:00.0", "00010000:2A:00.0": "00010000:2a:00.0", "2a:00.0": "", "N/A": "", "": ""} {
		if got := Address(s); got != want {
			t.Errorf("Address(%q): got %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]string{"0": "0", " 15 ": "15", "-1": "", "12345": "", "N/A": "", "": ""} {
		if got := Index(s); got != want {
			t.Errorf("Index(%q): got %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]string{" 1.2 ": "1.2", "N/A": "", "na": "", "Unknown": "", "-": "", "none": "", "": ""} {
		if got := Text(s); got != want {
			t.Errorf("Told(%q): got %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]string{"| 0  0 | 48988 | sk-1 | 9 |": "0 0 48988 ...", "7 42 python3 --key 1": "7 42 ...", "sk-secret": " ..."} {
		if got := RowStart(s); got != want {
			t.Errorf("RowStart(%q): got %q, want %q", s, got, want)
		}
	}
}

func TestValues(t *testing.T) {
	unknown := math.NaN()
	for _, test := range []struct {
		name string
		got  gpu.Value
		want float64
	}{
		{"unit", WithUnit(" 12 W ", "W"), 12},
		{"no unit", WithUnit("12", "W"), unknown},
		{"rate", PerSecond("2 KB/s"), 2048},
		{"a rate that is none", PerSecond("2 KB"), unknown},
		{"a rate without unit", PerSecond("2/s"), unknown},
		{"count", Count("3"), 3},
		{"a count below 0", Count("-1"), unknown},
		{"no count", Count("N/A"), unknown},
		{"lanes before", Lanes("x16"), 16},
		{"lanes behind", Lanes("8x"), 8},
		{"no lanes", Lanes("0x"), unknown},
		{"a bare number", Lanes("16"), unknown},
	} {
		if got := text(test.got); got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestOutline(t *testing.T) {
	out := "PCI  : \r\n  Link/Info\n    Speed   : 8 GT/s\n  Bus : 0A\n\nUUID : a : b\n" + strings.Repeat("n", 1000) + " : 1\nCut : 1"
	want := []Entry{{"PCI", ""}, {"PCI/Link Info", ""}, {"PCI/Link Info/Speed", "8 GT/s"}, {"PCI/Bus", "0A"}, {"UUID", "a : b"}}
	if diff := cmp.Diff(want, Outline(WholeLines([]byte(out)))); diff != "" {
		t.Error(diff)
	}
	if got := Texts([]Entry{{"a", "1"}, {"a", "2"}, {"b", "N/A"}}); !cmp.Equal(got, map[string]string{"a": "1"}) {
		t.Errorf("got %v", got)
	}
}

// Garbage must not cost more memory than there is of it, times the depth.
func TestOutlineIsBounded(t *testing.T) {
	var lines []string
	for i := range 20000 {
		lines = append(lines, strings.Repeat(" ", i)+strings.Repeat("n", 120))
	}
	size := 0
	for _, e := range Outline(lines) {
		size += len(e.Path)
	}
	if size > maxDepth*maxLines*(maxName+1) || size == 0 {
		t.Errorf("%d bytes of paths", size)
	}
}

func TestFaults(t *testing.T) {
	if err := Join(nil, nil); err != nil {
		t.Errorf("got %v", err)
	}
	if err := Join(nil, gpu.ErrHangs); err != gpu.ErrHangs { //nolint:errorlint // as it is
		t.Errorf("got %v", err)
	}
	err := Join(errors.New("a"), fmt.Errorf("b: %w", gpu.ErrHangs))
	if !errors.Is(err, gpu.ErrHangs) || err.Error() != "a; b: "+gpu.ErrHangs.Error() {
		t.Errorf("got %v", err)
	}
	var f Faults
	for range 5000 {
		f.Add(errors.New("100%"))
	}
	if err := f.Err(); err.Error() != strings.Repeat("100%; ", maxFaults)+"and 4992 more" {
		t.Errorf("got %v", err)
	}
}
