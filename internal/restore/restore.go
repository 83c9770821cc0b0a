// Package restore puts a backup into a data directory. Everything is unpacked into folders named restore.partial inside the directory, and
// verified there; only a whole backup is moved into place, and only where nothing is in the way. What was there is moved aside, if that is
// wanted, and never removed.
package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/dirlock"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/store"
)

// Folders in the data directory, and in the folders prometheus and grafana in it, which may be other disks.
const (
	partial     = "restore.partial"
	asidePrefix = "before-restore-"
)

// Options say where a backup goes.
type Options struct {
	// Dir is the data directory, which is made if there is none.
	Dir string
	// MoveAside moves what is in the way into a folder before-restore-TIME beside it.
	MoveAside bool
	// Owner gets the files; nil: who owns Dir, if this is root, else this user.
	Owner *Owner
}

// Owner is a user and a group, by number.
type Owner struct{ UID, GID int }

// Result is what was done.
type Result struct {
	Manifest *backup.Manifest
	Dir      string // absolute
	// Aside are the folders with what was there before.
	Aside []string
	// KeptSamples says that the backup has no samples and that those in the directory stay.
	KeptSamples bool
	// Owner is who owns the files; nil: this user.
	Owner *Owner
}

// InTheWayError says that a data directory has what the backup would replace.
type InTheWayError struct {
	Dir   string
	Names []string
}

func (e *InTheWayError) Error() string {
	shown := e.Names
	more := ""
	if len(shown) > 5 {
		shown, more = shown[:5], fmt.Sprintf(" and %d more", len(e.Names)-5)
	}
	return fmt.Sprintf("data directory %s has data already: %s%s; nothing was changed. Choose another directory, or move this data aside with --move-aside", e.Dir, strings.Join(shown, ", "), more)
}

// Run restores the backup that it reads from r. It changes nothing before the whole backup is verified, except that it makes the directory
// and unpacks inside it: with an error, Result.Dir is empty until then. The errors are those of package backup, an *InTheWayError, dirlock.ErrHeld, or others.
func Run(ctx context.Context, r io.Reader, o Options) (_ Result, err error) {
	archive, err := backup.NewReader(r)
	if err != nil {
		return Result{}, err
	}
	m := archive.Manifest()
	if known := store.SchemaVersion(); m.Schema > known {
		return Result{}, fmt.Errorf("%w: its database has schema version %d, and this one knows versions up to %d; restore it with stackscope %.60q or a newer one", backup.ErrNewer, m.Schema, known, m.Version)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return Result{}, err
	}
	made, err := makeDir(dir)
	if err != nil {
		return Result{}, err
	}
	t := &target{dir: dir, manifest: m, owner: o.Owner}
	defer func() {
		err = errors.Join(err, t.close())
		if err != nil && made {
			_ = os.Remove(dir) // it is empty again, or stays
		}
	}()
	if err := t.lock(); err != nil {
		return Result{}, err
	}
	if err := t.open(); err != nil {
		return Result{}, err
	}
	blocking, err := t.inTheWay()
	if err != nil {
		return Result{}, err
	}
	if len(blocking) > 0 && !o.MoveAside {
		return Result{}, &InTheWayError{dir, blocking}
	}
	if err := t.room(); err != nil {
		return Result{}, err
	}
	if err := t.unpack(ctx, archive); err != nil {
		return Result{}, err
	}
	if err := t.examine(ctx); err != nil {
		return Result{}, err
	}
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	result := Result{Manifest: m, Dir: dir, Owner: t.owner}
	if err := t.expectDatabase(); err != nil { // from here on no server starts before all is in place
		return result, err
	}
	if result.Aside, err = t.moveAside(time.Now()); err != nil {
		return result, err
	}
	if err := t.place(); err != nil {
		return result, fmt.Errorf("%w; the backup is not complete in %s: run the same command again with --move-aside", err, dir)
	}
	result.KeptSamples = !m.Samples.Included && t.hasSamples()
	return result, nil
}

// makeDir makes the data directory if there is none.
func makeDir(dir string) (made bool, err error) {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return false, fmt.Errorf("data directory %s is a file", dir)
	case err == nil:
		return false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("data directory %s cannot be read: %w", dir, durable.Cause(err))
	}
	if err := os.MkdirAll(dir, directoryMode); err != nil {
		return false, fmt.Errorf("data directory %s cannot be made: %w", dir, durable.Cause(err))
	}
	return true, nil
}

func ownerOf(path string) (Owner, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Owner{}, err
	}
	return ownerIn(info), nil
}

// target is the data directory while a backup is put into it.
type target struct {
	dir      string
	manifest *backup.Manifest
	owner    *Owner
	locks    []*dirlock.Lock
	areas    []*area // the data directory, then prometheus and grafana where the backup has files of them
	placing  bool
}

// area is a folder of the data directory with a folder for what is unpacked: it may be another disk than the one above.
type area struct {
	folder string // "", prometheus or grafana
	path   string
	root   *os.Root
	made   bool
}

func (t *target) area(folder string) *area {
	return t.areas[slices.IndexFunc(t.areas, func(a *area) bool { return a.folder == folder })]
}

