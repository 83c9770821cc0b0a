package console

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackscope/stackscope/dashboards"
	"github.com/stackscope/stackscope/tests/console/browser"
	"github.com/stackscope/stackscope/tests/programs"
)

// maxScript is how much JavaScript the fleet page may load, in bytes as they are sent with gzip.
const maxScript = 60 << 10

func skipShort(t *testing.T) {
	t.Helper()
	if os.Getenv("STACKSCOPE_E2E") == "" {
		t.Skip("opens the built programs in a browser: set STACKSCOPE_E2E=1 or run make e2e")
	}
	browser.Need(t)
}

// demo starts the demo without a Grafana and waits until rates have values.
func demo(t *testing.T) (origin string) {
	t.Helper()
	port := programs.FreePort(t)
	origin = fmt.Sprintf("http://127.0.0.1:%d", port)
	cmd := exec.Command(programs.Path(t, "stackscope"), "demo", "--port", strconv.Itoa(port),
		"--metrics-port", strconv.Itoa(programs.FreePort(t)), "--worker-metrics-port", strconv.Itoa(programs.FreePort(t)))
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GF_PATHS_HOME=") }), "XDG_DATA_HOME="+t.TempDir())
	p := programs.Start(t, cmd)
	p.Await(2*time.Minute, "rates of the demo", func() error {
		body, err := programs.Get(origin + "/prometheus/api/v1/query?query=" + "sum(rate(gpustack:generation_tokens_total%5B1m%5D))%3E0")
		if err == nil && !strings.Contains(body, `"value":[`) {
			err = fmt.Errorf("answered %s", body)
		}
		return err
	})
	return origin
}

