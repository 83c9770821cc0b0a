package exporter

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A check says what a scrape would have got, in numbers, and holds all metrics but the engines' own.
func TestCheck(t *testing.T) {
	a, down := newEngine("a"), newEngine("down")
	down.set("", errNotExported)
	e, _ := newExporter(t, a, down)
	c := e.Check(time.Now().Add(time.Minute))
	page := get(t, e.Handler(), "/metrics")
	samples, own := 0, 0
	for line := range strings.Lines(page) {
		if line[0] != '#' {
			samples++
		}
	}
	for line := range strings.Lines(c.Own) {
		if line[0] != '#' {
			own++
		}
	}
	const engines = 2 // samples of theirs
	if c.Err != nil || c.Series != samples || own != samples-engines || c.OwnCut || c.Took <= 0 {
		t.Errorf("%d series, %d of them its own, of %d: %+v\n%s", c.Series, own, samples, c, page)
	}
	// Values of this process change between the two.
	if ratio := float64(c.Bytes) / float64(len(page)); ratio < 0.95 || ratio > 1.05 {
		t.Errorf("%d bytes, the page has %d", c.Bytes, len(page))
	}
	for _, name := range []string{"gpustack:runtime_scrape_success", "gpustack:metrics_config_applied_generation", "process_cpu_seconds_total"} {
		if !strings.Contains(c.Own, "\n"+name) {
			t.Errorf("%s is missing:\n%s", name, c.Own)
		}
	}
	valid(t, c.Own)
	if a.fetches.Load() != a.released.Load() {
		t.Errorf("%d fetches, %d pages given back", a.fetches.Load(), a.released.Load())
	}
}

// A check waits for engines as long as a scrape of 5 s does, or less where there is less time.
func TestCheckIsBounded(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{time.Hour: 3250 * time.Millisecond, 4 * time.Second: 2600 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			a, hung := newEngine("a"), newEngine("hung")
			hung.delay = time.Hour
			e, _ := newExporter(t, a, hung)
			c := e.Check(time.Now().Add(given))
			if c.Err != nil || c.Took != want || !strings.Contains(c.Own, `gpustack:runtime_scrape_success{`) {
				t.Errorf("of %s: %+v", given, c)
			}
			if n := len(series(c.Own, "gpustack:runtime_scrape_success{")); n != 2 {
				t.Errorf("%d engines", n)
			}
			for range maxScrapes {
				e.scrapes <- struct{}{}
			}
			if c := e.Check(time.Now().Add(given)); c.Err == nil {
				t.Errorf("beside as many scrapes as there may be: %+v", c)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

func TestPageSize(t *testing.T) {
	var p pageSize
	for _, part := range []string{"# HELP a b\n# TYPE a gau", "ge\na 1\nb{x=\"", "y#\"} 2\n", "\n", "c 3"} {
		_, _ = p.Write([]byte(part))
	}
	if p.bytes != 46 || p.series != 3 {
		t.Errorf("%+v", p)
	}
}
