package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/grafana/install"
)

type grafanaCmd struct {
	Install grafanaInstall `cmd:"" help:"Download Grafana's official release, verify it and unpack it where a server finds it."`
}

// Help is printed by kong below the usage.
func (*grafanaCmd) Help() string {
	return "Nothing needs Grafana: the console shows the same dashboards. A server that finds a Grafana runs it at /grafana."
}

type grafanaInstall struct {
	Dir      string `help:"Directory for installed versions. Default: GPUSTACK_DATA_DIR/grafana-home, else /var/lib/stackscope/grafana-home for root and ~/.local/share/stackscope/grafana for others." placeholder:"DIR"`
	Version  string `help:"Release to install, for example 11.6.0. Default: the release whose checksum is built in, or the one of --file." placeholder:"VERSION"`
	SHA256   string `name:"sha256" help:"SHA-256 of the archive, for a release whose checksum is not built in." placeholder:"HEX"`
	Mirror   string `help:"Address to download from instead of https://dl.grafana.com." placeholder:"URL" xor:"source"`
	File     string `help:"Archive (.tar.gz) on this machine, instead of a download." placeholder:"PATH" xor:"source"`
	Platform string `help:"System and architecture of another machine that Grafana is for, for example linux/arm64. Default: those of this machine." placeholder:"OS/ARCH"`
	Force    bool   `help:"Install even if this version is installed."`
	Quiet    bool   `help:"Show no progress."`
	JSON     bool   `help:"Print the result as JSON."`
}

// Help is printed by kong below the usage.
func (*grafanaInstall) Help() string {
	return `Without flags the command installs Grafana ` + install.Version + ` (OSS), whose checksum is built in. A running server without
Grafana starts it without a restart.

  stackscope grafana install                              from https://dl.grafana.com
  stackscope grafana install --mirror https://mirror.lan/grafana
                                                          from MIRROR/oss/release/grafana-` + install.Version + `.linux-amd64.tar.gz
  stackscope grafana install --file grafana-` + install.Version + `.linux-amd64.tar.gz
                                                          on a machine without a network
  stackscope grafana install --version 11.6.0             another release; its checksum is downloaded from dl.grafana.com over TLS

HTTPS_PROXY, HTTP_PROXY and NO_PROXY select a proxy. Other installed versions stay; servers use the newest.`
}

func (c *grafanaInstall) Run(e *command.Env) error {
	meter := install.NewMeter(e.Stderr, isTerminal(e.Stderr))
	o := install.Options{Dir: c.Dir, Version: c.Version, SHA256: c.SHA256, Mirror: c.Mirror, File: c.File, Force: c.Force, Platform: c.Platform}
	if o.Dir == "" {
		o.Dir = install.DefaultDir(os.Getenv, os.Getuid() == 0)
	}
	if !c.Quiet {
		o.Report = meter.Report
	}
	r, err := install.Run(e.Context, o)
	meter.Close()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.Stdout).Encode(struct {
			Home     string   `json:"home"`
			Version  string   `json:"version"`
			Already  bool     `json:"already_installed"`
			Fetched  int64    `json:"fetched_bytes"`
			Unpacked int64    `json:"unpacked_bytes"`
			Notes    []string `json:"notes,omitempty"`
		}{r.Home, r.Version, r.Already, r.Fetched, r.Unpacked, r.Notes})
	}
	return c.print(e.Stdout, r)
}

func (c *grafanaInstall) print(w io.Writer, r install.Result) error {
	if r.Already {
		fmt.Fprintf(w, "Grafana %s is installed already: %s\n", r.Version, r.Home)
	} else {
		fmt.Fprintf(w, "Grafana %s is installed: %s\n", r.Version, r.Home)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	_, err := fmt.Fprintln(w, nextStep(r))
	return err
}

func nextStep(r install.Result) string {
	switch {
	case !slices.Contains(grafanaHomes(), r.Home):
		return "Servers do not search this directory: start the server with --grafana-home " + r.Home
	case r.Version == install.Version:
		return "Start a server (stackscope start, or stackscope demo) and open /grafana/ on it. A server that runs without Grafana starts it by itself."
	}
	return "Start a server (stackscope start, or stackscope demo), or restart yours, and open /grafana/ on it."
}

// grafanaHomes returns the directories in which servers search what `stackscope grafana install` installed, in order of preference: this
// user's, then root's.
func grafanaHomes() []string {
	dir := install.DefaultDir(os.Getenv, os.Getuid() == 0)
	homes := install.Candidates(dir)
	if dir != install.SystemDir {
		homes = append(homes, install.Candidates(install.SystemDir)...)
	}
	return homes
}

// isTerminal reports whether progress can be shown on w.
func isTerminal(w io.Writer) bool { return os.Getenv("TERM") != "dumb" && isDevice(w) }

// isDevice reports whether file, an *os.File perhaps, is a terminal or the null device, which looks like one.
func isDevice(file any) bool {
	f, ok := file.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
