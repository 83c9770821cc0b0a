// Package backup writes and reads backups of a server. A backup is a tar archive: manifest.json says what is in it, the members follow in
// the order in which it lists them, and SHA256SUMS, the last one, has their digests as sha256sum prints them. An archive without it is not
// whole. The reader takes nothing on trust: it knows the names, kinds and sizes that a backup can have.
package backup

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

const (
	// MediaType is that of an archive.
	MediaType = "application/x-tar"
	// ManifestName is the first member.
	ManifestName = "manifest.json"
	// SumsName is the last member.
	SumsName = "SHA256SUMS"

	// kind and format are what a manifest begins with. Readers refuse a higher format.
	kind   = "stackscope backup"
	format = 1

	maxFiles    = 100_000
	maxManifest = 16 << 20
	maxSums     = maxFiles * 192
	// maxBytes bounds an archive, so that sums of sizes do not overflow.
	maxBytes = 1 << 50
)

// Names of members, which are those of the files in the data directory.
const (
	Database        = "stackscope.db"
	AdminToken      = "admin-token"
	WorkerToken     = "worker-token"
	GrafanaDatabase = "grafana/grafana.db"
	// Prometheus is the folder of blocks.
	Prometheus = "prometheus/"
)

// name is a kind of member with the largest size that it may have.
type name struct {
	pattern *regexp.Regexp
	max     int64
}

// names are the members that an archive may have.
var names = []name{
	{regexp.MustCompile(`^(admin-token|worker-token)$`), 64 << 10},
	{regexp.MustCompile(`^(worker/)?(worker|mapping|cards)\.json$`), 64 << 20},
	{regexp.MustCompile(`^(stackscope\.db|grafana/grafana\.db)$`), 1 << 40},
	{regexp.MustCompile(`^prometheus/[0-7][0-9A-HJKMNP-TV-Z]{25}/(meta\.json|index|tombstones|chunks/[0-9]{6})$`), 1 << 40},
}

// Of an archive that cannot be used.
var (
	// ErrForeign says that a file is no backup.
	ErrForeign = errors.New("this is no backup of stackscope")
	// ErrCut says that an archive ends too early.
	ErrCut = errors.New("the backup is not whole: it ends early")
	// ErrDamaged says that an archive is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrNewer says that a newer stackscope has written an archive.
	ErrNewer = errors.New("a newer stackscope has written this backup")
)

// Of a backup that cannot be made.
var (
	// ErrNoSpace says that the server's disk has no room for what a backup needs while it is made.
	ErrNoSpace = errors.New("too little space on the server's disk")
	// ErrUnavailable says that a part of the server is not ready.
	ErrUnavailable = errors.New("not available")
)

// FileName is the usual name of a backup of that time.
func FileName(at time.Time) string {
	return "stackscope-backup-" + at.UTC().Format("20060102T150405Z") + ".tar"
}

// Manifest says what is in a backup.
type Manifest struct {
	Kind   string `json:"kind"`
	Format int    `json:"format"`
	// Version is that of the stackscope that made it.
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	// Schema is the version of the database's schema.
	Schema    int64     `json:"schema_version"`
	Inventory Inventory `json:"inventory"`
	Samples   Samples   `json:"samples"`
	// Files are the members between the manifest and the digests, in their order.
	Files []File `json:"files"`
}

// Inventory counts what the database holds.
type Inventory struct {
	Workers   int64 `json:"workers"`
	Revoked   int64 `json:"revoked_workers"`
	Models    int64 `json:"models"`
	Instances int64 `json:"model_instances"`
	// Generation is the last one of the metrics mapping; 0: the built-in one was never replaced.
	Generation int64 `json:"metrics_config_generation"`
}

// Samples says which samples are in a backup.
type Samples struct {
	Included bool `json:"included"`
	// Reason says why they are not.
	Reason string     `json:"reason,omitempty"`
	From   *time.Time `json:"from,omitempty"`
	To     *time.Time `json:"to,omitempty"`
	Blocks int        `json:"blocks"`
	Bytes  int64      `json:"bytes"`
}

// File is a member.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Has reports whether there is a member of that name.
func (m *Manifest) Has(name string) bool {
	return slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == name })
}

// check returns what no manifest can have.
func (m *Manifest) check() error {
	switch {
	case m.Kind != kind:
		return fmt.Errorf("%w: its %s is of another kind", ErrForeign, ManifestName)
	case m.Format > format:
		return fmt.Errorf("%w: its format is %d, and this one knows formats up to %d; use stackscope %.60q or a newer one", ErrNewer, m.Format, format, m.Version)
	case m.Format < 1 || m.Schema < 1 || m.CreatedAt.IsZero():
		return fmt.Errorf("%w: %s lacks the format, the schema or the time", ErrDamaged, ManifestName)
	case len(m.Files) > maxFiles:
		return fmt.Errorf("%w: it lists %d files; at most %d are possible", ErrDamaged, len(m.Files), maxFiles)
	}
	known := map[string]bool{}
	var sum int64
	for _, f := range m.Files {
		i := slices.IndexFunc(names, func(n name) bool { return n.pattern.MatchString(f.Name) })
		switch {
		case i < 0:
			return fmt.Errorf("%w: %s lists %.80q, which is no file of a backup", ErrDamaged, ManifestName, f.Name)
		case known[f.Name]:
			return fmt.Errorf("%w: %s lists %s twice", ErrDamaged, ManifestName, f.Name)
		case f.Size < 0 || f.Size > names[i].max:
			return fmt.Errorf("%w: %s gives %s a size of %d bytes; at most %d are possible", ErrDamaged, ManifestName, f.Name, f.Size, names[i].max)
		}
		known[f.Name] = true
		if sum += f.Size; sum > maxBytes {
			return fmt.Errorf("%w: %s lists more than %d bytes", ErrDamaged, ManifestName, int64(maxBytes))
		}
	}
	if !known[Database] {
		return fmt.Errorf("%w: %s does not list %s", ErrDamaged, ManifestName, Database)
	}
	return nil
}
