package install

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// download plays the events of an installation in simulated time: 200 MB at 20 MB/s, a break in the middle.
func download(report func(Event)) {
	const total = 200_000_000
	report(Event{Stage: StageWait, Text: "waiting for another"})
	for done := int64(0); done <= total; done += 2_000_000 {
		time.Sleep(100 * time.Millisecond)
		report(Event{Stage: StageFetch, Done: done, Total: total})
		if done == total/2 {
			report(Event{Stage: StageRetry, Text: "it broke; trying again in 1s"})
		}
	}
	report(Event{Stage: StageVerify, Done: total, Total: total})
	report(Event{Stage: StageUnpack, Done: 1, Total: total})
	report(Event{Stage: StageUnpack, Done: total, Total: total})
	report(Event{Stage: StageSync})
}

func TestMeterPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		m := NewMeter(&out, false)
		download(m.Report)
		m.Close()
		want := `waiting for another
fetched  10% 20.0 MB of 200.0 MB, 20.0 MB/s, 9s left
fetched  20% 40.0 MB of 200.0 MB, 20.0 MB/s, 8s left
fetched  30% 60.0 MB of 200.0 MB, 20.0 MB/s, 7s left
fetched  40% 80.0 MB of 200.0 MB, 20.0 MB/s, 6s left
fetched  50% 100.0 MB of 200.0 MB, 20.0 MB/s, 5s left
it broke; trying again in 1s
fetched  60% 120.0 MB of 200.0 MB, 20.0 MB/s, 4s left
fetched  70% 140.0 MB of 200.0 MB, 20.0 MB/s, 3s left
fetched  80% 160.0 MB of 200.0 MB, 20.0 MB/s, 2s left
fetched  90% 180.0 MB of 200.0 MB, 20.0 MB/s, 1s left
fetched 100% 200.0 MB of 200.0 MB, 20.0 MB/s
checking
unpacking
waiting for the disk
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestMeterOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		m := NewMeter(&out, true)
		download(m.Report)
		m.Close()
		got := out.String()
		for _, want := range []string{
			"\r\x1b[Kfetching  [========        ]  50% 100.0 MB of 200.0 MB, 20.0 MB/s, 5s left\nit broke; trying again in 1s\n",
			"\r\x1b[Kfetching  [================] 100% 200.0 MB of 200.0 MB, 20.0 MB/s\r",
			"unpacking [================] 100%\r",
			"waiting for the disk\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
		for line := range strings.SplitSeq(got, "\r\x1b[K") {
			if line, _, _ = strings.Cut(line, "\n"); len(line) > 75 {
				t.Errorf("%d wide: %q", len(line), line)
			}
		}
	})
}

func TestMeterWithoutTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		m := NewMeter(&out, false)
		for done := int64(0); done < 100<<20; done += 1 << 20 {
			time.Sleep(100 * time.Millisecond)
			m.Report(Event{Stage: StageFetch, Done: done})
		}
		if n := strings.Count(out.String(), "\n"); n != 3 || !strings.Contains(out.String(), "fetched 33.6 MB, 10.5 MB/s") {
			t.Errorf("got %q", out.String())
		}
	})
}
