package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// visitTime bounds one visit, and the start of the browser.
const visitTime = 2 * time.Minute

// visit is a page to look at.
type visit struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Theme    string `json:"theme"` // light or dark
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Axe      bool   `json:"axe"`      // look for faults of accessibility
	Keyboard bool   `json:"keyboard"` // press Tab through all controls
}

// sight is what was there.
type sight struct {
	Name      string   `json:"name"`
	Errors    []string `json:"errors"`  // of the browser's console, and what was thrown
	Foreign   []string `json:"foreign"` // requests to other hosts
	Refused   []string `json:"refused"` // answers from 400
	Scripts   int      `json:"scripts"` // bytes of JavaScript as they were sent
	Place     string   `json:"place"`   // path and query in the end
	Title     string   `json:"title"`
	Text      string   `json:"text"`
	Panels    []panel  `json:"panels"`
	Overflow  int      `json:"overflow"` // pixels by which the page is too wide
	Axe       []string `json:"axe"`
	Unreached []string `json:"unreached"`
	MS        struct {
		Paint, Answers, Settled float64
	} `json:"ms"`
}

// panel is a panel of a dashboard.
type panel struct {
	ID    int    `json:"id"`
	Kind  string `json:"kind"`
	State string `json:"state"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// needBrowser returns Chromium's path. Without a browser, Node.js or the console's modules the test is skipped, or fails where
// STACKSCOPE_BROWSER is "required".
func needBrowser(t *testing.T) (browser, modules string) {
	t.Helper()
	modules, err := filepath.Abs(filepath.Join("..", "..", "web", "console"))
	if err != nil {
		t.Fatal(err)
	}
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
			t.Fatal(err)
		}
		t.Skipf("no browser tests: %v (they need Chromium, Node.js and `make e2e`, which installs the modules)", err)
	}
	return browser, modules
}

// browse visits pages one after the other. Screenshots go to the folder that STACKSCOPE_SCREENSHOTS names.
func browse(t *testing.T, origin string, visits []visit) map[string]sight {
	t.Helper()
	browser, modules := needBrowser(t)
	shots := os.Getenv("STACKSCOPE_SCREENSHOTS")
	if shots != "" {
		if err := os.MkdirAll(shots, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	input, err := json.Marshal(map[string]any{"origin": origin, "browser": browser, "modules": modules, "screenshots": shots, "visits": visits})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(len(visits)+1)*visitTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "browse.mjs")
	var out, log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("the browser: %v\n%s", err, log.String())
	}
	seen := map[string]sight{}
	for d := json.NewDecoder(&out); d.More(); {
		var s sight
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		seen[s.Name] = s
	}
	if len(seen) != len(visits) {
		t.Fatalf("%d visits, %d were told of: two have one name?", len(visits), len(seen))
	}
	return seen
}

// check fails for what no page may have.
func (s sight) check(t *testing.T) {
	t.Helper()
	for what, list := range map[string][]string{
		"console errors": s.Errors, "requests to other hosts": s.Foreign, "refused requests": s.Refused, "faults of accessibility": s.Axe,
		"controls that Tab does not reach": s.Unreached,
	} {
		if len(list) > 0 {
			t.Errorf("%s: %s: %s", s.Name, what, cmp.Diff(nil, list))
		}
	}
	if s.Overflow > 0 {
		t.Errorf("%s: the page is %d pixels too wide", s.Name, s.Overflow)
	}
	for _, p := range s.Panels {
		switch p.State {
		case "ready", "empty":
		case "waiting": // in a collapsed row, or never in sight
		default:
			t.Errorf("%s: panel %d %q is %q: %s", s.Name, p.ID, p.Title, p.State, p.Text)
		}
	}
}
