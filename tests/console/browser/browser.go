// Package browser opens pages in Chromium and says what a viewer would see wrong; for tests only.
package browser

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

//go:embed browse.mjs
var script []byte

// visitTime bounds one visit, and the start of the browser.
const visitTime = 2 * time.Minute

// Visit is a page to look at.
type Visit struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Theme    string `json:"theme"` // light or dark
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Axe      bool   `json:"axe"`      // look for faults of accessibility
	Keyboard bool   `json:"keyboard"` // press Tab through all controls
	InSight  bool   `json:"inSight"`  // do not scroll
	Language string `json:"language"` // of the browser, such as zh-CN; empty: en-US
	// Steps are taken after the page has settled; the rest of the sight is of the page of the last one.
	Steps []Step `json:"steps,omitempty"`
}

// Step is something that a viewer does, or sees.
type Step struct {
	// Page is the tab; a tab is opened at the path of the visit when it is named first.
	Page int `json:"page,omitempty"`
	// Do is one of: go (to the path Text), click, check, fill, write (paste into an editor, instead of what is there), type
	// (key by key, over what is there), press (a key), see (At, with Text in it), miss (the opposite), hold (requests to the path Text), release
	// (what is held), shot (a screenshot with Text in its name).
	Do string `json:"do"`
	// At is a selector of Playwright; the first that fits is meant.
	At   string `json:"at,omitempty"`
	Text string `json:"text,omitempty"`
}

// Sight is what was there.
type Sight struct {
	Name      string   `json:"name"`
	Errors    []string `json:"errors"`  // of the browser's console, and what was thrown
	Foreign   []string `json:"foreign"` // requests to other hosts
	Refused   []string `json:"refused"` // answers from 400
	Scripts   int      `json:"scripts"` // bytes of JavaScript as they were sent
	Place     string   `json:"place"`   // path and query in the end
	Title     string   `json:"title"`
	Language  string   `json:"language"` // of the page
	Text      string   `json:"text"`
	Panels    []Panel  `json:"panels"`
	Overflow  int      `json:"overflow"` // pixels by which the page is too wide
	Axe       []string `json:"axe"`
	Unreached []string `json:"unreached"`
	MS        struct {
		Paint, Answers, Settled float64 // after the navigation: first picture, last answer, all panels in sight drawn
		Main                    float64 // of the main thread until then: script, style, layout and other tasks
	} `json:"ms"`
}

// Panel is a panel of a dashboard.
type Panel struct {
	ID    int    `json:"id"`
	Kind  string `json:"kind"`
	State string `json:"state"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Need returns Chromium's path. Without a browser, Node.js or the console's modules the test is skipped, or fails where
// STACKSCOPE_BROWSER is "required".
func Need(tb testing.TB) (browser, modules string) {
	tb.Helper()
	modules = modulesFolder(tb)
	_, noModules := os.Stat(filepath.Join(modules, "node_modules", "playwright-core"))
	_, noNode := exec.LookPath("node")
	var noBrowser error
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if browser, noBrowser = exec.LookPath(name); noBrowser == nil {
			break
		}
	}
	if err := errors.Join(noNode, noBrowser, noModules); err != nil {
		if os.Getenv("STACKSCOPE_BROWSER") == "required" {
			tb.Fatal(err)
		}
		tb.Skipf("no browser tests: %v (they need Chromium, Node.js and `make e2e`, which installs the modules)", err)
	}
	return browser, modules
}

// modulesFolder returns web/console of the repository, which has node_modules.
func modulesFolder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if modules := filepath.Join(dir, "web", "console"); isDir(modules) {
			return modules
		}
		dir = filepath.Dir(dir)
	}
	tb.Fatal("the test is not inside the repository")
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Open visits pages one after the other. Screenshots go to the folder that STACKSCOPE_SCREENSHOTS names.
func Open(tb testing.TB, origin string, visits []Visit) map[string]Sight {
	tb.Helper()
	browser, modules := Need(tb)
	shots := os.Getenv("STACKSCOPE_SCREENSHOTS")
	if shots != "" {
		if err := os.MkdirAll(shots, 0o750); err != nil { //nolint:gosec // the tester names the folder
			tb.Fatal(err)
		}
	}
	input, err := json.Marshal(map[string]any{"origin": origin, "browser": browser, "modules": modules, "screenshots": shots, "visits": visits})
	if err != nil {
		tb.Fatal(err)
	}
	program := filepath.Join(tb.TempDir(), "browse.mjs")
	if err := os.WriteFile(program, script, 0o600); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Duration(len(visits)+1)*visitTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", program) //nolint:gosec // the script above
	var out, log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &log
	if err := cmd.Run(); err != nil {
		tb.Fatalf("the browser: %v\n%s", err, log.String())
	}
	seen := map[string]Sight{}
	for d := json.NewDecoder(&out); d.More(); {
		var s Sight
		if err := d.Decode(&s); err != nil {
			tb.Fatal(err)
		}
		seen[s.Name] = s
	}
	if len(seen) != len(visits) {
		tb.Fatalf("%d visits, %d were told of: two have one name?", len(visits), len(seen))
	}
	return seen
}

// Check fails for what no page may have.
func (s Sight) Check(tb testing.TB) {
	tb.Helper()
	for what, list := range map[string][]string{
		"console errors": s.Errors, "requests to other hosts": s.Foreign, "refused requests": s.Refused, "faults of accessibility": s.Axe,
		"controls that Tab does not reach": s.Unreached,
	} {
		if len(list) > 0 {
			tb.Errorf("%s: %s: %s", s.Name, what, cmp.Diff(nil, list))
		}
	}
	if s.Overflow > 0 {
		tb.Errorf("%s: the page is %d pixels too wide", s.Name, s.Overflow)
	}
	for _, p := range s.Panels {
		switch p.State {
		case "drawn", "empty", "unavailable":
		case "waiting": // in a collapsed row, or never in sight
		default:
			tb.Errorf("%s: panel %d %q is %q: %s", s.Name, p.ID, p.Title, p.State, p.Text)
		}
	}
}
