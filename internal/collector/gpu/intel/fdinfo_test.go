package intel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFdinfo(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want client
		ok   bool
	}{
		"xe": {
			"drm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\ndrm-total-vram0:\t23992 KiB\ndrm-resident-vram0:\t1 MiB\n" +
				"drm-resident-vram1:\t1 GiB\ndrm-resident-gtt:\t9 GiB\ndrm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\ndrm-engine-capacity-vcs:\t2\n",
			client{"xe", "0000:03:00.0", 3, 1<<30 + 1<<20, []engine{{"rcs", 28257900, 7655183225, 1}, {"vcs", 0, 0, 2}}, false},
			true,
		},
		"i915, total only": {
			"drm-driver: i915\ndrm-pdev: 0000:0B:00.0\ndrm-client-id: 11\ndrm-total-local0: 35652 KiB\ndrm-engine-render: 573979900 ns\n",
			client{"i915", "0000:0b:00.0", 11, 35652 << 10, []engine{{"render", 573979900, 0, 1}}, false},
			true,
		},
		"before memory was told": {"drm-driver:\ti915\ndrm-pdev:\ta\ndrm-client-id:\t1\n", client{"i915", "a", 1, -1, nil, false}, true},
		"another driver":         {"drm-driver:\tamdgpu\ndrm-pdev:\ta\ndrm-client-id:\t1\n", client{"amdgpu", "a", 1, -1, nil, false}, false},
		"a file":                 {"pos:\t0\nflags:\t02\n", client{memory: -1}, false},
		"no client":              {"drm-driver:\txe\ndrm-pdev:\ta\n", client{driver: "xe", pci: "a", memory: -1}, false},
		"sizes that cannot be": {
			"drm-driver:\txe\ndrm-pdev:\ta\ndrm-client-id:\t1\ndrm-resident-vram0:\t99999999999999 GiB\ndrm-resident-vram1:\t-5\ndrm-resident-vram2:\t3 TiB\n",
			client{"xe", "a", 1, -1, nil, false},
			true,
		},
	} {
		got, ok := parseFdinfo([]byte(c.text))
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(client{}, engine{})); diff != "" || ok != c.ok {
			t.Errorf("%s: %v %s", name, ok, diff)
		}
	}
}

func TestBusySince(t *testing.T) {
	for name, c := range map[string]struct {
		last, now engine
		want      float64
		ok        bool
	}{
		"ns":               {engine{"render", 0, 0, 1}, engine{"render", 5e8, 0, 1}, 0.5, true},
		"ns of two":        {engine{"video", 0, 0, 2}, engine{"video", 5e8, 0, 2}, 0.25, true},
		"cycles":           {engine{"ccs", 10, 100, 1}, engine{"ccs", 40, 200, 1}, 0.3, true},
		"more than it can": {engine{"ccs", 0, 100, 1}, engine{"ccs", 900, 200, 1}, 1, true},
		"began anew":       {engine{"ccs", 50, 100, 1}, engine{"ccs", 40, 200, 1}, 0, false},
		"clock stands":     {engine{"ccs", 50, 100, 1}, engine{"ccs", 50, 100, 1}, 0, false},
	} {
		if got, ok := c.now.busySince(c.last, 1e9); got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
}

func FuzzFdinfo(f *testing.F) {
	f.Add("drm-driver:\txe\ndrm-client-id:\t3\ndrm-pdev:\t0000:03:00.0\ndrm-resident-vram0:\t1 MiB\ndrm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225")
	f.Add("drm-driver:\ti915\ndrm-engine-capacity-video:\t2\ndrm-engine-render:\t5 ns")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseFdinfo([]byte(text))
		if ok && (c.pci == "" || strings.Contains(c.pci, "\n")) {
			t.Fatalf("pci %q", c.pci)
		}
		if c.memory < -1 || c.memory > maxMemory || len(c.engines) > maxEngines {
			t.Fatalf("%+v", c)
		}
		for _, e := range c.engines {
			if share, _ := e.busySince(engine{}, 1e9); share < 0 || share > 1 {
				t.Fatalf("%+v: %v", e, share)
			}
		}
	})
}
