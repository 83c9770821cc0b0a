// Package version compares versions of stackscope: those that releases have, those of builds between releases, and texts that say
// nothing, such as "dev" or a commit.
package version

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Allowed is by how many minor versions a server and its workers may differ, within one major version.
const Allowed = 1

// Version is a version that can be compared.
type Version struct {
	Major, Minor, Patch int
	// pre are the parts behind the hyphen, as in 0.1.0-dev.612; nil: a release.
	pre []string
	// after counts commits since the release, as git describe writes them: 0.1.0-5-gabc1234.
	after int
}

var (
	pattern  = regexp.MustCompile(`^v?(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:\.(0|[1-9]\d{0,8}))?(?:-([0-9A-Za-z.-]{1,100}))?(?:\+[0-9A-Za-z.-]{1,100})?$`)
	describe = regexp.MustCompile(`^(?:(.+)-)?(\d{1,8})-g[0-9a-f]{4,64}(?:-dirty)?$`)
	// pseudo is what Go calls a commit before the first tag; the numbers in front of it are no version.
	pseudo = regexp.MustCompile(`^\d{14}-[0-9a-f]{12}$`)
)

// Parse reads a version: 0.1.0, v0.1.0, 0.1, 0.1.0-rc.1, 0.1.0-dev.612+gabc1234, v0.1.0-5-gabc1234. Others, such as "", "dev", a commit
// or the pseudo-version of a checkout without tags, are not known.
func Parse(text string) (v Version, known bool) {
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		return Version{}, false
	}
	for i, part := range []*int{&v.Major, &v.Minor, &v.Patch} {
		*part, _ = strconv.Atoi("0" + m[i+1]) // at most nine digits
	}
	pre := m[4]
	if v.Major == 0 && v.Minor == 0 && v.Patch == 0 && pseudo.MatchString(pre) {
		return Version{}, false
	}
	if d := describe.FindStringSubmatch(pre); d != nil {
		pre = d[1]
		v.after, _ = strconv.Atoi(d[2])
	} else {
		pre = strings.TrimSuffix(strings.TrimSuffix(pre, "dirty"), "-")
	}
	if pre != "" {
		v.pre = strings.Split(pre, ".")
	}
	return v, true
}

// Compare orders versions as Semantic Versioning 2.0.0 does. Commits after a tag come after it.
func (v Version) Compare(o Version) int {
	if c := cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor), cmp.Compare(v.Patch, o.Patch)); c != 0 {
		return c
	}
	switch {
	case v.pre == nil && o.pre != nil:
		return 1
	case v.pre != nil && o.pre == nil:
		return -1
	}
	for i := range min(len(v.pre), len(o.pre)) {
		if c := comparePart(v.pre[i], o.pre[i]); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(v.pre), len(o.pre)), cmp.Compare(v.after, o.after))
}

// comparePart compares numbers as numbers, and puts them before words.
func comparePart(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// Skew says how a worker's version relates to its server's.
type Skew string

// The skews. None: the same version, or one of both is not known. Older and Newer: within the allowed difference. TooOld and TooNew: more than
// Allowed minor versions apart, or of another major version.
const (
	None   Skew = ""
	Older  Skew = "older"
	Newer  Skew = "newer"
	TooOld Skew = "too_old"
	TooNew Skew = "too_new"
)

// Of compares a worker's version with its server's.
func Of(worker, server string) Skew {
	w, knownW := Parse(worker)
	s, knownS := Parse(server)
	if !knownW || !knownS {
		return None
	}
	switch c := w.Compare(s); {
	case c == 0:
		return None
	case w.Major != s.Major || max(w.Minor-s.Minor, s.Minor-w.Minor) > Allowed:
		if c < 0 {
			return TooOld
		}
		return TooNew
	case c < 0:
		return Older
	}
	return Newer
}

// TooFar reports whether the difference is larger than what is supported. Nothing is refused for it; it is told.
func (s Skew) TooFar() bool { return s == TooOld || s == TooNew }

// Advice says what to do about a difference that is larger than what is supported; empty for others.
func (s Skew) Advice() string {
	switch s {
	case TooOld:
		return fmt.Sprintf("Update the worker: server and worker may differ by %d minor version within a major one", Allowed)
	case TooNew:
		return fmt.Sprintf("Update the server, which comes before its workers: they may differ by %d minor version within a major one", Allowed)
	}
	return ""
}
