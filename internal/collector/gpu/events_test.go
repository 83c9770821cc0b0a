package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func driverXID(uuid, code string) Event { return Event{UUID: uuid, Kind: "xid", Code: code} }

const (
	total79 = "gpu_error_events_total{0,kind=xid,code=79,severity=critical}"
	last79  = "gpu_error_last_timestamp_seconds{0,kind=xid,code=79}"
	total31 = "gpu_error_events_total{0,kind=xid,code=31,severity=info}"
)

func TestTwoEqualXIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a")
		var log logged
		s, stop := start(t, Options{Backends: []Backend{b}, Logger: log.logger()})
		samples, _ := collect(t, s)
		want(t, "before", samples, map[string]float64{total79: -1, last79: -1})
		b.reports(driverXID("a", "79"))
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "one", samples, map[string]float64{total79: 1, "gpu_recommended_action{0,action=reboot,reason=xid 79}": 1})
		at := time.Now()
		b.reports(driverXID("a", "79"))
		b.reports(driverXID("a", "31"))
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "two", samples, map[string]float64{total79: 2, last79: float64(at.UnixMilli()) / 1000, total31: 1})
		if log.having("kernel log cannot be read") != 1 || log.having("level=INFO") != 1 {
			t.Errorf("%v", log.lines)
		}
		time.Sleep(25 * time.Hour)
		samples, _ = collect(t, s)
		want(t, "a day later", samples, map[string]float64{total79: 2, "gpu_recommended_action{0,action=none}": 1})
		stop()
	})
}

func TestRestartIsAdvisedForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a")
		s, stop := start(t, Options{Backends: []Backend{b}})
		b.reports(driverXID("a", "31"))
		time.Sleep(30 * time.Minute)
		samples, _ := collect(t, s)
		want(t, "half an hour", samples, map[string]float64{"gpu_recommended_action{0,action=restart_app,reason=xid 31}": 1})
		time.Sleep(31 * time.Minute)
		samples, _ = collect(t, s)
		want(t, "an hour", samples, map[string]float64{"gpu_recommended_action{0,action=none}": 1})
		stop()
	})
}

// TestBothSources: what driver and kernel log both tell counts once, what only one of them tells counts too.
func TestBothSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 1000)
		b := newStub("nvidia", "a")
		s, stop := start(t, Options{Backends: []Backend{b}, Root: root})
		step := func(name string, n float64) {
			t.Helper()
			time.Sleep(2500 * time.Millisecond)
			samples, _ := collect(t, s)
			want(t, name, samples, map[string]float64{total79: n})
		}
		time.Sleep(time.Second)
		b.reports(driverXID("a", "79"))
		step("driver", 1)
		appendLog(t, root, xid(1, 1001, "61", "79"))
		step("and kernel", 1)
		appendLog(t, root, xid(2, 1002, "61", "79"))
		step("kernel", 2)
		b.reports(driverXID("a", "79"))
		step("and driver", 2)
		appendLog(t, root, xid(3, 1003, "61", "79"), xid(4, 1003, "61", "79"))
		step("kernel alone", 4)
		stop()
	})
}

func TestWatchThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 1000)
		b := newStub("nvidia", "a")
		b.watch = func(_ context.Context, report func(Event)) error {
			report(driverXID("a", "79"))
			report(driverXID("a", "79"))
			panic("no events")
		}
		var log logged
		s, stop := start(t, Options{Backends: []Backend{b}, Root: root, Logger: log.logger()})
		appendLog(t, root, xid(1, 1001, "61", "79"))
		time.Sleep(2500 * time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "kernel log goes on", samples, map[string]float64{total79: 3})
		if log.having("the backend panicked: no events") != 1 {
			t.Errorf("%v", log.lines)
		}
		stop()
	})
}

func TestEventsWhileTheWorkerWasDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 1000, xid(7, 10, "61", "79"), "6,8,11000000,-;usb 1-1: new device\n", xid(9, 12, "61", "31"))
		path := filepath.Join(t.TempDir(), "gpu.json")
		o := Options{Backends: []Backend{newStub("nvidia", "a")}, Root: root, StatePath: path}
		s, stop := start(t, o)
		time.Sleep(1500 * time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "before the first start", samples, map[string]float64{total79: 1, total31: 1, last79: float64(time.Now().Unix() - 991)})
		stop()
		s, stop = start(t, o)
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "restarted", samples, map[string]float64{total79: 1, total31: 1})
		stop()
		appendLog(t, root, xid(10, 999, "61", "79"), xid(11, 999, "61", "79"))
		s, stop = start(t, o)
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "while down", samples, map[string]float64{total79: 3, total31: 1})
		stop()
		reboot(t, root, "boot-2", 50, xid(0, 5, "61", "79")) // numbers begin anew
		s, stop = start(t, o)
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "rebooted", samples, map[string]float64{total79: 4, total31: 1, "gpu_recommended_action{0,action=reboot,reason=xid 79}": 1})
		stop()
		time.Sleep(time.Hour)
		reboot(t, root, "boot-3", 50)
		s, stop = start(t, o)
		time.Sleep(1500 * time.Millisecond)
		samples, _ = collect(t, s)
		want(t, "mended by a reboot", samples, map[string]float64{total79: 4, "gpu_recommended_action{0,action=none}": 1})
		stop()
	})
}

// TestDriverFirstThenStopped: the driver told of an error whose record was not read before the worker ended.
func TestDriverFirstThenStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 1000)
		b := newStub("nvidia", "a")
		o := Options{Backends: []Backend{b}, Root: root, StatePath: filepath.Join(t.TempDir(), "gpu.json")}
		_, stop := start(t, o)
		b.reports(driverXID("a", "79"))
		stop()
		appendLog(t, root, xid(1, 990, "61", "79"), xid(2, 995, "61", "79"))
		s, stop := start(t, o)
		time.Sleep(1500 * time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "restarted", samples, map[string]float64{total79: 2})
		stop()
	})
}

func TestKilledWorkerKeepsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newStub("nvidia", "a")
		path := filepath.Join(t.TempDir(), "gpu.json")
		_, stop := start(t, Options{Backends: []Backend{b}, StatePath: path})
		b.reports(driverXID("a", "79"))
		time.Sleep(6 * time.Second)
		kept, err := os.ReadFile(path) // as a killed worker leaves it
		if err != nil {
			t.Fatal(err)
		}
		before, _ := os.Stat(path)
		time.Sleep(time.Minute)
		if after, _ := os.Stat(path); !os.SameFile(before, after) {
			t.Error("the file was written though nothing changed")
		}
		stop()
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		s, stop := start(t, Options{Backends: []Backend{b}, StatePath: path})
		b.reports(driverXID("a", "79"))
		time.Sleep(1500 * time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "restarted", samples, map[string]float64{total79: 2})
		stop()
	})
}

