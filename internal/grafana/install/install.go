// Package install puts a release of Grafana on this machine: fetched from Grafana's host or a mirror, or read from a file,
// checked against its checksum, and unpacked into a directory of its own.
package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/stackscope/stackscope/internal/base/durable"
)

// Bounds of what is fetched and unpacked: three times what releases need today.
const (
	maxArchiveBytes  = 1 << 30
	maxUnpackedBytes = 4 << 30
	maxEntries       = 200_000
)

// Options say what to install and where.
type Options struct {
	// Dir is where homes go, each in a directory named after its version. It is made when it isn't there.
	Dir string
	// Version is the release; empty: Version, or the one of File.
	Version string
	// SHA256 is the archive's checksum. Empty: the one that is built in or, for other releases, the one that the official host
	// publishes beside the archive.
	SHA256 string
	// Mirror stands in for the official host, such as https://mirror.example.com/grafana; empty: none.
	Mirror string
	// File is an archive on this machine; empty: it is fetched.
	File string
	// Force installs also what is installed already.
	Force bool
	// Report is told how the work goes, from the goroutine that called Run; nil: nobody is.
	Report func(Event)

	// Platform is such as linux/arm64; empty: this machine's.
	Platform string
	// Transport carries requests; nil: one that honours the usual variables for proxies.
	Transport http.RoundTripper
	// StallTimeout ends a connection on which nothing comes; 0: a minute.
	StallTimeout time.Duration
	// Attempts is how often a download is begun; 0: 5.
	Attempts int
	// RetryDelay is waited after the first failure, then twice as long each time; 0: a second.
	RetryDelay time.Duration

	pins []pin
}

func (o *Options) setDefaults() error {
	if o.Dir == "" {
		return errors.New("--dir is empty: give the directory where Grafana's homes go")
	}
	if o.File != "" && o.Mirror != "" {
		return errors.New("--file and --mirror: give one of them")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("--dir %s: %w", o.Dir, err)
	}
	o.Dir = dir
	o.Platform = cmp.Or(o.Platform, thisPlatform())
	if !platformName.MatchString(o.Platform) {
		return fmt.Errorf("--platform %q: give it as OS/ARCH, for example linux/arm64", o.Platform)
	}
	o.StallTimeout = cmp.Or(o.StallTimeout, time.Minute)
	o.Attempts = cmp.Or(o.Attempts, 5)
	o.RetryDelay = cmp.Or(o.RetryDelay, time.Second)
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	if o.pins == nil {
		o.pins = builtinPins()
	}
	return nil
}

// Result is what Run did.
type Result struct {
	Home     string // the directory that holds bin, conf and public
	Version  string
	Already  bool     // it was installed before; nothing was changed
	Fetched  int64    // bytes that came over the network
	Unpacked int64    // bytes
	Entries  int      // files, directories and links
	Notes    []string // what the operator should know, a sentence each
}

// Run installs a release. Homes of other versions stay as they are.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.setDefaults(); err != nil {
		return Result{}, err
	}
	in := &installer{Options: o}
	if err := in.plan(); err != nil {
		return Result{}, err
	}
	if in.installed() {
		in.result.Already = true
		return in.result, nil
	}
	if err := durable.MkdirAll(in.Dir, "--dir"); err != nil {
		return Result{}, err
	}
	unlock, err := in.lock(ctx)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	if in.installed() { // by the one that held the lock
		in.result.Already = true
		return in.result, nil
	}
	if err := in.run(ctx); err != nil {
		return Result{}, in.explain(err)
	}
	return in.result, nil
}

type installer struct {
	Options
	version string // empty: whatever File holds
	name    string // of the archive; empty with File
	sum     checksum
	size    int64 // of the archive; 0: not known
	result  Result
}

// plan finds out what can be known without looking at the network.
func (in *installer) plan() (err error) {
	if in.Version != "" || in.File == "" {
		if in.version, err = parseVersion(cmp.Or(in.Version, Version)); err != nil {
			return err
		}
	}
	if in.SHA256 != "" {
		var ok bool
		if in.sum, ok = parseSHA256(in.SHA256); !ok {
			return fmt.Errorf("--sha256 %q: give the 64 hexadecimal digits of the archive's SHA-256", in.SHA256)
		}
	} else {
		in.usePin(cmp.Or(in.version, Version))
	}
	if in.File != "" {
		if _, err := os.Stat(in.File); err != nil {
			return fmt.Errorf("--file %s: %w", in.File, durable.Cause(err))
		}
		if in.sum == (checksum{}) {
			return fmt.Errorf("--file %s: no checksum of Grafana %s for %s is built in: give it with --sha256", in.File, cmp.Or(in.version, Version), in.Platform)
		}
		return nil
	}
	in.name, err = archiveName(in.version, in.Platform)
	return err
}

