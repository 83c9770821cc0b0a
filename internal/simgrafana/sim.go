// Package simgrafana simulates the program grafana, for tests only. A test's own binary acts as Grafana when it is started as the
// bin/grafana of a home that Furnish made. Towards us it behaves as Grafana 10 to 13 do; it has no code of Grafana.
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

// defaultVersion is the version that it reports unless Play.Version is set.
const defaultVersion = "13.2.2"

// Play says how the Grafana of a home behaves. The zero value is a healthy Grafana.
type Play struct {
	Version   string        `json:",omitempty"` // such as 10.0.0; it refuses a database of a higher major version
	StartUp   time.Duration `json:",omitempty"` // time from the start until it listens
	Migration time.Duration `json:",omitempty"` // how much longer the start takes without a database
	Takes     int           `json:",omitempty"` // searches that it answers before it has the dashboards; below zero: it never has them

	Ends           string `json:",omitempty"` // the error with which it exits at the start
	Disk           string `json:",omitempty"` // DiskFull or DiskReadOnly
	CLIEnds        string `json:",omitempty"` // the error of grafana cli
	Hangs          bool   `json:",omitempty"` // it never listens
	PortTaken      bool   `json:",omitempty"` // another program takes the port after we found it free
	Locked         bool   `json:",omitempty"` // it logs "database is locked" while it starts
	IgnoresSIGTERM bool   `json:",omitempty"` // it ignores SIGTERM

	// These are read with each request.
	Unhealthy    bool   `json:",omitempty"` // /api/health reports a failing database
	Unresponsive bool   `json:",omitempty"` // it no longer answers /api/health
	Warns        string `json:",omitempty"` // a warning that it logs with each answer to /api/health
	Dies         string `json:",omitempty"` // the error with which it exits after it has answered /api/health
}

// Values of Play.Disk.
const (
	DiskFull     = "full"
	DiskReadOnly = "read-only"
)

// Main acts as Grafana and does not return if this process was started as bin/grafana. TestMain must call it first.
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

// Furnish makes dir the home of a Grafana whose program is this test's binary.
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

// Set makes the Grafana of a home behave as p says. It also affects a running one.
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

// readPlay returns what Set wrote, or the zero value with the default version.
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

// realHomes are the variables that name the home of a real Grafana. The first one that is set is used.
var realHomes = [...]string{"STACKSCOPE_GRAFANA_HOME", "GF_PATHS_HOME"}

// RealHome returns the home of a real Grafana, 10.0 or newer, that a variable names, and skips the test if none is set.
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

// Each runs f with the home of the simulated Grafana, and again with the home of a real one if this machine has one.
func Each(t *testing.T, f func(t *testing.T, home string)) {
	t.Helper()
	t.Run("stand-in", func(t *testing.T) { f(t, Home(t)) })
	t.Run("real", func(t *testing.T) { f(t, RealHome(t)) })
}

// Environ returns this process' environment without GF_* settings.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "GF_") })
}
