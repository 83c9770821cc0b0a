package translate

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	"github.com/stackscope/stackscope/internal/catalog"
	"github.com/stackscope/stackscope/internal/exposition"
)

// OtherUsers is the value of label user that stands for all users beyond the limit.
const OtherUsers = "other"

// Bounds of Users.
const (
	// MaxUsers bounds the limit of Users.
	MaxUsers = 100_000
	// maxUserBytes bounds a name that is kept.
	maxUserBytes = 256
	// maxFoldedUsers bounds the names that are known to be folded; beyond it new ones are no longer counted.
	maxFoldedUsers = 128 << 10
	// hashedUserBytes is the part of the hash that stands for a name.
	hashedUserBytes = 8
)

// Users decides what stands in label user of an engine's samples. The first names that come are kept, up to a limit; those
// that come later become OtherUsers, and their series are added up. What was decided about a name holds as long as the Users do,
// so that no counter falls. It is safe for concurrent use, and the Results of an engine share it.
type Users struct {
	limit int
	key   []byte

	mu     sync.Mutex
	seed   maphash.Seed
	kept   map[string]string // by name: what stands for it
	folded map[uint64]bool   // hashes of names
}

// NewUsers returns Users that keep up to limit names, at most MaxUsers. With a key, names are replaced by the first 16
// hexadecimal digits of their HMAC-SHA-256.
func NewUsers(limit int, key []byte) *Users {
	return &Users{limit: min(max(0, limit), MaxUsers), key: key, seed: maphash.MakeSeed(), kept: map[string]string{}, folded: map[uint64]bool{}}
}

// Clone returns Users that decide as u does now and remember nothing for it.
func (u *Users) Clone() *Users {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return &Users{limit: u.limit, key: u.key, seed: u.seed, kept: maps.Clone(u.kept), folded: maps.Clone(u.folded)}
}

// Counts returns how many names are kept and how many are folded. Of the latter at most 131,072 are counted.
func (u *Users) Counts() (kept, folded int) {
	if u == nil {
		return 0, 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.kept), len(u.folded)
}

// show returns what stands for a name, and whether that is OtherUsers.
func (u *Users) lookup(name []byte) (shown string, fold bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if shown, ok := u.kept[string(name)]; ok {
		return shown, false
	}
	if len(u.kept) < u.limit && len(name) <= maxUserBytes && (u.key != nil || string(name) != OtherUsers) {
		known := u.folded[maphash.Bytes(u.seed, name)]
		if !known {
			shown = string(name)
			if u.key != nil {
				h := hmac.New(sha256.New, u.key)
				_, _ = h.Write(name)
				shown = hex.EncodeToString(h.Sum(nil)[:hashedUserBytes])
			}
			u.kept[string(name)] = shown
			return shown, false
		}
	}
	if len(u.folded) < maxFoldedUsers && string(name) != OtherUsers {
		u.folded[maphash.Bytes(u.seed, name)] = true
	}
	return OtherUsers, true
}

// hashes reports whether names are secret.
func (u *Users) areHashed() bool { return u != nil && u.key != nil }

// apply returns the labels as they go out, and says in the shape whether samples are added up. Quantiles cannot be, and stay out.
func (u *Users) rewriteLabels(sh *labelTemplate, labels []exposition.Label) []exposition.Label {
	if !slices.ContainsFunc(labels, namesUser) {
		return labels
	}
	labels = slices.Clone(labels)
	for i := range labels {
		if !namesUser(labels[i]) {
			continue
		}
		shown, fold := u.lookup(exposition.Unescape(nil, labels[i].Value))
		labels[i].Value = exposition.AppendLabelValue(nil, shown)
		if fold {
			sh.sum, sh.folded = true, true
			sh.skip = sh.skip || hasName(labels, labelQuantile)
		}
	}
	return labels
}

// namesUser reports whether a label names a user: user, or what it is called where the mapping gives another label that name.
func namesUser(l exposition.Label) bool {
	name := l.Name
	for {
		rest, ok := bytes.CutPrefix(name, []byte(prefixExported))
		if !ok {
			return string(name) == catalog.LabelUser && len(l.Value) > 0
		}
		name = rest
	}
}
