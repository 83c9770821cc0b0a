//go:build unix

package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRootFollowsNoLinkOfAnotherUser: who owns the data directory must not get a folder of the machine by a link to it.
func TestRootFollowsNoLinkOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const user = 12345
	dir, elsewhere := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Chown(dir, user, user), os.Symlink(elsewhere, filepath.Join(dir, "prometheus"))); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, dir, archive(t, nil), true)
	if err == nil || !strings.Contains(err.Error(), "root does not change it") {
		t.Errorf("root follows the link: %v", err)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
		t.Errorf("written through a link: %v", left)
	}
	info, err := os.Stat(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != 0 {
		t.Errorf("the folder was given away: %+v", info.Sys())
	}
	// Another disk of the same user.
	if err := os.Chown(elsewhere, user, user); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, dir, archive(t, nil), true); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) == 0 {
		t.Error("no sample is behind the link")
	}
}
