package main

import (
	"testing"
	"time"
)

func TestByteSize(t *testing.T) {
	for text, want := range map[string]byteSize{"0": 0, "12": 12, "7B": 7, "50GB": 50 << 30, "1.5KB": 1536, "512MiB": 512 << 20, "2TB": 2 << 40} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %d, error %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "much", "50GB of disk", "50gb", "-1", "NaN", "Inf", "9e30", "5BB", "5GiBi", "5i"} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}

func TestPeriod(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"360h": 15 * day, "15d": 15 * day, "2w": 14 * day, "1y": 365 * day, "1y2w3d4h5m": 382*day + 4*time.Hour + 5*time.Minute, "90s": 90 * time.Second, "0": 0, "100y": 36500 * day} {
		var got period
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%q: got %s, error %v, want %s", text, time.Duration(got), err, want)
		}
	}
	for _, text := range []string{"", "15", "d", "15 d", "1d1y", "-15d", "-5h", "1d-5h", "101y", "999y9999w99999d", "100y1s", "2000000h", "soon"} {
		var got period
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %s", text, time.Duration(got))
		}
	}
}
