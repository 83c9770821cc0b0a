package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// maxTail bounds the zeros behind an archive: tar fills up records of 10 KiB by itself, and tapes have larger ones.
const maxTail = 1 << 20

// Reader reads an archive. Its content can be trusted once Next has returned io.EOF, and not before.
type Reader struct {
	source   *bufio.Reader
	archive  *tar.Reader
	manifest Manifest
	sums     []sum // of the members that were read
	next     int
	current  hash.Hash // of the current member
	left     int64     // of its bytes
	piece    []byte
	ended    bool
}

// sum is a member's line of SHA256SUMS.
type sum struct{ name, line string }

// NewReader reads the manifest of an archive.
func NewReader(r io.Reader) (*Reader, error) {
	source := bufio.NewReader(r)
	begin, err := source.Peek(blockBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if name, _, _ := bytes.Cut(begin, []byte{0}); string(name) != ManifestName {
		return nil, fmt.Errorf("%w: %s", ErrForeign, looksLike(begin))
	}
	b := &Reader{source: source, archive: tar.NewReader(source)}
	h, err := b.header()
	if err != nil {
		return nil, err
	}
	if h.Size > maxManifest {
		return nil, fmt.Errorf("%w: %s has %d bytes; at most %d are possible", ErrDamaged, ManifestName, h.Size, maxManifest)
	}
	text, err := io.ReadAll(b.archive)
	if err != nil {
		return nil, damage(err)
	}
	if err := json.Unmarshal(text, &b.manifest); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, ManifestName, err)
	}
	if err := b.manifest.check(); err != nil {
		return nil, err
	}
	b.note(ManifestName, sha256.Sum256(text))
	return b, nil
}

// looksLike says what a file is that is no archive of ours.
func looksLike(begin []byte) string {
	for _, known := range []struct{ magic, text string }{
		{"\x28\xb5\x2f\xfd", "it is compressed with zstd: zstd -dc FILE | stackscope restore -"},
		{"\x1f\x8b", "it is compressed with gzip: gzip -dc FILE | stackscope restore -"},
		{"\xfd7zXZ", "it is compressed with xz: xz -dc FILE | stackscope restore -"},
		{"SQLite format 3", "it is an SQLite database, perhaps a copy of stackscope.db alone"},
	} {
		if bytes.HasPrefix(begin, []byte(known.magic)) {
			return known.text
		}
	}
	if len(begin) == 0 {
		return "it is empty"
	}
	return "it does not begin with " + ManifestName
}

// damage tells an archive that ends early from one that is wrong and from one that cannot be read.
func damage(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrCut
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// header reads the header of the next member, which must be an ordinary file with all its bytes in the archive.
func (b *Reader) header() (*tar.Header, error) {
	h, err := b.archive.Next()
	if err != nil {
		return nil, damage(err)
	}
	if h.Typeflag != tar.TypeReg || h.Linkname != "" {
		return nil, fmt.Errorf("%w: its member %.80q is no regular file", ErrDamaged, h.Name)
	}
	for record := range h.PAXRecords {
		if record != "size" {
			return nil, fmt.Errorf("%w: its member %.80q has the attribute %.80q, which no backup has", ErrDamaged, h.Name, record)
		}
	}
	return h, nil
}

// Manifest says what is in the archive, if it is whole.
func (b *Reader) Manifest() *Manifest { return &b.manifest }

func (b *Reader) note(name string, digest [sha256.Size]byte) {
	b.sums = append(b.sums, sum{name, sumLine(digest, name)})
}

// Next goes on to the next member. It returns io.EOF behind the last one when all digests are right. Errors are ErrCut, ErrDamaged or
// those of the source.
func (b *Reader) Next() (File, error) {
	if b.ended {
		return File{}, io.EOF
	}
	if err := b.finish(); err != nil {
		return File{}, err
	}
	if b.next == len(b.manifest.Files) {
		if err := b.end(); err != nil {
			return File{}, err
		}
		b.ended = true
		return File{}, io.EOF
	}
	f := b.manifest.Files[b.next]
	if err := b.expect(f); err != nil {
		return File{}, err
	}
	b.next++
	b.current, b.left = sha256.New(), f.Size
	return f, nil
}

// expect reads the header of a member that must be f.
func (b *Reader) expect(f File) error {
	h, err := b.header()
	if err != nil {
		return err
	}
	if h.Name != f.Name || h.Size != f.Size {
		return fmt.Errorf("%w: %.80q of %d bytes is where %s of %d bytes belongs", ErrDamaged, h.Name, h.Size, f.Name, f.Size)
	}
	return nil
}

// finish reads what is left of the current member and notes its digest.
func (b *Reader) finish() error {
	if b.current == nil {
		return nil
	}
	if b.left > 0 && b.piece == nil {
		b.piece = make([]byte, pieceBytes)
	}
	for b.left > 0 {
		if _, err := b.Read(b.piece); err != nil {
			return err
		}
	}
	b.note(b.manifest.Files[b.next-1].Name, [sha256.Size]byte(b.current.Sum(nil)))
	b.current = nil
	return nil
}

// Read reads from the current member.
func (b *Reader) Read(p []byte) (int, error) {
	if b.current == nil || b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.archive.Read(p)
	b.current.Write(p[:n])
	b.left -= int64(n)
	if err != nil && (b.left > 0 || !errors.Is(err, io.EOF)) {
		return n, damage(err)
	}
	return n, nil
}

// end reads the digests and what is behind them.
func (b *Reader) end() error {
	h, err := b.header()
	if err != nil {
		return err
	}
	if h.Name != SumsName || h.Size > maxSums {
		return fmt.Errorf("%w: %.80q of %d bytes is where %s belongs", ErrDamaged, h.Name, h.Size, SumsName)
	}
	text, err := io.ReadAll(b.archive)
	if err != nil {
		return damage(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for i, s := range b.sums {
		if i >= len(lines) || lines[i] != s.line {
			return fmt.Errorf("%w: %s is not what was written: its digest is not the one in %s", ErrDamaged, s.name, SumsName)
		}
	}
	if len(lines) != len(b.sums)+1 || lines[len(b.sums)] != "" {
		return fmt.Errorf("%w: %s has lines of other files", ErrDamaged, SumsName)
	}
	switch h, err := b.archive.Next(); {
	case err == nil:
		return fmt.Errorf("%w: it goes on behind %s with %.80q", ErrDamaged, SumsName, h.Name)
	case !errors.Is(err, io.EOF):
		return damage(err)
	}
	return b.tail()
}

// tail reads the rest of the source, which is zeros.
func (b *Reader) tail() error {
	piece, all := make([]byte, blockBytes), 0
	for {
		n, err := b.source.Read(piece)
		if bytes.ContainsFunc(piece[:n], func(r rune) bool { return r != 0 }) {
			return fmt.Errorf("%w: there are other data behind its end", ErrDamaged)
		}
		switch all += n; {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case all > maxTail:
			return fmt.Errorf("%w: there are more than %d bytes behind its end", ErrDamaged, maxTail)
		}
	}
}

// Verify reads an archive to its end and returns what is in it.
func Verify(r io.Reader) (*Manifest, error) {
	b, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	for {
		if _, err := b.Next(); errors.Is(err, io.EOF) {
			return b.Manifest(), nil
		} else if err != nil {
			return nil, err
		}
	}
}
