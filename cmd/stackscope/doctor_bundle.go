package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/terminal"
	"github.com/stackscope/stackscope/internal/client"
)

// manifestFile is the last file of a bundle: it lists the others.
const manifestFile = "manifest.txt"

const (
	maxManifest = 1 << 20
	// maxUnpacked bounds a bundle's files together.
	maxUnpacked = 80 << 20
)

// writeBundle writes a server's bundle to a new file that only this user may read, and prints what is in it. The file is there when it is
// whole.
func writeBundle(e *command.Env, cl *client.Client, path string) (err error) {
	if path == "-" {
		return errors.New("--bundle -: give a file; standard output gets the list of what is in it (./- is a file)")
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("--bundle %s: the file is there already and is not overwritten: give another name", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".stackscope-bundle-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("--bundle %s: %w", path, durable.Cause(err))
	}
	defer func() {
		err = errors.Join(err, ignore(f.Close(), fs.ErrClosed), ignore(os.Remove(f.Name()), fs.ErrNotExist))
	}()
	to := &target{w: f}
	switch err := cl.DoctorBundle(e.Context, to); {
	case to.err != nil: // the server is not to blame
		return fmt.Errorf("--bundle %s: %w", path, durable.Cause(to.err))
	case err != nil && e.Context.Err() != nil: // else the exit code were 0
		return fmt.Errorf("--bundle %s: interrupted, nothing was written", path)
	case err != nil:
		return err
	}
	manifest, err := readManifest(f)
	if err != nil {
		return fmt.Errorf("the server's bundle is not whole: %w; try it again, the server's log may say why", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("--bundle %s: %w", path, durable.Cause(err))
	}
	if err := appear(f.Name(), path); err != nil {
		return fmt.Errorf("--bundle %s: %w", path, durable.Cause(err))
	}
	for line := range strings.Lines(string(manifest)) {
		fmt.Fprintln(e.Stdout, terminal.Lines(strings.TrimSuffix(line, "\n"), 0)[0])
	}
	fmt.Fprintf(e.Stdout, "\nwritten to %s; nothing was sent to anybody. Look at it before you send it: mkdir bundle && tar -xzf %s -C bundle\n", path, path)
	return nil
}

// target keeps the error of what is written to.
type target struct {
	w   io.Writer
	err error
}

func (t *target) Write(p []byte) (n int, err error) {
	n, err = t.w.Write(p)
	t.err = err
	return n, err
}

// appear gives a file the name path, unless there is a file of that name. A link fails then, where a renaming would replace it; some file
// systems have no links.
func appear(temporary, path string) error {
	err := os.Link(temporary, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// readManifest reads a bundle to its end and returns its list.
func readManifest(f *os.File) ([]byte, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	bounded := &io.LimitedReader{R: unzipped, N: maxUnpacked}
	archive := tar.NewReader(bounded)
	var manifest []byte
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && bounded.N == 0:
			return nil, fmt.Errorf("its files are larger than %d MiB", maxUnpacked>>20)
		case errors.Is(err, io.EOF) && manifest == nil:
			return nil, errors.New("it has no " + manifestFile)
		case errors.Is(err, io.EOF):
			_, err = io.Copy(io.Discard, bounded) // the checksum stands at the end
			return manifest, err
		case err != nil:
			return nil, err
		}
		if header.Name == manifestFile {
			if manifest, err = io.ReadAll(io.LimitReader(archive, maxManifest)); err != nil {
				return nil, err
			}
		}
	}
}
