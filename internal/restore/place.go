package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/freespace"
	"github.com/stackscope/stackscope/internal/store"
)

const (
	// spare is left free on the disks.
	spare = 32 << 20
	// What a server's files have.
	fileMode      = 0o600
	directoryMode = 0o750
)

// room fails if a disk has too little room for what the backup lists.
func (t *target) room() error {
	need := map[string]int64{}
	for _, f := range t.manifest.Files {
		folder, _ := folderOf(f.Name)
		need[folder] += f.Size
	}
	for folder, bytes := range need {
		bytes += spare
		at := t.area(folder).path
		if free, ok := freespace.Of(at); ok && free < uint64(bytes) {
			return fmt.Errorf("%d MiB are free under %s, and the backup needs %d MiB there; nothing was changed", free>>20, at, bytes>>20)
		}
	}
	return nil
}

// unpack writes all members into the areas' folders and verifies them.
func (t *target) unpack(ctx context.Context, archive *backup.Reader) error {
	piece := make([]byte, 256<<10)
	for {
		f, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		folder, name := folderOf(f.Name)
		a := t.area(folder)
		inside := filepath.Join(partial, filepath.FromSlash(name))
		if err := a.root.MkdirAll(filepath.Dir(inside), 0o700); err != nil {
			return fmt.Errorf("unpack %s: %w", f.Name, durable.Cause(err))
		}
		if err := a.write(ctx, inside, archive, piece); err != nil {
			return fmt.Errorf("unpack %s: %w", f.Name, err)
		}
	}
}

// write makes a file and syncs it.
func (a *area) write(ctx context.Context, name string, from io.Reader, piece []byte) (err error) {
	to, err := a.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return durable.Cause(err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := from.Read(piece)
		if _, err := to.Write(piece[:n]); err != nil {
			return durable.Cause(err)
		}
		if errors.Is(err, io.EOF) {
			return to.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// examine reads through the server's database. A digest says that one is what was sent, and not that it can be used.
func (t *target) examine(ctx context.Context) error {
	sum, err := store.Examine(ctx, filepath.Join(t.dir, partial, backup.Database))
	if err != nil {
		return fmt.Errorf("the backup's %s cannot be used: %w", backup.Database, err)
	}
	if sum.Schema != t.manifest.Schema {
		return fmt.Errorf("%w: its database has schema version %d, and its list says %d", backup.ErrDamaged, sum.Schema, t.manifest.Schema)
	}
	return nil
}

const expectedText = store.RestoringPrefix + ` since %s
While this file is here, the server expects ` + backup.Database + ` beside it and does not start without it. If the restoring was interrupted, run
stackscope restore again with --move-aside.
`

const expectedName = backup.Database + store.ExpectedSuffix

// expectDatabase makes the server refuse to start until the database, which comes last, is in place.
func (t *target) expectDatabase() error {
	t.placing = true
	text := fmt.Appendf(nil, expectedText, time.Now().UTC().Format(time.RFC3339))
	if err := durable.WriteFile(filepath.Join(t.dir, expectedName), text, fileMode); err != nil {
		return err
	}
	return t.own(t.area(""), expectedName)
}

// moveAside moves what is in the way into a folder of its area.
func (t *target) moveAside(now time.Time) (aside []string, err error) {
	for _, a := range t.areas {
		names, err := t.replaced(a)
		if err != nil {
			return aside, err
		}
		if len(names) == 0 {
			continue
		}
		to := asidePrefix + now.UTC().Format("20060102T150405Z")
		for n := 2; ; n++ {
			if err = a.root.Mkdir(to, directoryMode); !errors.Is(err, fs.ErrExist) {
				break
			}
			to = fmt.Sprintf("%s%s-%d", asidePrefix, now.UTC().Format("20060102T150405Z"), n)
		}
		if err != nil {
			return aside, fmt.Errorf("%s cannot be made: %w", filepath.Join(a.path, to), durable.Cause(err))
		}
		aside = append(aside, filepath.Join(a.path, to))
		if err := t.own(a, to); err != nil {
			return aside, err
		}
		for _, name := range names {
			inside := filepath.Join(to, filepath.FromSlash(name))
			if err := errors.Join(a.root.MkdirAll(filepath.Dir(inside), directoryMode), a.root.Rename(filepath.FromSlash(name), inside)); err != nil {
				return aside, fmt.Errorf("move %s aside: %w", filepath.Join(a.path, name), durable.Cause(err))
			}
		}
		if err := durable.SyncDir(a.path); err != nil {
			return aside, err
		}
	}
	return aside, nil
}

// place moves what was unpacked into place, the database last.
func (t *target) place() error {
	for _, a := range slices.Backward(t.areas) {
		if err := t.settle(a); err != nil {
			return err
		}
		entries, err := fs.ReadDir(a.root.FS(), partial)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if a.folder == "" && e.Name() == backup.Database {
				continue
			}
			if err := a.put(e); err != nil {
				return err
			}
		}
		if err := errors.Join(durable.SyncDir(a.path), t.own(a, ".")); err != nil {
			return err
		}
	}
	a := t.area("")
	if err := a.root.Rename(filepath.Join(partial, backup.Database), backup.Database); err != nil {
		return err
	}
	if err := durable.SyncDir(a.path); err != nil {
		return err
	}
	// The server writes its own at its start.
	return errors.Join(a.root.Remove(expectedName), durable.SyncDir(a.path))
}

// put moves an unpacked file or folder up. A folder that is there already, as worker is, gets the files.
func (a *area) put(e fs.DirEntry) error {
	if _, err := a.root.Lstat(e.Name()); err != nil || !e.IsDir() {
		return a.root.Rename(filepath.Join(partial, e.Name()), e.Name())
	}
	inside, err := fs.ReadDir(a.root.FS(), partial+"/"+e.Name())
	if err != nil {
		return err
	}
	for _, f := range inside {
		name := filepath.Join(e.Name(), f.Name())
		if err := a.root.Rename(filepath.Join(partial, name), name); err != nil {
			return err
		}
	}
	return nil
}

// settle gives what was unpacked its modes and its owner, and syncs the folders.
func (t *target) settle(a *area) error {
	return fs.WalkDir(a.root.FS(), partial, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == partial {
			return err
		}
		if !e.IsDir() {
			return t.own(a, name)
		}
		d, err := a.root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Chmod(directoryMode), d.Sync(), d.Close()); err != nil { //nolint:gosec // it is an open folder of an os.Root
			return err
		}
		return t.own(a, name)
	})
}

// own gives a file or folder to the owner, if that is another user.
func (t *target) own(a *area, name string) error {
	if t.owner == nil {
		return nil
	}
	if err := a.root.Lchown(name, t.owner.UID, t.owner.GID); err != nil {
		return fmt.Errorf("%s cannot be given to its owner, user %d: %w; run this as root", filepath.Join(a.path, name), t.owner.UID, durable.Cause(err))
	}
	return nil
}
