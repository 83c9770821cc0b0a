package server

import (
	"cmp"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stackscope/stackscope/internal/api"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/logging"
	"github.com/stackscope/stackscope/internal/bundle"
	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/mapping"
	"github.com/stackscope/stackscope/internal/wire"
)

// bundleParts is what the server adds to the API's bundle.
func (s *Server) bundleParts() api.BundleParts {
	parts := api.BundleParts{
		Settings:    wire.SettingsOf(s.opts.Settings),
		Log:         func() []wire.LogRecord { return wire.LogRecordsOf(logging.Recent(s.opts.Logger)) },
		Names:       s.machineNames(os.Getenv),
		MetricNames: metricNames(),
	}
	if s.metrics != nil {
		parts.Metrics = func(send func(page []byte)) { s.page.write(send) } // it is made after the API
	}
	return parts
}

// commonNames are those of users and hosts of many machines, which tell nobody, and passwords that everybody tries first: a hash in their
// place in the name of a flag would tell them.
var commonNames = []string{"root", "nobody", "stackscope", "gpustack", "localhost", "/", "/root", command.SystemDataDir, "grafana", "admin", "password"}

// machineNames returns the names of this machine and of the user of this process, which log lines may have.
func (s *Server) machineNames(getenv func(string) string) []bundle.Name {
	var names []bundle.Name
	add := func(kind, text string) {
		if !slices.Contains(commonNames, text) {
			names = append(names, bundle.Name{Kind: kind, Text: text})
		}
	}
	if who, err := user.Current(); err == nil {
		for name := range strings.FieldsSeq(who.Username + " " + who.Name) {
			add(bundle.User, name)
		}
	}
	for _, variable := range []string{"USER", "LOGNAME", "SUDO_USER"} {
		add(bundle.User, getenv(variable))
	}
	// A relative directory may be any word, such as data, which all texts would lack then. Texts with the directory have more of a path,
	// which is hashed in any case.
	addPath := func(path string) {
		if strings.ContainsRune(path, filepath.Separator) {
			add(bundle.Path, path)
		}
	}
	for _, variable := range []string{"HOME", "PWD"} {
		addPath(getenv(variable))
	}
	add(bundle.User, filepath.Base(cmp.Or(getenv("HOME"), "/")))
	addPath(s.opts.DataDir)
	if host, err := os.Hostname(); err == nil {
		add(bundle.Host, host)
		short, _, _ := strings.Cut(host, ".")
		add(bundle.Host, short)
	}
	add(bundle.Text, s.opts.Grafana.AdminPassword)
	return names
}

// metricNames returns the names of our own metrics and of the built-in mapping, as pages have them.
func metricNames() []string {
	names := catalog.WireNames()
	if compiled, err := mapping.Compile(mapping.Default()); err == nil {
		for _, m := range compiled.Families() {
			names = append(names, m.WireName)
		}
	}
	return names
}
