package gpu

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestPIDNamespaces: process numbers that may be another namespace's are not handed on, unless the backend knows whose they are.
func TestPIDNamespaces(t *testing.T) {
	for name, c := range map[string]struct {
		namespace string
		listed    []Process
		handed    int // -1: not known
	}{
		"the machine's":             {"pid:[4026531836]", []Process{{PID: 7}}, 1},
		"a container's":             {"pid:[4026532841]", []Process{{PID: 7}}, -1},
		"a container's, none":       {"pid:[4026532841]", nil, -1},
		"a container's, whose":      {"pid:[4026532841]", []Process{{PID: 7, Instance: "a"}, {PID: 8}}, 2},
		"of a system without names": {"", []Process{{PID: 7}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				root := t.TempDir()
				if err := os.MkdirAll(filepath.Join(root, "proc/self/ns"), 0o750); err != nil {
					t.Fatal(err)
				}
				if c.namespace != "" {
					if err := os.Symlink(c.namespace, filepath.Join(root, "proc/self/ns/pid")); err != nil {
						t.Fatal(err)
					}
				}
				b := newStub("nvidia")
				device := b.device(0, "a")
				device.Processes, device.ProcessesKnown = c.listed, true
				b.gives([]Device{device}, nil)
				var got []Device
				var log logged
				_, stop := start(t, Options{Backends: []Backend{b}, Root: root, Logger: log.logger(), OnReading: func(_ string, _ time.Time, d []Device) { got = d }})
				stop()
				known := c.handed >= 0
				if len(got) != 1 || got[0].ProcessesKnown != known || len(got[0].Processes) != max(c.handed, 0) {
					t.Errorf("got %+v", got)
				}
				if said := log.having("process numbers"); (said == 1) == known {
					t.Errorf("logged %d times", said)
				}
			})
		})
	}
}
