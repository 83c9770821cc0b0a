package smi

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackscope/stackscope/internal/collector/gpu"
)

// text is a Value as a test writes it; NaN is one that is not known.
func text(v gpu.Value) float64 {
	if n, ok := v.Get(); ok {
		return n
	}
	return math.NaN()
}

func TestNumber(t *testing.T) {
	unknown := math.NaN()
	for s, want := range map[string]float64{
		"0": 0, " 12.5 ": 12.5, "-3": -3, "+4": 4, "4294967295": 4294967295,
		"": unknown, "-": unknown, "N/A": unknown, "NA": unknown, "[N/A]": unknown, "[Not Supported]": unknown, "1 2": unknown,
		"inf": unknown, "NaN": unknown, "0x10": unknown, "1e3": unknown, "1_000": unknown, "1,5": unknown, "1.2.3": unknown, strings.Repeat("9", 400): unknown,
	} {
		if got := text(Number(s)); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("Number(%q): got %v, want %v", s, got, want)
		}
	}
}

func TestQuantity(t *testing.T) {
	unknown := math.NaN()
	for _, test := range []struct {
		s, unit string
		want    float64
	}{
		{"45C", "C", 45},
		{"46.0c", "C", 46},
		{"38.0 °C", "C", 38},
		{"-5", "C", -5},
		{"45", "C", 45},
		{"12.5 W", "W", 12.5},
		{"12500mW", "W", 12.5},
		{"0.3kW", "W", 300},
		{"87%", "%", 0.87},
		{"87 %", "%", 0.87},
		{"65536", "MiB", 1 << 36},
		{"65536MiB", "MiB", 1 << 36},
		{"64 GB", "MiB", 1 << 36},
		{"826264 KB", "MiB", 826264 << 10},
		{"1350Mhz", "MHz", 1.35e9},
		{"1850", "MHz", 1.85e9},
		{"", "C", unknown},
		{"N/A", "C", unknown},
		{"NA", "W", unknown},
		{"-", "W", unknown},
		{"C", "C", unknown},
		{"45W", "C", unknown},  // another column
		{"101%", "%", unknown}, // cannot be
		{"239", "%", unknown},  // cannot be
		{"-1", "MiB", unknown}, // cannot be
		{"1000", "C", unknown}, // cannot be
		{"45 / 90", "C", unknown},
		{"45C 46C", "C", unknown},
		{"45X", "C", unknown},
		{"45", "furlongs", unknown},
		{"32.0GT/s, x16", "MHz", unknown},
	} {
		if got := text(Quantity(test.s, test.unit)); got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("Quantity(%q, %q): got %v, want %v", test.s, test.unit, got, test.want)
		}
	}
}

func TestPair(t *testing.T) {
	unknown := math.NaN()
	for s, want := range map[string][2]float64{
		"3389 / 65536":  {3389 << 20, 65536 << 20},
		"61125/ 65536":  {61125 << 20, 65536 << 20},
		"0MiB/16384MiB": {0, 16384 << 20},
		"826/65536 MiB": {826 << 20, 65536 << 20},
		"NA / 44280":    {unknown, 44280 << 20},
		"65537 / 65536": {unknown, unknown},
		"1 / 2 / 3":     {unknown, unknown},
		"3389":          {unknown, unknown},
		"":              {unknown, unknown},
		"-/-":           {unknown, unknown},
		"54W / 65536":   {unknown, 65536 << 20},
	} {
		used, total := Pair(s, "MiB")
		got := [2]float64{text(used), text(total)}
		if !cmp.Equal(got, want, cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })) {
			t.Errorf("Pair(%q): got %v, want %v", s, got, want)
		}
	}
}

func TestCSV(t *testing.T) {
	out := "index, name , uuid\n0, \"Card, big\", GPU-a\n\n1, Card\n2, Card, GPU-c\n"
	rows, err := CSV("test-smi", "1.2", []byte(out), "index", "uuid")
	want := []map[string]string{
		{"index": "0", "name": "Card, big", "uuid": "GPU-a"},
		{"index": "2", "name": "Card", "uuid": "GPU-c"},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "test-smi 1.2: output not recognized: row 2, which has 2 cells where the header has 3") {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "\n\n", "index, name\n0, Card\n", strings.Repeat("index, uuid\n", maxRows+2)} {
		if rows, err := CSV("test-smi", "", []byte(bad), "index", "uuid"); err == nil || rows != nil {
			t.Errorf("%.40q: got %d rows, %v", bad, len(rows), err)
		}
	}
}

func TestLayout(t *testing.T) {
	layout := Layout{
		"GPU Name": regexp.MustCompile(`^(?P<index>\d+) (?P<name>.+)$`),
		"Temp":     regexp.MustCompile(`^(?P<temp>\S+)$`),
	}
	header, ok := Cells(" | GPU   Name  |  Temp  | New |\n")
	if !ok {
		t.Fatal("the header is not a row")
	}
	columns, unknown := layout.Columns(header)
	if diff := cmp.Diff([]string{"New"}, unknown); diff != "" {
		t.Error(diff)
	}
	row, _ := Cells("| 3   Big  Card | 45C | x |")
	fields, ok := columns.Fields(row)
	if diff := cmp.Diff(map[string]string{"index": "3", "name": "Big Card", "temp": "45C"}, fields); !ok || diff != "" {
		t.Error(ok, diff)
	}
	for _, bad := range []string{"| 3 Card | 45C |", "| 3 | 45C | x |", "| 3 Card | | x |"} {
		row, _ := Cells(bad)
		if fields, ok := columns.Fields(row); ok {
			t.Errorf("%q: got %v", bad, fields)
		}
	}
	for _, bad := range []string{"", "|", "+---+", "| open", "text", "|---+---|", "|===|"} {
		if cells, ok := Cells(bad); ok {
			t.Errorf("%q is a row: %v", bad, cells)
		}
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"45C", "12.5 W", "87%", "3389 / 65536", "[N/A]", "0x10", "1e400"} {
		f.Add(s, "C")
	}
	f.Fuzz(func(t *testing.T, s, unit string) {
		for _, unit := range []string{unit, "C", "W", "%", "MiB", "MHz"} {
			used, total := Pair(s, unit)
			for _, v := range []gpu.Value{Quantity(s, unit), used, total} {
				if n, ok := v.Get(); ok && (math.IsNaN(n) || n < -100 || n > 1<<50) {
					t.Errorf("%q in %q: got %v", s, unit, n)
				}
			}
		}
		if _, err := CSV("t", "", []byte(s)); err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error text of %d bytes", len(err.Error()))
		}
	})
}
