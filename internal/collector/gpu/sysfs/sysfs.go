// Package sysfs reads the attributes of GPUs whose drivers tell what they know in /sys, under a rooted path. Attributes that
// are read again and again stay open, links are followed but never out of the root, and what is read is bounded.
package sysfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

const (
	// MaxAttribute bounds an attribute. The kernel's own bound is a page, for binary attributes more.
	MaxAttribute = 64 << 10
	// maxNames bounds the entries of a directory.
	maxNames = 65536
)

// Dir is an open directory. Links in names are followed as long as they stay below the directory that Open or Sub was
// called for.
type Dir struct{ root *os.Root }

// Open opens the directory under which a machine's file system is mounted; "" is /.
func Open(root string) (*Dir, error) {
	if root == "" {
		root = "/"
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("open the machine's root: %w", err)
	}
	return &Dir{r}, nil
}

// Sub opens a directory below d.
func (d *Dir) Sub(name string) (*Dir, error) {
	r, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Dir{r}, nil
}

// Close closes the directory. A nil Dir is closed already.
func (d *Dir) Close() {
	if d != nil {
		_ = d.root.Close() // nothing was written
	}
}

// Names returns the names in a directory below d in alphabetical order, none if it can't be read. More than maxNames are cut.
func (d *Dir) Names(name string) []string {
	names, err := d.List(name)
	if err != nil {
		return nil
	}
	return names
}

// List is Names that tells why a directory can't be read.
func (d *Dir) List(name string) ([]string, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// Has reports whether name is below d, without following it if it is a link.
func (d *Dir) Has(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// Link returns where the link at name points to, "" if it is none.
func (d *Dir) Link(name string) (string, error) { return d.root.Readlink(name) }

// Read reads a file once. A nil buf is made. Files larger than buf, or than MaxAttribute, are an error.
func (d *Dir) Read(name string, buf []byte) ([]byte, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if buf == nil {
		buf = make([]byte, MaxAttribute+1)
	}
	return readAt(f, buf)
}

// Text reads an attribute once that is a line of text: "" if it can't be read, is empty or says that there is nothing to say.
func (d *Dir) Text(name string) string {
	b, err := d.Read(name, make([]byte, 4096))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return clean(line)
}

// clean takes from a text what must not stand in a label: what isn't printable, and what means nothing.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, s)
	if s = strings.TrimSpace(s); len(s) > 128 {
		s = strings.ToValidUTF8(s[:128], "")
	}
	switch strings.ToLower(s) {
	case "n/a", "unknown", "none", "(null)":
		return ""
	}
	return s
}

var (
	errLarge = errors.New("file is too large")
	errEmpty = errors.New("file is empty")
)

func readAt(f *os.File, buf []byte) ([]byte, error) {
	n, err := f.ReadAt(buf, 0)
	switch {
	case err == nil:
		return nil, errLarge // the buffer is full
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return buf[:n], nil
}

// Attr is an attribute that is read again and again. It opens when it is first read. One that isn't there isn't looked for
// again.
type Attr struct {
	dir  *Dir
	name string
	file *os.File
	gone error
}

// Attr returns the attribute name of d.
func (d *Dir) Attr(name string) *Attr { return &Attr{dir: d, name: name} }

// Read reads the attribute's present value into buf. An attribute that isn't there is fs.ErrNotExist; so is every read of a nil
// Attr.
func (a *Attr) Read(buf []byte) ([]byte, error) {
	if a == nil {
		return nil, fs.ErrNotExist
	}
	if a.gone != nil {
		return nil, a.gone
	}
	if a.file == nil {
		f, err := a.dir.root.Open(a.name)
		if err != nil {
			a.gone = err
			if errors.Is(err, fs.ErrNotExist) {
				a.gone = fs.ErrNotExist
			}
			return nil, a.gone
		}
		a.file = f
	}
	b, err := readAt(a.file, buf)
	if err == nil && len(b) == 0 {
		err = errEmpty
	}
	return b, err
}

// Close closes the attribute, which reads no more.
func (a *Attr) Close() {
	if a == nil {
		return
	}
	if a.file != nil {
		_ = a.file.Close()
	}
	a.file, a.gone = nil, fs.ErrClosed
}
