package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/clip"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/base/terminal"
)

type backupCmd struct {
	remote
	File      string   `arg:"" optional:"" help:"New file for the backup, or a directory, in which it is named by its time; - is standard output."`
	Out       string   `help:"The same as a flag." placeholder:"FILE"`
	NoSamples bool     `help:"Leave out the samples of the embedded Prometheus."`
	Keep      int      `help:"In a directory: keep this many backups, the newest, and remove older ones. 0: remove none." default:"0" placeholder:"N"`
	LimitRate byteSize `help:"Most bytes a second, for example 20MB. 0: no limit." default:"0" placeholder:"SIZE"`
	Quiet     bool     `help:"Print nothing but errors."`
	JSON      bool     `help:"Print what is in the backup as JSON."`
}

// Help is printed by kong below the usage.
func (*backupCmd) Help() string {
	return `It asks the running server for one file with everything: inventory, mapping and its history, tokens, Grafana's database, and the samples of the
embedded Prometheus. Scrapes and queries go on.

  stackscope backup stackscope.tar                   the server of this machine, as its own user: sudo -u stackscope stackscope backup ...
  stackscope backup --server-url http://SERVER --token-file admin-token stackscope.tar
                                                     another one
  stackscope backup --keep 7 /var/backups/stackscope a file named by its time, and the six before it
  stackscope backup - | zstd > stackscope.tar.zst    compressed: databases, indexes and samples that stay the same get much smaller
  stackscope restore --check stackscope.tar          verify it again, wherever it is now

The file holds tokens: whoever can read it can change the server. It has mode 0600. It appears under its name when it is complete and on the disk;
until then it is FILE.partial. Exit code 0 means that it is complete.`
}

func (c *backupCmd) Run(e *command.Env) (err error) {
	to := cmp.Or(c.File, c.Out)
	switch {
	case to == "":
		return errors.New("give a file for the backup, or a directory: stackscope backup FILE")
	case c.File != "" && c.Out != "":
		return fmt.Errorf("%s and --out %s are both given: give one", c.File, c.Out)
	case c.Keep < 0:
		return fmt.Errorf("--keep %d: give 0 or more", c.Keep)
	}
	began := time.Now()
	info, statErr := os.Stat(to)
	inDirectory := to != "-" && statErr == nil && info.IsDir()
	switch {
	case inDirectory:
		to = filepath.Join(to, backup.FileName(began))
	case c.Keep > 0:
		return fmt.Errorf("--keep needs a directory, and %s is none", to)
	}
	if to != "-" {
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%s is there already and is not overwritten: give another name, or a directory", to)
		}
		if _, err := os.Stat(filepath.Dir(to)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("directory %s is missing: make it first, or choose another one", filepath.Dir(to))
		}
	}
	cl, err := c.patient(e)
	if err != nil {
		return err
	}
	var m *backup.Manifest
	var bytes int64
	err = cl.Backup(e.Context, !c.NoSamples, func(archive io.Reader, total int64) error {
		meter := newTransfer(e.Stderr, "fetched", total)
		meter.silent, meter.rate = c.Quiet || to == "-", int64(c.LimitRate)
		defer meter.end()
		if to == "-" {
			m, err = backup.Verify(io.TeeReader(meter.count(archive), e.Stdout))
		} else {
			m, err = saveBackup(meter.count(archive), to)
		}
		bytes = meter.done
		return err
	})
	switch {
	case err != nil && e.Context.Err() != nil: // else the exit code were 0
		return &command.CodeError{Code: command.CodeInterrupted, Err: errors.New("interrupted; there is no backup")}
	case err != nil:
		return fmt.Errorf("%w; there is no backup", err)
	}
	if err := c.say(e, m, to, bytes, time.Since(began)); err != nil {
		return err
	}
	if inDirectory && c.Keep > 0 {
		return removeOld(e, to, c.Keep, c.Quiet || c.JSON)
	}
	return nil
}

