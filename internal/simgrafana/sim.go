// Package simgrafana plays a Grafana's program, for tests only: a test's own binary is one when it is started as the bin/grafana
// of a home that Furnish made. It behaves towards us as Grafana 10 to 13 do, and shares no line with them.
package simgrafana

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// defaultVersion is what it says it is, unless the Play says otherwise.
const defaultVersion = "13.2.2"

// Play says how the Grafana of a home behaves. The zero value is one that is well.
type Play struct {
	Version   string        `json:",omitempty"` // 10.0.0 and the like; one with a lower first number refuses the database
	StartUp   time.Duration `json:",omitempty"` // how long it takes until it listens
	Migration time.Duration `json:",omitempty"` // how much longer that is while there is no database
	Takes     int           `json:",omitempty"` // searches that it answers before it takes up the dashboards; below zero: it never does

	Ends           string `json:",omitempty"` // why it ends at its start
	Disk           string `json:",omitempty"` // DiskFull or DiskReadOnly
	CLIEnds        string `json:",omitempty"` // why its command line fails
	Hangs          bool   `json:",omitempty"` // it never listens
	PortTaken      bool   `json:",omitempty"` // another program takes its port between our look and its own
	Locked         bool   `json:",omitempty"` // its parts find the database locked while it starts
	IgnoresSIGTERM bool   `json:",omitempty"` // SIGTERM doesn't end it

	// These are looked at with each request.
	Unhealthy    bool   `json:",omitempty"` // its database fails
	Unresponsive bool   `json:",omitempty"` // it no longer answers /api/health
	Warns        string `json:",omitempty"` // the warning that it logs with each answer to /api/health
	Dies         string `json:",omitempty"` // the error that it ends with once it has answered /api/health
}

// What Play.Disk may be.
const (
	DiskFull     = "full"
	DiskReadOnly = "read-only"
)

// Main makes this process a Grafana, and then doesn't return, if that is what it was started as. It comes first in TestMain.
func Main() {
	if filepath.Base(os.Args[0]) != "grafana" || len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case "server":
		os.Exit(runServer(os.Args[2:]))
	case "cli":
		os.Exit(runCLI(os.Args[2:]))
	}
}

//go:embed home
var home embed.FS

// Furnish makes dir a home whose program is this test's binary.
func Furnish(dir string) error {
	files, err := fs.Sub(home, "home")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o750); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(self, filepath.Join(dir, "bin", "grafana"))
}

// Home returns a new home.
func Home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := Furnish(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Set has the Grafana of a home behave as p says, also one that runs.
func Set(t *testing.T, dir string, p Play) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	next := playFile(dir) + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, playFile(dir)); err != nil {
		t.Fatal(err)
	}
}

func playFile(dir string) string { return filepath.Join(dir, "conf", "play.json") }

// readPlay returns the zero value where nothing was set.
func readPlay(dir string) (p Play, err error) {
	text, err := os.ReadFile(playFile(dir))
	if err == nil {
		err = json.Unmarshal(text, &p)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if p.Version == "" {
		p.Version = defaultVersion
	}
	return p, err
}

// realHomes are the variables that name the home of a real Grafana, the first one wins.
var realHomes = [...]string{"STACKSCOPE_GRAFANA_HOME", "GF_PATHS_HOME"}

// RealHome returns the home of the real Grafana, 10.0 or newer, that this machine names, and skips the test where it names none.
func RealHome(t *testing.T) string {
	t.Helper()
	for _, name := range realHomes {
		if dir := os.Getenv(name); dir != "" {
			dir, err := filepath.Abs(dir)
			if err == nil {
				_, err = os.Stat(filepath.Join(dir, "conf", "defaults.ini"))
			}
			if err != nil {
				t.Fatalf("%s: %v; name the folder that holds Grafana's conf and public, or unset it", name, err)
			}
			return dir
		}
	}
	t.Skip("no real Grafana: set " + strings.Join(realHomes[:], " or ") + " to the home of an installed one")
	return ""
}

// Each runs f with the home of the stand-in, and again with that of a real Grafana where the machine has one.
func Each(t *testing.T, f func(t *testing.T, home string)) {
	t.Helper()
	t.Run("stand-in", func(t *testing.T) { f(t, Home(t)) })
	t.Run("real", func(t *testing.T) { f(t, RealHome(t)) })
}

// Environ is this process' environment without the settings of a Grafana that the machine has.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "GF_") })
}
