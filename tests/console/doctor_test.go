package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stackscope/stackscope/tests/console/browser"
	"github.com/stackscope/stackscope/tests/programs"
)

// firstBroken is the hop at which the samples stop.
const firstBroken = ".dr-path[open] .dr-first"

// TestDoctor asks about an engine that refuses connections, beside one that is well.
func TestDoctor(t *testing.T) {
	skipShort(t)
	origin, _ := startWith(t, map[string]string{"chat-0": serveEngine(t), "broken-0": fmt.Sprintf("http://127.0.0.1:%d", programs.FreePort(t))})
	refused := []browser.Step{
		{Do: "see", At: firstBroken + "[data-hop=endpoint]"},
		{Do: "see", At: "details[open][data-finding=engine_refused]", Text: "What to do"},
	}
	visits := []browser.Visit{
		{Name: "doctor-fleet", Path: "/doctor", Theme: "light", Width: 1440, Height: 900, Axe: true, Keyboard: true, Steps: append([]browser.Step{
			{Do: "see", At: ".dr-summary.dr-broken"},
		}, refused...)},
		{Name: "doctor-instance", Path: "/doctor?instance=broken-0", Theme: "dark", Width: 1440, Height: 900, Axe: true, Steps: refused},
		{Name: "doctor-narrow", Path: "/doctor?instance=broken-0", Theme: "light", Width: 390, Height: 844, Axe: true, Keyboard: true, Steps: refused},
		{Name: "doctor-chinese", Path: "/doctor?instance=broken-0", Theme: "light", Width: 1024, Height: 800, Axe: true, Language: "zh-CN", Steps: refused[:1]},
		{Name: "doctor-well", Path: "/doctor?instance=chat-0", Theme: "light", Width: 1440, Height: 900, Axe: true, Steps: []browser.Step{
			{Do: "see", At: "[data-hop=endpoint][data-state=ok]"},
			{Do: "miss", At: "[data-hop=endpoint].dr-first"},
		}},
		{Name: "doctor-chosen", Path: "/doctor?instance=chat-0", Theme: "light", Width: 1440, Height: 900, Steps: append([]browser.Step{
			{Do: "fill", At: "input[role=combobox]", Text: "brok"},
			{Do: "see", At: "[role=option]", Text: "broken-0"},
			{Do: "shot", Text: "list"},
			{Do: "press", At: "input[role=combobox]", Text: "ArrowDown"},
			{Do: "press", At: "input[role=combobox]", Text: "Enter"},
		}, refused...)},
		{Name: "doctor-unknown", Path: "/doctor?subject=broken-1", Theme: "light", Width: 1440, Height: 900, Axe: true, Steps: []browser.Step{
			{Do: "see", At: "[role=alert] strong", Text: "There is no instance, worker, model or metric"},
			{Do: "see", At: "[role=alert] a[href='/doctor?subject=broken-0']"}, // the nearest name
		}},
		{Name: "doctor-from-list", Path: "/instances", Theme: "light", Width: 1440, Height: 900, Steps: append([]browser.Step{
			{Do: "see", At: "tr.f-sick"},
			{Do: "shot", Text: "list"},
			{Do: "click", At: "tr.f-sick a[href^='/doctor?instance=broken-0']"},
		}, refused...)},
		{Name: "doctor-from-panel", Path: "/d/gpustack-model/gpustack-model?var-model_name=chat&var-model_instance_name=broken-0", Theme: "light", Width: 1440, Height: 900, Steps: append([]browser.Step{
			{Do: "shot", Text: "panel"},
			{Do: "click", At: "[data-state=empty] a[href^='/doctor?metric=gpustack']"},
		}, refused...)},
	}
	seen := browser.Open(t, origin, visits)
	places := map[string]string{
		"doctor-chosen":     "/doctor?instance=broken-0",
		"doctor-from-list":  "/doctor?instance=broken-0&worker=",
		"doctor-from-panel": "/doctor?metric=gpustack%3A",
	}
	for _, v := range visits {
		s := seen[v.Name]
		t.Run(v.Name, func(t *testing.T) {
			if v.Name == "doctor-unknown" {
				expect(t, &s, "404 GET")
			}
			s.Check(t)
			if want := places[v.Name]; !strings.HasPrefix(s.Place, want) {
				t.Errorf("the way leads to %s, not to %s", s.Place, want)
			}
		})
	}
	if s := seen["doctor-chinese"]; s.Language != "zh-CN" || !strings.Contains(s.Title, "诊断") {
		t.Errorf("a Chinese browser sees %q in %s", s.Title, s.Language)
	}
}