// lock keeps servers, and workers whose files are in the backup, from using the directory.
func (t *target) lock() error {
	for _, l := range []struct{ folder, name, who string }{
		{"", store.LockName, "server"}, {"", "worker.lock", "worker"}, {"worker", "worker.lock", "worker"},
	} {
		dir := filepath.Join(t.dir, l.folder)
		if _, err := os.Stat(filepath.Join(dir, l.name)); l.who != "server" && err != nil {
			continue // no worker was ever here
		}
		lock, err := dirlock.Take(dir, l.name, l.who)
		if err != nil {
			return err
		}
		t.locks = append(t.locks, lock)
	}
	return nil
}

// folderOf is the area of a member, and its name there.
func folderOf(name string) (folder, rest string) {
	for _, f := range []string{"prometheus", "grafana"} {
		if rest, ok := strings.CutPrefix(name, f+"/"); ok {
			return f, rest
		}
	}
	return "", name
}

// open opens the areas and clears what an earlier run has left there.
func (t *target) open() error {
	folders := map[string]bool{"": true}
	owner, err := ownerOf(t.dir)
	if err != nil {
		return err
	}
	for _, f := range t.manifest.Files {
		folder, _ := folderOf(f.Name)
		folders[folder] = true
	}
	if t.manifest.Samples.Included {
		folders["prometheus"] = true
	}
	for _, folder := range []string{"", "prometheus", "grafana"} {
		if !folders[folder] {
			continue
		}
		at := filepath.Join(t.dir, folder)
		made, err := makeDir(at)
		if err != nil {
			return err
		}
		root, err := t.openArea(folder, owner.UID)
		if err != nil {
			return err
		}
		t.areas = append(t.areas, &area{folder, at, root, made})
		if err := root.RemoveAll(partial); err != nil {
			return fmt.Errorf("%s cannot be removed: %w", filepath.Join(at, partial), durable.Cause(err))
		}
		if err := root.Mkdir(partial, 0o700); err != nil {
			return fmt.Errorf("%s cannot be written: %w; run this as the user who owns it, or as root", at, durable.Cause(err))
		}
	}
	if t.owner == nil && os.Geteuid() == 0 {
		t.owner = &owner
	}
	return nil
}

// openArea opens a folder of the data directory. It may be a link to another disk. Root follows a link only to a folder of the data
// directory's owner: else this user could make root give them any folder of the machine.
func (t *target) openArea(folder string, owner int) (*os.Root, error) {
	at := filepath.Join(t.dir, folder)
	if folder != "" {
		if root, err := t.area("").root.OpenRoot(folder); err == nil { // no link, or one that stays inside
			return root, nil
		}
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be opened: %w", at, durable.Cause(err))
	}
	if folder == "" || os.Geteuid() != 0 || owner == 0 {
		return root, nil
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if o := ownerIn(info); o.UID != owner {
		err := fmt.Errorf("%s leads to a folder of user %d, and %s belongs to user %d: root does not change it. Run this as the server's user, or give that folder to user %d", at, o.UID, t.dir, owner, owner)
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// close removes what is left of the unpacked files, and unlocks the directory.
func (t *target) close() error {
	var errs []error
	for _, a := range slices.Backward(t.areas) {
		errs = append(errs, a.root.RemoveAll(partial), a.root.Close())
		if a.made && !t.placing && a.folder != "" {
			_ = os.Remove(a.path) // as before
		}
	}
	for _, l := range slices.Backward(t.locks) {
		errs = append(errs, l.Abandon())
	}
	return errors.Join(errs...)
}

// databaseFiles are those that belong to one.
func databaseFiles(name string) []string {
	return []string{name, name + "-wal", name + "-shm", name + "-journal"}
}

// replaced are the names in an area that the backup replaces, the server's database first: once it is away, no server starts beside what is
// left, and makes other tokens.
func (t *target) replaced(a *area) ([]string, error) {
	if a.folder == "prometheus" {
		entries, err := fs.ReadDir(a.root.FS(), ".")
		if err != nil {
			return nil, err
		}
		var names []string
		for _, e := range entries {
			n := e.Name()
			if n != partial && n != "lock" && n != "lost+found" && !strings.HasPrefix(n, asidePrefix) && !strings.HasPrefix(n, "damaged-") {
				names = append(names, n)
			}
		}
		return names, nil
	}
	var names []string
	for _, f := range t.manifest.Files {
		in, rest := folderOf(f.Name)
		switch {
		case in != a.folder:
		case rest == backup.Database:
			names = append(databaseFiles(rest), names...)
		case strings.HasSuffix(rest, ".db"):
			names = append(names, databaseFiles(rest)...)
		default:
			names = append(names, rest)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := a.root.Lstat(filepath.FromSlash(name))
		return err != nil
	}), nil
}

// inTheWay lists what the backup replaces in all areas.
func (t *target) inTheWay() (names []string, err error) {
	for _, a := range t.areas {
		found, err := t.replaced(a)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			names = append(names, path.Join(a.folder, name))
		}
	}
	return names, nil
}

// hasSamples reports whether there is a block, or a log of samples, in the data directory.
func (t *target) hasSamples() bool {
	for _, pattern := range []string{"wal/*", "*/meta.json"} {
		if found, err := filepath.Glob(filepath.Join(t.dir, "prometheus", pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}
