package main

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A rate below what a reader asks for at a time is kept, too.
func TestLowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meter := newTransfer(io.Discard, "fetched", 0)
		meter.silent, meter.rate = true, 1000
		began := time.Now()
		if n, err := io.Copy(io.Discard, meter.count(bytes.NewReader(make([]byte, 30_000)))); err != nil || n != 30_000 {
			t.Fatal(n, err)
		}
		if took := time.Since(began); took < 29*time.Second || took > 31*time.Second {
			t.Errorf("30 kB at 1 kB/s took %s", took)
		}
	})
}
