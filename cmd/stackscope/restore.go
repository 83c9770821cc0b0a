package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/stackscope/stackscope/internal/backup"
	"github.com/stackscope/stackscope/internal/base/command"
	"github.com/stackscope/stackscope/internal/base/durable"
	"github.com/stackscope/stackscope/internal/restore"
)

type restoreCmd struct {
	File      string `arg:"" help:"The backup; - is standard input."`
	DataDir   string `help:"The server's data directory. Required, unless --check is given." placeholder:"DIR"`
	Check     bool   `help:"Only verify the backup, and print what is in it."`
	MoveAside bool   `help:"Move what the backup replaces into DIR/before-restore-TIME. Nothing is removed."`
	Owner     string `help:"User, and perhaps group, who gets the files: USER or USER:GROUP. Default: as root, who owns DIR; else this user." placeholder:"USER"`
	Quiet     bool   `help:"Print nothing but errors."`
	JSON      bool   `help:"Print the result as JSON."`
}

// Help is printed by kong below the usage.
func (*restoreCmd) Help() string {
	return `It needs no server, and refuses a directory that a server uses. It verifies every file of the backup before it puts any in place.

  stackscope restore --check stackscope.tar          verify it, and print what is in it
  stackscope restore stackscope.tar --data-dir /var/lib/stackscope
                                                     into an empty directory
  stackscope restore stackscope.tar --data-dir /var/lib/stackscope --move-aside
                                                     in place of a server that is stopped
  zstd -dc stackscope.tar.zst | stackscope restore - --data-dir DIR
                                                     a compressed one

Workers keep their ids and credentials, so that their series go on. Workers that joined after the backup join again by themselves. Workers that
were removed after it may join again: remove them again.`
}

func (c *restoreCmd) Run(e *command.Env) (err error) {
	switch {
	case c.Check && c.DataDir != "":
		return errors.New("--check changes nothing: leave out --data-dir")
	case !c.Check && c.DataDir == "":
		return errors.New("give the data directory with --data-dir DIR, or only verify the backup with --check")
	}
	var owner *restore.Owner
	if c.Owner != "" {
		if owner, err = lookUpOwner(c.Owner); err != nil {
			return err
		}
	}
	from, total := e.Stdin, int64(0)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, durable.Cause(err))
		}
		defer func() { _ = f.Close() }() // it was only read
		info, err := f.Stat()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", c.File, durable.Cause(err))
		case info.IsDir():
			return fmt.Errorf("%s is a directory: give one of the backups in it", c.File)
		}
		from, total = f, info.Size()
	}
	verb := "unpacked"
	if c.Check {
		verb = "verified"
	}
	meter := newTransfer(e.Stderr, verb, total)
	meter.silent = c.Quiet
	archive := untilEnd(e, meter.count(from))
	if c.Check {
		m, err := backup.Verify(archive)
		meter.end()
		if err != nil {
			return c.failed(e, err, false)
		}
		return c.sayChecked(e, m, meter.done)
	}
	r, err := restore.Run(e.Context, archive, restore.Options{Dir: c.DataDir, MoveAside: c.MoveAside, Owner: owner})
	meter.end()
	if err != nil {
		return c.failed(e, err, r.Dir != "")
	}
	return c.sayRestored(e, &r, meter.done)
}

