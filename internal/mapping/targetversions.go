package mapping

import "strings"

// This file reads the versions for which a target holds: since and until.

// readSince reads a version, or an object that names natives that show it.
func (r *targetReader) readSince(f field) {
	if f.value.kind != kindObject {
		r.since = r.version(f)
		return
	}
	for m := range r.fields(f.at, f.value, asWritten) {
		switch m.name {
		case keyVersion:
			r.since = r.version(m)
		case keyShownBy:
			for at, item := range r.items(m, "a native metric name or a list of these") {
				if r.is(kindString, at, item, "a native metric name as a string") && r.metricName(item.text, at, item) {
					r.target.shownBy = append(r.target.shownBy, withoutTotal(item.text))
				}
			}
		default:
			r.unknownKey(m, keyVersion, keyShownBy)
		}
	}
	for _, key := range []string{keyVersion, keyShownBy} {
		if f.value.get(key) == nil {
			r.fault(f.at, f.value, "found no key %q, required are %s and %s", key, keyVersion, keyShownBy)
		}
	}
	if until := r.n.get(keyUntil); until != nil {
		r.fault(r.p.key(keyUntil), until, "found %q besides %s: that an engine is new enough does not show that it is old enough", keyUntil, keyShownBy)
	}
}

func (r *targetReader) version(f field) string {
	if !r.is(kindString, f.at, f.value, allowedVersions+" as a string (quote it)") {
		return ""
	}
	if _, err := orderClause("<", strings.ToLower(strings.TrimSpace(f.value.text))); err != nil {
		r.fault(f.at, f.value, "found %s (%s), allowed is %s", quote(f.value.text), err, allowedVersions)
		return ""
	}
	return strings.TrimSpace(f.value.text)
}

func (r *targetReader) versionBounds() *versionRange {
	if r.since != "" && r.until != "" {
		if before, err := orderClause("<", strings.ToLower(r.until)); err == nil && !before(parseVersion(r.since)) {
			p := r.p.key(keyUntil)
			r.fault(p, r.n.get(keyUntil), "found %s, which is not after since: no version is in between", quote(r.until))
		}
	}
	var clauses []string
	if r.since != "" {
		clauses = append(clauses, ">="+r.since)
	}
	if r.until != "" {
		clauses = append(clauses, "<"+r.until)
	}
	versions, err := parseRange(strings.Join(clauses, ","))
	if err != nil {
		r.fault(r.p, r.n, "found versions that make no range: %s", err)
	}
	return &versions
}
