// Package buildinfo says which build of stackscope is running.
package buildinfo

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// Info describes a build.
type Info struct {
	Version   string // module version, or "dev" for a build from a working tree
	Revision  string // VCS revision, or "unknown"
	GoVersion string
}

// version and revision are set with -ldflags -X by release builds; builds by `go install` carry them in the build info.
var version, revision string

// Get returns the running program's build.
var Get = sync.OnceValue(func() Info {
	info := Info{Version: version, Revision: revision, GoVersion: runtime.Version()}
	if bi, ok := debug.ReadBuildInfo(); ok {
		if info.Version == "" && bi.Main.Version != "(devel)" {
			info.Version = bi.Main.Version
		}
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" && info.Revision == "" {
				info.Revision = s.Value
			}
		}
	}
	if info.Version == "" {
		info.Version = "dev"
	}
	if info.Revision == "" {
		info.Revision = "unknown"
	}
	return info
})