// untilEnd reads until the command is interrupted.
func untilEnd(e *command.Env, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := e.Context.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

// failed returns the command's error. placing says that the backup was whole, and the error came while it was put in place.
func (c *restoreCmd) failed(e *command.Env, err error, placing bool) error {
	if e.Context.Err() != nil && !placing {
		return &command.CodeError{Code: command.CodeInterrupted, Err: errors.New("interrupted; nothing was put in place")}
	}
	if inTheWay, ok := errors.AsType[*restore.InTheWayError](err); ok {
		return &command.CodeError{Code: command.CodeRefused, Err: inTheWay}
	}
	name := c.File
	if name == "-" {
		name = "standard input"
	}
	if !c.Check && slices.ContainsFunc([]error{backup.ErrForeign, backup.ErrCut, backup.ErrDamaged, backup.ErrNewer}, func(is error) bool { return errors.Is(err, is) }) {
		return fmt.Errorf("%s: %w; nothing was put in place", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (c *restoreCmd) sayChecked(e *command.Env, m *backup.Manifest, bytes int64) error {
	switch {
	case c.Quiet:
		return nil
	case c.JSON:
		return json.NewEncoder(e.Stdout).Encode(describe(m, c.File, bytes))
	}
	printManifest(e.Stdout, m)
	_, err := fmt.Fprintf(e.Stdout, "%s is whole: %s in %s, all digests are right\n", c.File, count(len(m.Files), "file"), mebibytes(bytes))
	return err
}

func (c *restoreCmd) sayRestored(e *command.Env, r *restore.Result, bytes int64) error {
	switch {
	case c.Quiet:
		return nil
	case c.JSON:
		return json.NewEncoder(e.Stdout).Encode(struct {
			described
			DataDir     string   `json:"data_dir"`
			Aside       []string `json:"moved_aside"`
			KeptSamples bool     `json:"kept_samples"`
		}{describe(r.Manifest, c.File, bytes), r.Dir, append([]string{}, r.Aside...), r.KeptSamples})
	}
	printManifest(e.Stdout, r.Manifest)
	for _, dir := range r.Aside {
		fmt.Fprintln(e.Stdout, "moved what was there to", dir)
	}
	if r.KeptSamples {
		fmt.Fprintln(e.Stdout, "the backup has no samples: those that are in the directory stay")
	}
	fmt.Fprintln(e.Stdout, "restored to", r.Dir+ownedBy(r.Owner))
	program := "server"
	if slices.ContainsFunc(r.Manifest.Files, func(f backup.File) bool { return f.Name == "worker/worker.json" }) {
		program = "start" // whose worker keeps its identity there
	}
	fmt.Fprintf(e.Stdout, `
next: start the server, with systemctl start stackscope or stackscope %s --data-dir %s
      then look at stackscope status: workers come back within half a minute
      and at stackscope worker list: remove those again that were removed after the backup
`, program, r.Dir)
	return nil
}

func ownedBy(o *restore.Owner) string {
	if o == nil {
		return ""
	}
	name := strconv.Itoa(o.UID)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if o.UID == 0 {
		return "; the files belong to root: if the server runs as another user, give --owner USER"
	}
	return "; the files belong to " + name
}

// lookUpOwner returns the numbers of USER or USER:GROUP, which may be numbers themselves.
func lookUpOwner(text string) (*restore.Owner, error) {
	name, group, hasGroup := strings.Cut(text, ":")
	noUser := fmt.Errorf("--owner %s: there is no user %s on this machine", text, name)
	u, err := user.Lookup(name)
	if err != nil {
		if _, ok := ownerNumber(name); !ok {
			return nil, noUser
		}
		if u, err = user.LookupId(name); err != nil {
			if !hasGroup {
				return nil, noUser
			}
			u = &user.User{Uid: name}
		}
	}
	if hasGroup {
		u.Gid = group
		if g, err := user.LookupGroup(group); err == nil {
			u.Gid = g.Gid
		}
	}
	uid, ok := ownerNumber(u.Uid)
	if !ok {
		return nil, noUser
	}
	gid, ok := ownerNumber(u.Gid)
	if !ok {
		return nil, fmt.Errorf("--owner %s: there is no group %s on this machine", text, group)
	}
	return &restore.Owner{UID: uid, GID: gid}, nil
}

// ownerNumber reads the number of a user or group: 32 bits, of which the highest says that nothing is to be changed.
func ownerNumber(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return int(n), err == nil && n < math.MaxUint32
}
