package bench

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	compose "github.com/stackscope/stackscope/docker-compose"
	"github.com/stackscope/stackscope/tests/dashboards/viewer"
)

func TestZZ(t *testing.T) {
	dashboards, _ := viewer.Load(compose.Dashboards())
	dir := os.Getenv("STACKSCOPE_BENCH_DATA")
	text, _ := os.ReadFile(dir + "/ends")
	sec, _ := strconv.ParseInt(string(text), 10, 64)
	end := time.Unix(sec, 0)
	p := openFleet(t, dir)
	for _, iv := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute} {
		for _, d := range dashboards {
			if !strings.Contains("gpustack-model gpustack-worker stackscope-engines stackscope-gpus stackscope-power", d.UID) {
				continue
			}
			dd := d
			dd.Panels = nil
			for _, q := range d.Panels {
				q.Interval = max(q.Interval, iv)
				dd.Panels = append(dd.Panels, q)
			}
			t.Logf("%s %s", iv, d.UID)
			o := open(t, p, dd, viewer.View{Now: end, Range: fleetHistory, Aligned: true})
			o.log(t)
		}
	}
}
