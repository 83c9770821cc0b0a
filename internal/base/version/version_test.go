package version_test

import (
	"strings"
	"testing"

	"github.com/stackscope/stackscope/internal/base/version"
)

// Each version comes before the next one.
var ordered = []string{
	"0.0.9", "0.1.0-dev.9+g1234567", "0.1.0-dev.612+gabcdef0", "v0.1.0-rc.1", "0.1.0-rc.2", "0.1.0", "v0.1.0-5-gabc1234", "0.1.0-12-gabc1234-dirty",
	"0.1.1", "0.2.0-dev.1+g0000000", "0.2.0", "0.10.0", "1.0.0", "1.0.0-3-gabcd", "10.0.0",
}

func TestOrder(t *testing.T) {
	for i, a := range ordered {
		x, known := version.Parse(a)
		if !known {
			t.Fatalf("%s is not known", a)
		}
		for k, b := range ordered {
			y, _ := version.Parse(b)
			if got, want := x.Compare(y), compare(i, k); got != want {
				t.Errorf("%s to %s: %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"0.1.0", "v0.1.0"}, {"0.1", "0.1.0"}, {"0.1.0-dev.3+gaaaa", "0.1.0-dev.3+gbbbb"}, {"0.1.0-dev.3-dirty", "0.1.0-dev.3"}, {"0.2.0-dev.957+g1a2b3c4d5e.dirty", "0.2.0-dev.957"}} {
		a, _ := version.Parse(same[0])
		b, _ := version.Parse(same[1])
		if a.Compare(b) != 0 {
			t.Errorf("%q differs", same)
		}
	}
}

func compare(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestNotKnown(t *testing.T) {
	for _, text := range []string{
		"", "dev", "(devel)", "unknown", "8dce8de", "1234567", "8dce8de-dirty", "v", "1", "1.", "1.2.3.4", "01.2.3", "1.2.3 ", "1.2.3\n", "-1.2.3", "0x1.2.3",
		"9999999999.0.0", "0.1.0-" + strings.Repeat("a", 200), "v0.0.0-20261130120000-abcdef123456", "v0.0.0-20261130120000-abcdef123456+dirty",
	} {
		if v, known := version.Parse(text); known {
			t.Errorf("%q is read as %+v", text, v)
		}
		if s := version.Of(text, "0.9.0") + version.Of("0.9.0", text); s != version.None {
			t.Errorf("%q differs from 0.9.0: %s", text, s)
		}
	}
}

func TestSkew(t *testing.T) {
	for _, c := range []struct {
		worker, server string
		want           version.Skew
	}{
		{"0.1.0", "0.1.0", version.None},
		{"0.1.0", "v0.1.0", version.None},
		{"0.1.0-dev.3+ga1b2", "0.1.0-dev.3+gc3d4", version.None},
		{"0.1.0-dev.612+gabc", "0.1.0", version.Older},
		{"0.1.9", "0.2.0", version.Older},
		{"0.1.0", "0.3.0", version.TooOld},
		{"0.9.0", "0.10.0", version.Older},
		{"0.1.0", "0.10.0", version.TooOld},
		{"0.12.0", "1.0.0", version.TooOld},
		{"1.0.0", "2.0.0", version.TooOld},
		{"0.1.0-12-gabcdef", "0.1.0", version.Newer},
		{"0.2.0", "0.1.7", version.Newer},
		{"0.3.0-dev.1+gabc", "0.1.7", version.TooNew},
		{"1.0.0", "0.99.0", version.TooNew},
	} {
		got := version.Of(c.worker, c.server)
		if got != c.want {
			t.Errorf("worker %s, server %s: %q, want %q", c.worker, c.server, got, c.want)
		}
		if (got.Advice() != "") != got.TooFar() {
			t.Errorf("%q: advice %q", got, got.Advice())
		}
	}
}

// Whatever a worker says is read or not known.
func FuzzParse(f *testing.F) {
	for _, text := range ordered {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, known := version.Parse(text)
		if known && v.Compare(v) != 0 {
			t.Errorf("%q differs from itself", text)
		}
	})
}
