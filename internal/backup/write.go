package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// pieceBytes is how much is read and written at a time.
const pieceBytes = 256 << 10

// Source is where a member comes from: Data, or the file Path, which must not change until it is written.
type Source struct {
	Name string
	Path string
	Data []byte
}

// Archive is a backup that can be written.
type Archive struct {
	manifest Manifest
	head     []byte
	sources  []Source
	bytes    int64
}

// New makes an archive of sources. It sets the manifest's kind, format and files.
func New(m Manifest, sources []Source) (*Archive, error) {
	m.Kind, m.Format, m.CreatedAt, m.Files = kind, format, m.CreatedAt.UTC().Truncate(time.Second), make([]File, len(sources))
	for i, s := range sources {
		m.Files[i] = File{Name: s.Name, Size: int64(len(s.Data))}
		if s.Path == "" {
			continue
		}
		info, err := os.Stat(s.Path)
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is no regular file", s.Path)
		}
		m.Files[i].Size = info.Size()
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	head, err := json.MarshalIndent(&m, "", " ")
	if err != nil {
		return nil, err
	}
	a := &Archive{manifest: m, head: append(head, '\n'), sources: sources}
	for _, f := range a.members() {
		header, err := headerBytes(&m, f)
		if err != nil {
			return nil, err
		}
		a.bytes += header + (f.Size+blockBytes-1)/blockBytes*blockBytes
	}
	a.bytes += 2 * blockBytes // its end
	return a, nil
}

// blockBytes is what tar counts in.
const blockBytes = 512

// members are all members, the first and the last included.
func (a *Archive) members() []File {
	files := append([]File{{ManifestName, int64(len(a.head))}}, a.manifest.Files...)
	sums := 0
	for _, f := range files {
		sums += len(sumLine([sha256.Size]byte{}, f.Name))
	}
	return append(files, File{SumsName, int64(sums)})
}

func header(m *Manifest, f File) *tar.Header {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o600, ModTime: m.CreatedAt, Format: tar.FormatUSTAR}
	if f.Size >= 8<<30 { // which USTAR cannot say
		h.Format = tar.FormatPAX
	}
	return h
}

func headerBytes(m *Manifest, f File) (int64, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(header(m, f))
	return int64(b.Len()), err
}

// sumLine is a line as sha256sum prints it.
func sumLine(sum [sha256.Size]byte, name string) string {
	return hex.EncodeToString(sum[:]) + "  " + name + "\n"
}

// Manifest says what is in the archive.
func (a *Archive) Manifest() *Manifest { return &a.manifest }

// Bytes returns the size of the archive.
func (a *Archive) Bytes() int64 { return a.bytes }

// Write writes the archive, until ctx ends. It holds one piece of a file in memory.
func (a *Archive) Write(ctx context.Context, w io.Writer) error {
	var sums bytes.Buffer
	archive, piece := tar.NewWriter(w), make([]byte, pieceBytes)
	write := func(f File, from io.Reader) error {
		if err := archive.WriteHeader(header(&a.manifest, f)); err != nil {
			return err
		}
		sum := sha256.New()
		n, err := io.CopyBuffer(io.MultiWriter(archive, sum), &untilDone{ctx, io.LimitReader(from, f.Size)}, piece)
		switch {
		case err != nil:
			return err
		case n < f.Size:
			return fmt.Errorf("%s became shorter while it was read", f.Name)
		}
		sums.WriteString(sumLine([sha256.Size]byte(sum.Sum(nil)), f.Name))
		return nil
	}
	members := a.members()
	if err := write(members[0], bytes.NewReader(a.head)); err != nil {
		return err
	}
	for i, s := range a.sources {
		f := members[i+1]
		if s.Path == "" {
			if err := write(f, bytes.NewReader(s.Data)); err != nil {
				return err
			}
			continue
		}
		if err := writeFile(s.Path, func(r io.Reader) error { return write(f, r) }); err != nil {
			return err
		}
	}
	last := members[len(members)-1]
	if err := archive.WriteHeader(header(&a.manifest, last)); err != nil {
		return err
	}
	if _, err := archive.Write(sums.Bytes()); err != nil {
		return err
	}
	return archive.Close()
}

func writeFile(path string, write func(io.Reader) error) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context //nolint:containedctx // a reader has no parameter for it
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