func TestDamagedState(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "{\"version\": 1, \"cards\": [", "empty": "", "other version": `{"version": 99}`, "too long": strings.Repeat(" ", maxStateBytes+1),
		"GPU without id":      `{"version":1,"cards":[{"vendor":"nvidia","index":"0","name":"X1"}]}`,
		"error without a GPU": `{"version":1,"events":[{"vendor":"nvidia","kind":"xid","code":"79","base":1}]}`,
		"huge count":          `{"version":1,"events":[{"vendor":"nvidia","subject":"x","kind":"xid","code":"79","base":18446744073709551615}]}`,
		"negative count":      `{"version":1,"lost":{"nvidia":-1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "gpu.json")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				var log logged
				s, stop := start(t, Options{Backends: []Backend{newStub("nvidia", "a")}, StatePath: path, Logger: log.logger()})
				samples, _ := collect(t, s)
				want(t, "began anew", samples, map[string]float64{"gpu_expected{vendor=nvidia}": 1, "gpu_lost_total{vendor=nvidia}": 0})
				stop()
				if aside, err := os.ReadFile(path + ".bad"); err != nil || string(aside) != text {
					t.Errorf("not moved aside: %v", err)
				}
				if log.having("GPU state file cannot be read") != 1 {
					t.Errorf("%v", log.lines)
				}
				if fresh, err := os.ReadFile(path); err != nil || !strings.Contains(string(fresh), `"uuid": "a"`) {
					t.Errorf("%v: %s", err, fresh)
				}
			})
		})
	}
}

func TestStateThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		s, stop := start(t, Options{Backends: []Backend{newStub("nvidia", "a")}, StatePath: filepath.Join(t.TempDir(), "no", "such", "gpu.json"), Logger: log.logger()})
		time.Sleep(time.Minute)
		if _, failed := collect(t, s); len(failed) > 0 || log.having("GPU state file cannot be written") != 1 {
			t.Errorf("%v, %v", failed, log.lines)
		}
		stop()
	})
}

// TestEventsDuringAHang: why a driver hangs stands in the kernel log.
func TestEventsDuringAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 1000)
		b := newStub("nvidia", "a")
		s, stop := start(t, Options{Backends: []Backend{b}, Root: root})
		release := make(chan struct{})
		b.answers(func(context.Context) (Reading, error) { <-release; return Reading{}, errors.New("gone") })
		time.Sleep(7 * time.Second)
		appendLog(t, root, xid(1, 1007, "61", "119"))
		time.Sleep(2500 * time.Millisecond)
		samples, _ := collect(t, s)
		want(t, "hanging", samples, map[string]float64{
			"gpu_error_events_total{0,kind=xid,code=119,severity=critical}": 1, "gpu_up{0}": -1, "gpu_driver_responsive{vendor=nvidia}": 0,
		})
		close(release)
		stop()
	})
}

// TestStrangers: errors of an NVSwitch, and of a GPU that was never read until it was.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := machine(t, "boot-1", 1000, xid(1, 1, "62", "79"),
			"3,2,2000000,-;nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 20009, Non-fatal, Link 28 RX Short Error Rate\n")
		b := newStub("nvidia", "a")
		s, stop := start(t, Options{Backends: []Backend{b}, Root: root})
		time.Sleep(1500 * time.Millisecond)
		sxid := "gpu_error_events_total{0000:c3:00.0,gpu_name=nvswitch,gpu_chip_index=0,kind=sxid,code=20009,severity=warning}"
		stranger := "gpu_error_events_total{0000:62:00.0,gpu_name=unknown,gpu_chip_index=0,kind=xid,code=79,severity=critical}"
		samples, _ := collect(t, s)
		want(t, "unknown", samples, map[string]float64{stranger: 1, sxid: 1, "gpu_expected{vendor=nvidia}": 1})
		b.have("a", "b")
		time.Sleep(time.Second)
		samples, _ = collect(t, s)
		want(t, "known", samples, map[string]float64{stranger: -1, "gpu_error_events_total{1,kind=xid,code=79,severity=critical}": 1, sxid: 1})
		stop()
	})
}

// TestClockSetBack: the last error is the newest, not the one with the greatest time.
func TestClockSetBack(t *testing.T) {
	l := newRegistry(nil)
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(-time.Hour)} {
		l.count(Event{Vendor: "nvidia", UUID: "a", Kind: "xid", Code: "1"}, at)
	}
	for _, e := range l.entries {
		if !e.last.Equal(now.Add(-time.Hour)) {
			t.Errorf("%s", e.last)
		}
	}
}

func TestKindsOfErrorsAreBounded(t *testing.T) {
	var log logged
	l := newRegistry(log.logger())
	for i := range 2 * maxEvents {
		l.count(Event{Vendor: "nvidia", UUID: "a", Kind: "xid", Code: fmt.Sprint(i)}, time.Now())
	}
	if len(l.entries) != maxEvents || log.having("too many kinds") != 1 {
		t.Errorf("%d kinds, %v", len(l.entries), log.lines)
	}
	for _, e := range []Event{{}, {Vendor: "nvidia", Kind: "xid", Code: "1"}, {Vendor: "nvidia", UUID: "a"}, {Kind: "xid", UUID: "a"}} {
		l := newRegistry(log.logger())
		if l.count(e, time.Now()); len(l.entries) > 0 {
			t.Errorf("%+v was counted", e)
		}
	}
}

func TestFutureEventsAreOfNow(t *testing.T) {
	l := newRegistry(nil)
	now := time.Now()
	l.count(Event{At: now.Add(time.Hour), Vendor: "nvidia", UUID: "a", Kind: "xid", Code: "1"}, now)
	for _, e := range l.entries {
		if !e.last.Equal(now) {
			t.Errorf("%s", e.last)
		}
	}
}
