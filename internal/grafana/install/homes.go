package install

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	homePrefix = "grafana-"
	// workPrefix begins the directory in which one run works.
	workPrefix = ".unpack-"
)

// DefaultDir returns where homes go when nobody says otherwise: into the server's data directory for root, into the user's data
// for others. getenv reads the environment.
func DefaultDir(getenv func(string) string, root bool) string {
	if dir := getenv("GPUSTACK_DATA_DIR"); dir != "" {
		return filepath.Join(dir, "grafana-home")
	}
	if root {
		return SystemDir
	}
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // relative ones are invalid by the specification
		return filepath.Join(dir, "stackscope", "grafana")
	}
	if dir := getenv("HOME"); dir != "" {
		return filepath.Join(dir, ".local", "share", "stackscope", "grafana")
	}
	return SystemDir
}

// SystemDir is where root's homes go.
const SystemDir = "/var/lib/stackscope/grafana-home"

// Homes returns the complete homes under dir, newest version first.
func Homes(dir string) []string { return paths(dir, versions(dir)) }

// Candidates returns the same and, in its place among them, where Version goes, though nothing is there yet: a server that looks
// at these every so often finds a home that is installed while it runs.
func Candidates(dir string) []string {
	found := versions(dir)
	if !slices.Contains(found, Version) {
		found = append(found, Version)
		slices.SortFunc(found, newestFirst)
	}
	return paths(dir, found)
}

func versions(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		version, ok := strings.CutPrefix(e.Name(), homePrefix)
		if ok && releaseVersion.MatchString(version) && complete(filepath.Join(dir, e.Name())) {
			found = append(found, version)
		}
	}
	slices.SortFunc(found, newestFirst)
	return found
}

func paths(dir string, versions []string) []string {
	homes := make([]string, len(versions))
	for i, v := range versions {
		homes[i] = filepath.Join(dir, homePrefix+v)
	}
	return homes
}

func newestFirst(a, b string) int { return compareVersions(b, a) }

// compareVersions orders releases: 12.4.0-pre is before 12.4.0, and 12.4.0+security-01 after it.
func compareVersions(a, b string) int {
	numbers := func(s string) (n [3]int, rank int, rest string) {
		plain := s
		if i := strings.IndexAny(s, "-+"); i >= 0 {
			plain, rest = s[:i], s[i+1:]
			rank = 1
			if s[i] == '-' {
				rank = -1
			}
		}
		for i, part := range strings.SplitN(plain, ".", 3) {
			n[i], _ = strconv.Atoi(part) // four digits at most
		}
		return n, rank, rest
	}
	na, ra, resta := numbers(a)
	nb, rb, restb := numbers(b)
	return cmp.Or(slices.Compare(na[:], nb[:]), cmp.Compare(ra, rb), cmp.Compare(resta, restb))
}

// globEscape makes a path stand for itself in a pattern.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
