// Package release tests what a release consists of: versions, release notes, archives.
package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// checkout is a small repository that has the scripts of this one.
type checkout struct {
	t   *testing.T
	dir string
}

func newCheckout(t *testing.T, changelog string) checkout {
	t.Helper()
	c := checkout{t, t.TempDir()}
	c.git("init", "--quiet", "--initial-branch=main")
	for _, script := range []string{"version", "release-notes"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "hack", script))
		if err != nil {
			t.Fatal(err)
		}
		c.write("hack/"+script, string(text))
	}
	c.commit(changelog)
	return c
}

func (c checkout) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		c.t.Fatal(err)
	}
}

// run returns what a program prints, without the line's end.
func (c checkout) run(name string, args ...string) (stdout, stderr string, err error) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir = c.dir
	// The git of the machine may sign commits, or belong to a hook that runs these tests.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(setting string) bool { return strings.HasPrefix(setting, "GIT_") })
	cmd.Env = append(cmd.Env, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C")
	var out, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	return strings.TrimRight(out.String(), "\n"), complaint.String(), err
}

func (c checkout) git(args ...string) string {
	c.t.Helper()
	args = append([]string{"-c", "user.name=test", "-c", "user.email=test@localhost"}, args...)
	out, complaint, err := c.run("git", args...)
	if err != nil {
		c.t.Fatalf("git %v: %v\n%s", args, err, complaint)
	}
	return out
}

// commit commits a changelog, which may be what it was.
func (c checkout) commit(changelog string) {
	c.t.Helper()
	c.write("CHANGELOG.md", changelog)
	c.git("add", ".")
	c.git("commit", "--quiet", "--allow-empty", "--message", "change")
}

func (c checkout) wantVersion(pattern string) {
	c.t.Helper()
	out, complaint, err := c.run("hack/version")
	if err != nil || !regexp.MustCompile("^"+pattern+"$").MatchString(out) {
		c.t.Errorf("version %q (%v), want %s\n%s", out, err, pattern, complaint)
	}
}

const hash = `\+g[0-9a-f]{10,}`

func TestVersion(t *testing.T) {
	t.Parallel()
	c := newCheckout(t, "# Changelog\n\n## Unreleased\n\n- [FEATURE] One.\n")
	c.wantVersion(`0\.1\.0-dev\.1` + hash)
	c.commit("# Changelog\n\n## 0.1.0\n\n- [FEATURE] One.\n")
	c.wantVersion(`0\.1\.0-dev\.2` + hash)
	c.git("tag", "v0.1.0-rc.1")
	c.wantVersion(`0\.1\.0-rc\.1`)
	c.git("tag", "v0.1.0")
	c.git("tag", "verified")
	c.git("tag", "v1")
	c.wantVersion(`0\.1\.0`)
	c.write("CHANGELOG.md", "changed")
	c.wantVersion(`0\.1\.0\+dirty`)
	c.commit("# Changelog\n\n## 0.1.0\n\n- [FEATURE] One.\n") // what comes after a release is later, whatever the changelog says
	c.wantVersion(`0\.2\.0-dev\.3` + hash)
	c.commit("# Changelog\n\n## Unreleased\n\n- [FEATURE] Two.\n\n## 0.1.0\n\n- [FEATURE] One.\n")
	c.wantVersion(`0\.2\.0-dev\.4` + hash)
	c.write("untracked", "")
	c.wantVersion(`0\.2\.0-dev\.4` + hash)
	c.write("hack/release-notes", "changed")
	c.wantVersion(`0\.2\.0-dev\.4` + hash + `\.dirty`)
	c.git("checkout", "--quiet", "--", ".")
	c.commit("# Changelog\n\n## Unreleased\n\n## 0.1.1\n\n- [BUGFIX] Three.\n\n## 0.1.0\n\n- [FEATURE] One.\n")
	c.wantVersion(`0\.1\.1-dev\.5` + hash)
}

func TestVersionOfASourceArchive(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ changelog, want string }{
		{"## Unreleased\n\n- [FEATURE] One.\n", `0\.1\.0-dev`},
		{"## 0.3.0\n\n- [FEATURE] One.\n\n## 0.2.0\n\n- [FEATURE] Two.\n", `0\.3\.0`},
		{"## Unreleased\n\n## 0.3.0\n\n- [FEATURE] One.\n", `0\.3\.0`},
		{"## Unreleased\n\n- [FEATURE] Two.\n\n## 0.3.0\n\n- [FEATURE] One.\n", `0\.4\.0-dev`},
	} {
		outer := newCheckout(t, "")
		outer.git("tag", "v7.0.0")
		c := newCheckout(t, tt.changelog)
		if err := os.RemoveAll(filepath.Join(c.dir, ".git")); err != nil {
			t.Fatal(err)
		}
		c.wantVersion(tt.want)
		// Within the repository of something else, as a distribution's is.
		inner := filepath.Join(outer.dir, "vendor")
		if err := os.Rename(c.dir, inner); err != nil {
			t.Fatal(err)
		}
		checkout{t, inner}.wantVersion(tt.want)
	}
}