// TestConsole opens every dashboard and page on the demo, without a Grafana.
func TestConsole(t *testing.T) {
	skipShort(t)
	origin := demo(t)
	list := func(path string) (ids []int64) {
		body, err := programs.Get(origin + path)
		if err != nil {
			t.Fatal(err)
		}
		var items struct {
			Items []struct {
				ID int64 `json:"id"`
			} `json:"items"`
		}
		if err := json.Unmarshal([]byte(body), &items); err != nil || len(items.Items) == 0 {
			t.Fatalf("%s: %v, %.200s", path, err, body)
		}
		for _, item := range items.Items {
			ids = append(ids, item.ID)
		}
		return ids
	}
	visits := []browser.Visit{
		{Name: "fleet-light-1440", Path: "/", Theme: "light", Width: 1440, Height: 900, Axe: true, Keyboard: true},
		{Name: "fleet-dark-1440", Path: "/", Theme: "dark", Width: 1440, Height: 900, Axe: true},
		{Name: "fleet-light-390", Path: "/", Theme: "light", Width: 390, Height: 844, Axe: true},
		{Name: "fleet-dark-1920", Path: "/", Theme: "dark", Width: 1920, Height: 1080},
		{Name: "fleet-chinese-390", Path: "/", Theme: "light", Width: 390, Height: 844, Axe: true, Language: "zh-CN"},
		{Name: "instances-chinese-1440", Path: "/instances", Theme: "light", Width: 1440, Height: 900, Axe: true, Language: "zh-CN"},
	}
	for i, d := range dashboards.All() {
		if d.UID == "stackscope-fleet" {
			continue
		}
		// Every dashboard is seen wide and narrow, light and dark; the whole matrix takes minutes.
		themes := []string{"light", "dark"}
		visits = append(visits,
			browser.Visit{Name: d.UID + "-wide", Path: "/d/" + d.UID + "/" + d.UID, Theme: themes[i%2], Width: 1440, Height: 900, Axe: true},
			browser.Visit{Name: d.UID + "-narrow", Path: "/grafana/d/" + d.UID + "/" + d.UID, Theme: themes[(i+1)%2], Width: 390, Height: 844})
	}
	for _, page := range []string{
		"/dashboards", "/models", "/instances", "/workers", "/gpus", "/doctor", "/mapping?view=history",
		fmt.Sprint("/models/", list("/v2/models")[0]), fmt.Sprint("/instances/", list("/v2/model-instances")[0]), fmt.Sprint("/workers/", list("/v2/workers")[0]),
	} {
		name := "page" + strings.NewReplacer("/", "-", "?", "-").Replace(page)
		visits = append(visits,
			browser.Visit{Name: name + "-wide", Path: page, Theme: "light", Width: 1440, Height: 900, Axe: true, Keyboard: true},
			browser.Visit{Name: name + "-narrow", Path: page, Theme: "dark", Width: 390, Height: 844, Axe: true})
	}
	var names struct {
		Workers, Models struct {
			Items []struct{ Name string }
		}
	}
	for path, into := range map[string]any{"/v2/workers": &names.Workers, "/v2/models": &names.Models} {
		body, err := programs.Get(origin + path)
		if err == nil {
			err = json.Unmarshal([]byte(body), into)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	leads := redirects(names.Workers.Items[0].Name, names.Models.Items[0].Name)
	for path := range leads {
		visits = append(visits, browser.Visit{Name: "redirect" + strings.ReplaceAll(path, "/", "-"), Path: path, Theme: "light", Width: 1440, Height: 900})
	}
	seen := browser.Open(t, origin, visits)
	for _, v := range visits {
		s := seen[v.Name]
		t.Run(v.Name, func(t *testing.T) {
			s.Check(t)
			if to, ok := leads[v.Path]; ok {
				if !strings.HasPrefix(s.Place, to) {
					t.Errorf("%s leads to %s, not to %s", v.Path, s.Place, to)
				}
				checkPanels(t, s, strings.Split(to, "/")[2])
			}
			if uid, ok := strings.CutPrefix(strings.TrimPrefix(v.Path, "/grafana"), "/d/"); ok {
				checkPanels(t, s, uid[:strings.Index(uid, "/")])
			}
		})
	}
	if s := seen["instances-chinese-1440"]; s.Language != "zh-CN" || !strings.HasPrefix(s.Title, "实例") {
		t.Errorf("a Chinese browser sees %q in %s", s.Title, s.Language)
	}
	fleet := seen["fleet-light-1440"]
	if fleet.Language != "en" {
		t.Errorf("an English browser sees a page in %s", fleet.Language)
	}
	checkPanels(t, fleet, "stackscope-fleet")
	if fleet.Scripts == 0 || fleet.Scripts > maxScript {
		t.Errorf("the fleet page loads %d bytes of JavaScript, allowed are %d", fleet.Scripts, maxScript)
	}
	t.Logf("fleet page: %d bytes of JavaScript, first picture after %.0f ms, last answer after %.0f ms, main thread %.0f ms", fleet.Scripts, fleet.MS.Paint, fleet.MS.Answers, fleet.MS.Main)
}

// checkPanels compares the panels in sight with those of the dashboard.
func checkPanels(t *testing.T, s browser.Sight, uid string) {
	t.Helper()
	there := map[int]string{}
	for _, p := range s.Panels {
		there[p.ID] = p.State
	}
	drawn := 0
	for _, d := range dashboards.All() {
		if d.UID != uid {
			continue
		}
		for _, row := range d.View().Rows {
			for _, p := range row.Panels {
				switch state, ok := there[p.ID]; {
				case row.Collapsed:
				case !ok:
					t.Errorf("panel %d %q is not there", p.ID, p.Title)
				case state == "drawn":
					drawn++
				case state == "waiting", state == "unavailable":
					t.Errorf("panel %d %q is %s", p.ID, p.Title, state)
				}
			}
		}
	}
	if drawn == 0 && uid != "gpustack-pd" && uid != "gpustack-cache-service" { // the demo has no roles and no cache service
		t.Errorf("no panel of %s shows anything", uid)
	}
}