// saveBackup writes an archive to a new file when it is whole: until then it is path.partial.
func saveBackup(archive io.Reader, path string) (_ *backup.Manifest, err error) {
	partial := path + ".partial"
	if err := ignore(os.Remove(partial), fs.ErrNotExist); err != nil { // of one that was killed
		return nil, fmt.Errorf("%s cannot be replaced: %w", partial, durable.Cause(err))
	}
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be made: %w", partial, durable.Cause(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignore(f.Close(), fs.ErrClosed), ignore(os.Remove(partial), fs.ErrNotExist))
		}
	}()
	to := &target{w: f}
	m, err := backup.Verify(io.TeeReader(archive, to))
	switch {
	case to.err != nil: // the server is not to blame
		return nil, fmt.Errorf("%s cannot be written: %w", partial, durable.Cause(to.err))
	case err != nil:
		return nil, fmt.Errorf("what the server sent: %w", err)
	}
	mine, err := f.Stat()
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("%s cannot be written: %w", partial, durable.Cause(err))
	}
	if there, err := os.Lstat(partial); err != nil || !os.SameFile(mine, there) {
		return nil, fmt.Errorf("%s is no longer the file that was written: another backup with the name %s was begun meanwhile", partial, path)
	}
	if err := appear(partial, path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, durable.Cause(err))
	}
	if err := ignore(os.Remove(partial), fs.ErrNotExist); err != nil { // its other name
		return nil, err
	}
	return m, durable.SyncDir(filepath.Dir(path))
}

func (c *backupCmd) say(e *command.Env, m *backup.Manifest, to string, bytes int64, took time.Duration) error {
	if c.Quiet {
		return nil
	}
	out := e.Stdout
	if to == "-" {
		out = e.Stderr
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(describe(m, to, bytes))
	}
	printManifest(out, m)
	if to == "-" {
		to = "standard output"
	}
	_, err := fmt.Fprintf(out, "written to %s: %s in %s. It holds tokens: keep it private\n", to, mebibytes(bytes), took.Round(100*time.Millisecond))
	return err
}

// ofBackups matches the names that backups in a directory have, and those of unfinished ones.
var ofBackups = regexp.MustCompile(`^stackscope-backup-\d{8}T\d{6}Z\.tar(\.partial)?$`)

// unfinishedAge is how old an unfinished backup is that nobody writes any more.
const unfinishedAge = 24 * time.Hour

// removeOld removes all but the newest backups of a directory, and what interrupted ones have left. made, the one that was just made, stays,
// also if the clock was ahead when others were made.
func removeOld(e *command.Env, made string, keep int, quiet bool) error {
	dir := filepath.Dir(made)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the backup is complete, but older ones could not be listed: %w", err)
	}
	var others, remove []string
	for _, entry := range entries {
		switch {
		case !entry.Type().IsRegular() || !ofBackups.MatchString(entry.Name()) || entry.Name() == filepath.Base(made):
		case !strings.HasSuffix(entry.Name(), ".partial"):
			others = append(others, entry.Name())
		default:
			if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > unfinishedAge {
				remove = append(remove, entry.Name())
			}
		}
	}
	slices.Sort(others) // their names begin with their times
	for _, name := range append(remove, others[:max(0, len(others)-keep+1)]...) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("the backup is complete, but an older one could not be removed: %w", err)
		}
		if !quiet {
			fmt.Fprintln(e.Stdout, "removed", filepath.Join(dir, name))
		}
	}
	return nil
}

// described is a backup for programs.
type described struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	backup.Manifest
}

func describe(m *backup.Manifest, file string, bytes int64) described {
	return described{file, bytes, *m}
}

// printManifest says what is in a backup.
func printManifest(w io.Writer, m *backup.Manifest) {
	i := &m.Inventory
	fmt.Fprintf(w, "made      %s by stackscope %s\n", m.CreatedAt.UTC().Format(time.RFC3339), foreign(m.Version))
	fmt.Fprintf(w, "inventory %s, %s, %s; metrics mapping of generation %d\n", count(int(i.Workers), "worker"), count(int(i.Models), "model"), count(int(i.Instances), "instance"), i.Generation)
	if i.Revoked > 0 {
		fmt.Fprintf(w, "          %s\n", count(int(i.Revoked), "revoked worker"))
	}
	switch s := &m.Samples; {
	case !s.Included:
		fmt.Fprintf(w, "samples   none: %s\n", foreign(s.Reason))
	case s.From == nil || s.To == nil:
		fmt.Fprintln(w, "samples   none were stored yet")
	default:
		fmt.Fprintf(w, "samples   from %s to %s, %s, %s\n", s.From.UTC().Format(time.RFC3339), s.To.UTC().Format(time.RFC3339), count(s.Blocks, "block"), mebibytes(s.Bytes))
	}
	var others []string
	for _, f := range m.Files {
		if f.Name != backup.Database && !strings.HasPrefix(f.Name, backup.Prometheus) {
			others = append(others, f.Name)
		}
	}
	fmt.Fprintf(w, "files     %s\n", strings.Join(append([]string{backup.Database}, others...), ", "))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// foreign makes a text of a file fit for a line of a terminal.
func foreign(s string) string { return terminal.Printable(clip.Line(s, 200)) }
