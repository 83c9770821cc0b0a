package simengine

import (
	"math"
	"testing"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		v           float64
		python, cpp string
	}{
		{0, "0.0", "0"},
		{1, "1.0", "1"},
		{0.3, "0.3", "0.3"},
		{0.0001, "0.0001", "0.0001"},
		{0.00001, "1e-05", "1e-05"},
		{7129.51, "7129.51", "7129.51"},
		{999999.5, "999999.5", "999999.5"},
		{1e6, "1e+06", "1000000"},
		{1.1e6, "1.1e+06", "1100000"},
		{8128902, "8.128902e+06", "8128902"},
		{1795425345.5300455, "1.7954253455300455e+09", "1795425345.530046"},
		{29940645888, "2.9940645888e+010", "29940645888"},
		{1e16, "1e+16", "1e+16"},
		{-12.5, "-12.5", "-12.5"},
		{-2e6, "-2000000.0", "-2000000"},
		{math.Inf(1), "+Inf", "+Inf"},
		{math.Inf(-1), "-Inf", "-Inf"},
		{math.NaN(), "NaN", "Nan"},
	} {
		if got := string(appendPython(nil, c.v)); got != c.python {
			t.Errorf("Python writes %v as %s, got %s", c.v, c.python, got)
		}
		if got := string(appendCPP(nil, c.v)); got != c.cpp {
			t.Errorf("prometheus-cpp writes %v as %s, got %s", c.v, c.cpp, got)
		}
	}
}