func (in *installer) usePin(version string) {
	for _, p := range in.pins {
		if p.version == version && p.platform == in.Platform {
			in.version, in.sum, in.size = p.version, p.sum, p.size
		}
	}
}

// home returns where the version goes.
func (in *installer) home() string { return filepath.Join(in.Dir, homePrefix+in.version) }

// installed says whether there is nothing to do.
func (in *installer) installed() bool {
	if in.Force || in.version == "" || !complete(in.home()) || fits(in.home(), in.Platform) != nil {
		return false
	}
	in.result.Home, in.result.Version = in.home(), in.version
	return true
}

// run works in a directory beside the homes. One that is killed leaves nothing that looks like a home.
func (in *installer) run(ctx context.Context) error {
	if err := in.sweep(); err != nil {
		return err
	}
	work, err := os.MkdirTemp(in.Dir, workPrefix+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what is left is swept by the next run
	archive, err := in.obtain(ctx, work)
	if err != nil {
		return err
	}
	return in.unpack(ctx, archive, filepath.Join(work, "home"))
}

// obtain returns the path of an archive that has been checked. It downloads into the directory work.
func (in *installer) obtain(ctx context.Context, work string) (string, error) {
	if in.File != "" {
		return in.File, in.verify(ctx, in.File)
	}
	address, err := archiveURL(in.Mirror, in.name)
	if err != nil {
		return "", err
	}
	f := in.fetcher()
	if in.sum == (checksum{}) {
		if in.sum, err = f.publishedSum(ctx, in.name); err != nil {
			return "", err
		}
		in.result.Notes = append(in.result.Notes, "The checksum was not built in: it is the one that "+officialHost+" publishes beside the archive.")
	}
	path := filepath.Join(work, in.name)
	err = f.fetch(ctx, address, path, in.size)
	in.result.Fetched = f.received
	if err != nil {
		return "", err
	}
	if err := in.verify(ctx, path); err != nil {
		if _, wrong := errors.AsType[*contentError](err); wrong {
			err = fmt.Errorf("%s: %w; what was fetched is removed: run the command again, and if it stays so don't trust the source", address.Redacted(), err)
		}
		return "", err
	}
	return path, nil
}

// unpack unpacks the archive into the new directory dir, looks at what came out and moves it to its place.
func (in *installer) unpack(ctx context.Context, archive, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	u, err := unpack(ctx, archive, dir, in.Report)
	if err != nil {
		return err
	}
	in.result.Entries, in.result.Unpacked = u.entries, u.bytes
	found, err := identify(dir, u.top)
	if err != nil {
		return err
	}
	if err := fits(dir, in.Platform); err != nil {
		return err
	}
	if in.Platform == thisPlatform() {
		if err := starts(ctx, dir); err != nil {
			return err
		}
	}
	if in.version != "" && found != "" && found != in.version {
		return fmt.Errorf("the archive holds Grafana %s, not %s: give --version %s, or the other archive", found, in.version, found)
	}
	if in.version = cmp.Or(in.version, found); in.version == "" {
		return errors.New("the archive doesn't say which version it holds: give it with --version")
	}
	if in.installed() {
		in.result.Already = true
		return nil
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // a service of another user runs it
		return err
	}
	if err := in.move(dir); err != nil {
		return err
	}
	in.result.Home, in.result.Version = in.home(), in.version
	return nil
}

// move puts dir in the place of the home, which it replaces.
func (in *installer) move(dir string) error {
	home := in.home()
	if _, err := os.Lstat(home); err == nil {
		old, err := os.MkdirTemp(in.Dir, workPrefix+"old-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(old) }()
		if err := os.Rename(home, filepath.Join(old, "home")); err != nil {
			return err
		}
	}
	if err := os.Rename(dir, home); err != nil {
		return err
	}
	return syncPath(in.Dir)
}

// sweep removes what killed runs have left, also the unfinished downloads of earlier versions of this program. It is called
// with the lock held.
func (in *installer) sweep() error {
	for _, pattern := range []string{workPrefix + "*", homePrefix + "*.tar.gz.part*"} {
		left, err := filepath.Glob(filepath.Join(globEscape(in.Dir), pattern))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}
