package mapping

import (
	"fmt"
	"regexp"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// maxVersionBytes bounds versions and ranges.
const maxVersionBytes = 256

// engineVersion is the version that an engine says it has.
type engineVersion struct {
	text string
	// parsed is false for a version that PEP 440 does not know, such as "dev" or 2.1.RC1.B120.
	parsed bool
	full   pep440.Version
	// public is full without its local part (+cu121).
	public pep440.Version
}

func parseVersion(text string) engineVersion {
	v := engineVersion{text: text}
	if text == "" || len(text) > maxVersionBytes {
		return v
	}
	full, err := pep440.Parse(text)
	if err != nil {
		return v
	}
	public, err := pep440.Parse(full.Public())
	if err != nil {
		return v
	}
	v.parsed, v.full, v.public = true, full, public
	return v
}

// anyVersion is the range that every version is in, also an unknown one.
const anyVersion = "*"

// versionRange is a key of a runtime's mapping other than anyVersion: clauses of which all must hold, or the text of
// the one version that is meant.
type versionRange struct {
	text    string
	clauses []clause
	literal string
}

type clause func(engineVersion) bool

var (
	clausePattern  = regexp.MustCompile(`^(==|~=|!=|<=|>=|<|>|)\s*([0-9A-Za-z!.+*_-]+)$`)
	arbitraryRange = regexp.MustCompile(`^\s*===\s*([0-9A-Za-z!.+_-]+)\s*$`)
	// literalPattern is how MindIE and CANN number builds that PEP 440 cannot express: 2.1.RC1.B120.
	literalPattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+|[._-][A-Za-z]+[0-9]+)+$`)
)

// parseRange reads a range: comparisons by PEP 440 joined by commas, or one version.
func parseRange(text string) (versionRange, error) {
	r := versionRange{text: text}
	if len(text) > maxVersionBytes {
		return r, fmt.Errorf("a range has at most %d bytes", maxVersionBytes)
	}
	if m := arbitraryRange.FindStringSubmatch(text); m != nil {
		r.literal = m[1]
		return r, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		c, err := parseClause(strings.TrimSpace(part))
		if err != nil {
			if literalPattern.MatchString(text) {
				return versionRange{text: text, literal: text}, nil
			}
			return r, err
		}
		r.clauses = append(r.clauses, c)
	}
	return r, nil
}

func parseClause(text string) (clause, error) {
	m := clausePattern.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%s is no comparison", quote(text))
	}
	operator, bound := m[1], strings.ToLower(m[2])
	switch operator {
	case "<", "<=", ">", ">=":
		return orderClause(operator, bound)
	case "":
		operator = "=="
	}
	if _, err := pep440.Parse(strings.TrimSuffix(bound, ".*")); err != nil {
		return nil, fmt.Errorf("%s is no version", quote(bound))
	}
	specifiers, err := pep440.NewSpecifiers(operator+bound, pep440.WithPreRelease(true))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", quote(text), err)
	}
	return func(v engineVersion) bool { return specifiers.Check(v.full) }, nil
}

// orderClause compares by PEP 440's order of versions, as GPUStack does: 0.9.2rc2 < 0.9.2 < 0.9.2.post1. PEP 440's
// specifiers would leave the release candidate out of <0.9.2 and the post-release out of >0.9.2. Local parts do not
// count: 0.9.2+cu121 is 0.9.2.
func orderClause(operator, bound string) (clause, error) {
	b, err := pep440.Parse(bound)
	if err != nil {
		return nil, fmt.Errorf("%s is no version", quote(bound))
	}
	if b.Local() != "" {
		return nil, fmt.Errorf("%s has a local part, which only an exact version can have", quote(bound))
	}
	switch operator {
	case "<":
		return func(v engineVersion) bool { return v.public.Compare(b) < 0 }, nil
	case "<=":
		return func(v engineVersion) bool { return v.public.Compare(b) <= 0 }, nil
	case ">":
		return func(v engineVersion) bool { return v.public.Compare(b) > 0 }, nil
	default:
		return func(v engineVersion) bool { return v.public.Compare(b) >= 0 }, nil
	}
}

// matches reports whether a version is in the range. A version that cannot be parsed is only in the range that is
// spelled like it.
func (r versionRange) matches(v engineVersion) bool {
	switch {
	case v.text == "":
		return false
	case r.literal != "":
		return strings.EqualFold(v.text, r.literal)
	case !v.parsed:
		return v.text == r.text
	}
	for _, c := range r.clauses {
		if !c(v) {
			return false
		}
	}
	return true
}
