package release

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const changelog = `# Changelog

Lines are typed.

## Unreleased

## 0.2.0

The first one for two GPUs.

- [FEATURE] One.
- [BUGFIX] Two.
- [FEATURE] Three: ` + "`- [CHANGE]`" + `.

## 0.1.0

- [CHANGE] Nobody had it.
- [FEATURE] Four.
- [BUGFIX] Nobody had it.
`

func TestNotes(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, changelog)
	for _, tt := range []struct{ version, want string }{
		{"0.2.0", "The first one for two GPUs.\n\n### Features\n\n- One.\n- Three: `- [CHANGE]`.\n\n### Bugs fixed\n\n- Two."},
		{"0.2.0-rc.1", "The first one for two GPUs.\n\n### Features\n\n- One.\n- Three: `- [CHANGE]`.\n\n### Bugs fixed\n\n- Two."},
		{"0.1.0", "### Features\n\n- Four."},
	} {
		out, complaint, err := c.run("hack/release-notes", tt.version)
		if err != nil {
			t.Errorf("%s: %v\n%s", tt.version, err, complaint)
		}
		if diff := cmp.Diff(tt.want, out); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.version, diff)
		}
	}
}

func TestNotesThatAreNotReady(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "")
	for _, tt := range []struct{ changelog, version, want string }{
		{changelog, "Unreleased", `the section "## Unreleased" is empty`},
		{changelog, "0.3.0", `no section "## 0.3.0": rename the heading`},
		{changelog, "0.2", `no section "## 0.2"`},
		{"## 0.1.0\n\n- Four.\n", "0.1.0", "line 3: begin it with a type"},
		{"## 0.1.0\n\n- [FIX] Four.\n", "0.1.0", "line 3: type FIX is unknown"},
		{"## 0.1.0\n\n- [BUGFIX] Four.\n  More.\n", "0.1.0", "line 4: a change is one line"},
		{"## 0.1.0\n\nA text alone.\n", "0.1.0", "is empty"},
	} {
		c.write("CHANGELOG.md", tt.changelog)
		out, complaint, err := c.run("hack/release-notes", tt.version)
		if err == nil || out != "" || !strings.Contains(complaint, tt.want) {
			t.Errorf("%s of %q: got %q, %q and %v, want %q", tt.version, tt.changelog, out, complaint, err, tt.want)
		}
	}
}

// What is not released yet could be, so that the day of a release has no surprise in its notes.
func TestNotesOfThisRepository(t *testing.T) {
	t.Parallel()
	c := checkout{t, "../.."}
	version := "Unreleased"
	if _, _, err := c.run("grep", "-q", "^## [0-9]", "CHANGELOG.md"); err == nil {
		version, _, _ = c.run("sh", "-c", `sed -n 's/^## \([0-9.]*\)$/\1/p' CHANGELOG.md | head -n 1`)
	}
	out, complaint, err := c.run("hack/release-notes", version)
	if err != nil || !strings.Contains(out, "### Features\n\n- ") {
		t.Errorf("notes of %s: %v\n%s", version, err, complaint)
	}
}
