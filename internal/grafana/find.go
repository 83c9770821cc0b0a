package grafana

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// usualHomes are where packages and Grafana's own instructions install it.
var usualHomes = [...]string{
	"/usr/share/grafana", "/usr/local/share/grafana", "/opt/grafana", "/usr/local/grafana",
	"/opt/homebrew/share/grafana", "/usr/local/opt/grafana/share/grafana",
}

// From Grafana 13.2 on, the Prometheus datasource is a plugin in a folder of the home. Debian and RPM packages install the plugins
// elsewhere, and only their systemd unit names that folder.
const (
	homePlugins     = "data/plugins-bundled"
	packagedPlugins = "/var/lib/grafana/plugins-bundled"
)

// home is the home of an installed Grafana.
type home struct {
	dir     string
	program string
}

// command returns the program and the arguments of a Grafana command: server, or cli and its arguments.
func (h home) command(words ...string) (program string, args []string) {
	args = append([]string{"--homepath", h.dir}, words[1:]...)
	if filepath.Base(h.program) == "grafana" {
		return h.program, append([]string{words[0]}, args...)
	}
	return filepath.Join(filepath.Dir(h.program), "grafana-"+words[0]), args // before 9.4 there are two programs, grafana-server and grafana-cli
}

// pluginsElsewhere returns the folder of a package's plugins if only that folder has plugins, and "" if the home has some.
func (h home) pluginsElsewhere(packaged string) string {
	if hasEntries(filepath.Join(h.dir, filepath.FromSlash(homePlugins))) || !hasEntries(packaged) {
		return ""
	}
	return packaged
}

func hasEntries(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}

// absentError says that Grafana is not installed on this machine.
type absentError struct{ looked []string }

func (e *absentError) Error() string {
	return "Grafana was not found; searched " + strings.Join(e.looked, ", ")
}

// find returns the home of the Grafana to run. It runs before each start, because Grafana may have been installed or upgraded.
func (g *Grafana) find() (home, error) {
	if dir := g.opts.Home; dir != "" {
		h, lacks := inspect(dir)
		if len(lacks) > 0 {
			return home{}, fmt.Errorf("--grafana-home %s %s: name the folder that holds Grafana's conf and public", dir, describe(dir, lacks))
		}
		return h, nil
	}
	var looked []string
	for _, dir := range g.candidates() {
		h, lacks := inspect(dir)
		if len(lacks) == 0 {
			return h, nil
		}
		if exists(dir) {
			dir += " (" + describe(dir, lacks) + ")"
		}
		looked = append(looked, dir)
	}
	return home{}, &absentError{append(looked, "PATH")}
}

// candidates returns the folders that may be a home, in order of precedence.
func (g *Grafana) candidates() []string {
	var dirs []string
	if dir := g.env["GF_PATHS_HOME"]; dir != "" {
		dirs = append(dirs, dir)
	}
	dirs = append(dirs, g.opts.Searched...)
	dirs = append(dirs, usualHomes[:]...)
	for _, bin := range filepath.SplitList(g.env["PATH"]) {
		if !filepath.IsAbs(bin) {
			continue
		}
		for _, name := range []string{"grafana", "grafana-server"} {
			program, err := filepath.EvalSymlinks(filepath.Join(bin, name))
			if err != nil {
				continue
			}
			prefix := filepath.Dir(filepath.Dir(program))
			for _, dir := range []string{prefix, filepath.Join(prefix, "share", "grafana")} {
				if _, lacks := inspect(dir); len(lacks) == 0 { // only a guess: not reported when it is something else
					dirs = append(dirs, dir)
				}
			}
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		clean := filepath.Clean(dir)
		defer func() { seen[clean] = true }()
		return seen[clean]
	})
}

// inspect returns the home in dir, and what dir lacks to be one.
func inspect(dir string) (h home, lacks []string) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return home{}, []string{err.Error()}
	}
	if info, err := os.Stat(filepath.Join(dir, "conf", "defaults.ini")); err != nil || !info.Mode().IsRegular() {
		lacks = append(lacks, "conf/defaults.ini")
	}
	if info, err := os.Stat(filepath.Join(dir, "public")); err != nil || !info.IsDir() {
		lacks = append(lacks, "public/")
	}
	program := findProgram(dir)
	if program == "" {
		lacks = append(lacks, "an executable bin/grafana")
	}
	return home{dir, program}, lacks
}

// findProgram returns the path of Grafana's program. Some distributions install it outside the home: for /usr/share/grafana in
// /usr/sbin or /usr/bin. Scripts there are skipped: they do not exec Grafana, so signals would only reach the script.
func findProgram(dir string) string {
	for _, name := range []string{"grafana", "grafana-server"} {
		if path := filepath.Join(dir, "bin", name); executable(path) {
			return path
		}
	}
	if share := filepath.Dir(dir); filepath.Base(share) == "share" {
		for _, bin := range []string{"sbin", "bin"} {
			for _, name := range []string{"grafana", "grafana-server"} {
				if path := filepath.Join(filepath.Dir(share), bin, name); executable(path) && !script(path) {
					return path
				}
			}
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func script(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	var start [2]byte
	_, err = io.ReadFull(f, start[:])
	return err == nil && string(start[:]) == "#!"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func describe(dir string, lacks []string) string {
	if info, err := os.Stat(dir); err != nil {
		return "cannot be read (" + durable.Cause(err).Error() + ")"
	} else if !info.IsDir() {
		return "is no folder"
	}
	if last := len(lacks) - 1; last > 0 {
		return "lacks " + strings.Join(lacks[:last], ", ") + " and " + lacks[last]
	}
	return "lacks " + lacks[0]
}
