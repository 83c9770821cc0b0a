package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// byteSize is a number of bytes, written like 50GB or 512MiB (both are powers of 1024, as Prometheus counts them).
type byteSize int64

// UnmarshalText is called by kong.
func (b *byteSize) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%q is no size: write a number and B, KB, MB, GB or TB, like 50GB", text)
	number := strings.TrimRight(string(text), "BKMGTi")
	factor, ok := map[string]float64{"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}[strings.Replace(string(text[len(number):]), "iB", "B", 1)]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(n >= 0 && n*factor <= 1<<62) {
		return wrong
	}
	*b = byteSize(n * factor)
	return nil
}

// period is a time that may also be written in days, weeks and years, as Prometheus writes how long it keeps samples.
type period time.Duration

// String returns the time as time.Duration does.
func (p period) String() string { return time.Duration(p).String() }

// maxPeriod bounds a period, far below where a time.Duration overflows.
const maxPeriod = 100 * 365 * 24 * time.Hour

// UnmarshalText is called by kong.
func (p *period) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%q is no time from 0 to 100 years: write it like 15d, 2w or 360h", text)
	parts := regexp.MustCompile(`^(?:(\d{1,3})y)?(?:(\d{1,4})w)?(?:(\d{1,5})d)?(.*)$`).FindStringSubmatch(string(text))
	if parts == nil || len(text) == 0 {
		return wrong
	}
	var sum time.Duration
	for i, unit := range []time.Duration{365 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour} {
		n, _ := strconv.Atoi(parts[i+1]) // empty: none of this unit
		if n > int(maxPeriod/unit) {
			return wrong
		}
		sum += time.Duration(n) * unit
	}
	if parts[4] != "" {
		rest, err := time.ParseDuration(parts[4])
		if err != nil || rest < 0 || rest > maxPeriod {
			return wrong
		}
		sum += rest
	}
	if sum > maxPeriod {
		return wrong
	}
	*p = period(sum)
	return nil
}
