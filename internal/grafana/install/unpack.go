package install

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// unpacked is what came out of an archive.
type unpacked struct {
	top     string // the directory that held everything, and that is left out
	entries int
	bytes   int64
}

// unpacker writes an archive's entries into a directory that it cannot leave.
type unpacker struct {
	root   *os.Root
	limits limits
	links  []string
	unpacked
}

type limits struct {
	bytes   int64
	entries int
}

// unpack writes what the archive's one directory holds into dir, and returns when it is on the disk.
func unpack(ctx context.Context, archive, dir string, report func(Event)) (unpacked, error) {
	f, err := os.Open(archive)
	if err != nil {
		return unpacked{}, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return unpacked{}, err
	}
	r := &watchedReader{ctx: ctx, r: f, total: info.Size(), stage: StageUnpack, report: report}
	u, err := unpackFrom(r, dir, limits{maxUnpackedBytes, maxEntries})
	if err != nil {
		return unpacked{}, err
	}
	report(Event{Stage: StageSync})
	return u, syncTree(ctx, dir)
}

func unpackFrom(r io.Reader, dir string, l limits) (unpacked, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return unpacked{}, err
	}
	defer func() { _ = root.Close() }() // only a handle
	u := &unpacker{root: root, limits: l}
	if err := u.all(r); err != nil {
		return unpacked{}, err
	}
	return u.unpacked, nil
}

func (u *unpacker) all(r io.Reader) error {
	zr, err := gzip.NewReader(bufio.NewReaderSize(r, copyBytes))
	if err != nil {
		return archiveError(err)
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return archiveError(err)
		}
		if u.entries++; u.entries > u.limits.entries {
			return fmt.Errorf("the archive has more than the %d entries that are accepted", u.limits.entries)
		}
		if err := u.entry(h, tr); err != nil {
			return err
		}
	}
	if u.top == "" {
		return errors.New("the archive is empty")
	}
	return u.checkLinks()
}

// archiveError says of an error of the gzip or tar reader what it means.
func archiveError(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the archive ends in the middle: fetch it again")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("the archive is damaged (%w): fetch it again", err)
	}
	return err
}

// entry writes one entry.
func (u *unpacker) entry(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader { // a comment
		return nil
	}
	name, err := u.place(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return clash(h.Name, u.root.MkdirAll(name, 0o755))
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(name, h, r)
	case tar.TypeSymlink:
		return u.link(name, h)
	}
	return fmt.Errorf("the archive's entry %q is neither file, directory nor symbolic link (type %q): it is no release of Grafana", h.Name, h.Typeflag)
}

// place returns where an entry goes, relative to the home.
func (u *unpacker) place(name string) (string, error) {
	clean := path.Clean(name)
	if path.IsAbs(name) || strings.ContainsAny(name, "\x00\\") || !filepath.IsLocal(filepath.FromSlash(clean)) {
		return "", fmt.Errorf("the archive's entry %q leaves the directory: it is no release of Grafana", name)
	}
	if clean == "." {
		return ".", nil
	}
	top, rest, _ := strings.Cut(clean, "/")
	if u.top == "" {
		u.top = top
	}
	if top != u.top {
		return "", fmt.Errorf("the archive's entry %q is outside of its directory %q: it is no release of Grafana", name, u.top)
	}
	if rest == "" {
		return ".", nil
	}
	return rest, nil
}

func (u *unpacker) file(name string, h *tar.Header, r io.Reader) (err error) {
	if h.Size < 0 || h.Size > u.limits.bytes-u.bytes {
		return fmt.Errorf("the archive holds more than the %d bytes that are accepted", u.limits.bytes)
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return clash(h.Name, err)
	}
	// Others may read it, as in the archive, and nobody but the owner may write it. Set-user-id and its like are dropped.
	mode := h.FileInfo().Mode().Perm()&0o755 | 0o600
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return clash(h.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, r)
	u.bytes += n
	if err != nil {
		return archiveError(err)
	}
	return f.Chmod(mode) // whatever the umask is
}

// clash explains entries that are in each other's way, or behind a link that leads out.
func clash(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return fmt.Errorf("the archive has two entries in one place, %q: it is no release of Grafana", name)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, fs.ErrPermission):
		return err
	}
	return fmt.Errorf("the archive's entry %q leaves the directory (%w): it is no release of Grafana", name, durable.Cause(err))
}

// link makes a symbolic link. Where it leads can only be told when everything is there.
func (u *unpacker) link(name string, h *tar.Header) error {
	if h.Linkname == "" || path.IsAbs(h.Linkname) || strings.ContainsAny(h.Linkname, "\x00\\") {
		return fmt.Errorf("the archive's link %q to %q leaves the directory: it is no release of Grafana", h.Name, h.Linkname)
	}
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return clash(h.Name, err)
	}
	if err := u.root.Symlink(filepath.FromSlash(h.Linkname), name); err != nil {
		return clash(h.Name, err)
	}
	u.links = append(u.links, name)
	return nil
}

// checkLinks refuses links that lead out of the directory; one that leads nowhere does no harm.
func (u *unpacker) checkLinks() error {
	for _, name := range u.links {
		if _, err := u.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the archive's link %q leaves the directory: it is no release of Grafana", name)
		}
	}
	return nil
}

// syncTree returns when all files and directories under dir are on the disk. Many at once: each waits for the disk.
func syncTree(ctx context.Context, dir string) error {
	const at = 32
	paths := make(chan string)
	var (
		group sync.WaitGroup
		once  sync.Once
		first error
	)
	for range at {
		group.Go(func() {
			for p := range paths {
				if err := syncPath(p); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || (!d.Type().IsRegular() && !d.IsDir()) {
			return err
		}
		select {
		case paths <- p:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(paths)
	group.Wait()
	return errors.Join(err, first)
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
