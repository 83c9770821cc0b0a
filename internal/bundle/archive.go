package bundle

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// MaxBytes bounds the files of a bundle together.
const MaxBytes = 64 << 20

// ManifestFile is the last file: a bundle that has it is whole.
const ManifestFile = "manifest.txt"

// Archive writes the files of a bundle as a tar.gz.
type Archive struct {
	zipped *gzip.Writer
	files  *tar.Writer
	at     time.Time
	left   int // bytes
	err    error

	listed  []string
	omitted []string
}

// NewArchive returns an Archive that writes to w. at is the time of its files.
func NewArchive(w io.Writer, at time.Time) *Archive {
	zipped := gzip.NewWriter(w)
	return &Archive{zipped: zipped, files: tar.NewWriter(zipped), at: at.UTC().Truncate(time.Second), left: MaxBytes}
}

// Add writes a file. what says in the manifest what it is. A file that does not fit is left out, which the manifest says.
func (a *Archive) Add(name, what string, data []byte) {
	if len(data) > a.left {
		a.Omit(name, fmt.Sprintf("it has %d bytes, and all files together may have %d", len(data), MaxBytes))
		return
	}
	a.left -= len(data)
	a.write(name, data)
	a.listed = append(a.listed, fmt.Sprintf("%-28s %9d bytes  %s", name, len(data), what))
}

// Omit notes in the manifest that a file is not there, and why.
func (a *Archive) Omit(name, why string) {
	a.omitted = append(a.omitted, name+": "+why)
}

func (a *Archive) write(name string, data []byte) {
	if a.err != nil {
		return
	}
	a.err = a.files.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: a.at, Format: tar.FormatPAX})
	if a.err == nil {
		_, a.err = a.files.Write(data)
	}
	if a.err == nil {
		a.err = errors.Join(a.files.Flush(), a.zipped.Flush())
	}
}

// hashedNote says what a bundle does not have.
const hashedNote = `Hashed: names of clusters, workers, models and instances, hosts and addresses, paths, users, label values and every word that is not one of
the programs' own texts. They stand as KIND-xxxxxxxx; the same text has the same hash in all files of this bundle, and another one in the next.
Left out: tokens, passwords and the other secrets, HELP texts and comments of engines' pages, authors and comments of mappings, free texts of mappings.
Readable: names of metrics and labels without such names in them, numbers, times, versions, ports, names of GPUs, and words of the programs' own texts.
`

// Close writes the manifest and the end of the archive. Its error is the first one of all writes.
func (a *Archive) Close() error {
	var b strings.Builder
	fmt.Fprintf(&b, "A bundle of stackscope for a bug report, made %s. Look at the files before you send them.\n\n", a.at.Format(time.RFC3339))
	for _, line := range a.listed {
		b.WriteString(line + "\n")
	}
	if len(a.omitted) > 0 {
		b.WriteString("\nNot here:\n")
		for _, line := range a.omitted {
			b.WriteString("  " + line + "\n")
		}
	}
	b.WriteString("\n" + hashedNote)
	a.write(ManifestFile, []byte(b.String()))
	return errors.Join(a.err, a.files.Close(), a.zipped.Close())
}
